//! Which deliveries are listed.
//!
//! Those that were made with their events stand behind them on the line; those that were added later are few, and are walked by themselves.

use hookplane_proto::v1::DeliveryStatus;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::{Fault, Page, Where};
use crate::log::Selection;
use crate::log::embedded::index::{self, Sought};

/// Up to so many pending deliveries are sorted, and so many are looked at for their words, rather than looked for among all.
const FEW: i64 = 1_000;
/// Of many that are stuck so many are looked at for their words first: where most have them, as where a mapping breaks, the page is full by then.
const NEWEST: usize = 300;

/// Webhooks that are walked each by itself. Of more the events lead.
const MAX_WEBHOOKS: usize = 500;

const DELIVERIES: &str =
    "SELECT d.seq, d.event_seq FROM deliveries d CROSS JOIN events e ON e.seq = d.event_seq";
const BEHIND_EVENTS: &str = "SELECT d.seq, d.event_seq FROM events e CROSS JOIN deliveries d ON d.seq > e.seq AND d.seq <= e.seq + e.deliveries";
const ADDED_TO_EVENTS: &str = "SELECT d.seq, d.event_seq FROM events e CROSS JOIN added a ON a.event_seq = e.seq CROSS JOIN deliveries d ON d.seq = a.seq";
const ADDED: &str = "SELECT d.seq, d.event_seq FROM added a CROSS JOIN deliveries d ON d.seq = a.seq CROSS JOIN events e ON e.seq = a.event_seq";

pub(super) fn places(page: &Page<'_>) -> Result<Vec<i64>, Fault> {
    let selection = page.selection;
    if selection.unmatched {
        return Ok(Vec::new());
    }
    if selection.event_id.is_some() {
        let clause = filtered(page, Where::default());
        let mut places = page.walk(BEHIND_EVENTS, &clause, "d.seq DESC")?;
        places.extend(page.walk(ADDED_TO_EVENTS, &clause, "d.seq DESC")?);
        return Ok(places);
    }
    let webhooks = webhooks(page)?;
    if let Some(index) = by_status(page, webhooks.as_deref())? {
        return of_status(page, index, webhooks.as_deref());
    }
    if let Some(places) = among_the_newest(page, webhooks.as_deref())? {
        return Ok(places);
    }
    let ranges = index::ranges(page.db, selection)?;
    let mut places = if page.words.is_some() || selection.event_type.is_some() {
        by_event(page, &ranges, webhooks.as_deref())?
    } else {
        made(page, &ranges, webhooks.as_deref())?
    };
    places.extend(page.walk(ADDED, &added(page), "a.seq DESC")?);
    Ok(places)
}

/// Those of the selection's scope. None: not by webhook.
fn webhooks(page: &Page<'_>) -> Result<Option<Vec<String>>, Fault> {
    let Selection {
        org,
        group_uid,
        webhook_uid,
        destination,
        ..
    } = page.selection;
    if let Some(webhook) = webhook_uid {
        return Ok(Some(vec![webhook.clone()]));
    }
    let mut clause = Where::default();
    if let Some(group) = group_uid {
        clause.and("group_uid = ?", group.clone());
    } else if let Some(org) = org {
        clause.and("org = ?", org.clone());
    }
    if let Some(destination) = destination {
        clause.and("destination = ?", destination.clone());
    }
    if clause.sql.is_empty() {
        return Ok(None);
    }
    clause
        .values
        .push(i64::try_from(MAX_WEBHOOKS + 1).unwrap_or(i64::MAX).into());
    let mut read = page.db.prepare_cached(&format!(
        "SELECT DISTINCT webhook_uid FROM queues{} LIMIT ?",
        clause.sql
    ))?;
    let rows = read.query_map(params_from_iter(&clause.values), |row| row.get(0))?;
    let webhooks: Vec<String> = rows.collect::<Result<_, _>>()?;
    Ok((webhooks.len() <= MAX_WEBHOOKS).then_some(webhooks))
}

/// An index of the deliveries of one status, whether they were made with their event or added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfStatus {
    Pending,
    Leased,
    Stuck,
}

/// Where those of a status are few among all.
fn by_status(page: &Page<'_>, webhooks: Option<&[String]>) -> Result<Option<OfStatus>, Fault> {
    let Some(status) = page.selection.status else {
        return Ok(None);
    };
    let index = match status {
        DeliveryStatus::Leased => return Ok(Some(OfStatus::Leased)),
        DeliveryStatus::Pending => OfStatus::Pending,
        status if status as i32 >= STUCK => OfStatus::Stuck,
        _ => return Ok(None),
    };
    if index == OfStatus::Stuck && page.words.is_none() {
        return Ok(Some(index));
    }
    let few = |webhook: Option<&String>, left: i64| -> Result<i64, Fault> {
        let clause = status_clause(index, status, webhook);
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM deliveries d{} LIMIT {left})",
            clause.sql
        );
        let mut count = page.db.prepare_cached(&sql)?;
        Ok(count.query_row(params_from_iter(&clause.values), |row| row.get(0))?)
    };
    let mut left = FEW + 1;
    match webhooks {
        None => left -= few(None, left)?,
        Some(webhooks) => {
            for webhook in webhooks {
                left -= few(Some(webhook), left)?;
            }
        }
    }
    Ok((left > 0).then_some(index))
}

/// Held and what is greater: see `deliveries_stuck`.
const STUCK: i32 = DeliveryStatus::Held as i32;

/// What an index of a status leads with. Written out, so that the planner sees what the partial indices hold.
fn status_clause(index: OfStatus, status: DeliveryStatus, webhook: Option<&String>) -> Where {
    let mut clause = Where::default();
    let name = match (index, webhook) {
        (OfStatus::Pending, _) => "deliveries_pending",
        (OfStatus::Leased, _) => "deliveries_leased",
        (OfStatus::Stuck, None) => "deliveries_stuck",
        (OfStatus::Stuck, Some(_)) => "deliveries_stuck_of",
    };
    let status = status as i32;
    clause.holds(&format!("d.status = {status}"));
    if index == OfStatus::Stuck {
        // SQLite sees an index's own condition and draws no conclusions.
        clause.holds(&format!("d.status >= {STUCK}"));
    }
    if let Some(webhook) = webhook {
        clause.and("d.webhook_uid = ?", webhook.clone());
    }
    clause.sql = format!(" INDEXED BY {name}{}", clause.sql);
    clause
}

fn of_status(
    page: &Page<'_>,
    index: OfStatus,
    webhooks: Option<&[String]>,
) -> Result<Vec<i64>, Fault> {
    let webhooks = webhooks.filter(|_| index != OfStatus::Leased);
    let Some(webhooks) = webhooks else {
        let clause = of_status_clause(page, index, None, 0);
        return page.walk(DELIVERIES_BY, &clause, "d.seq DESC");
    };
    let mut places = Vec::new();
    for webhook in webhooks {
        let clause = of_status_clause(page, index, Some(webhook), page.floor(&places));
        places.extend(page.walk(DELIVERIES_BY, &clause, "d.seq DESC")?);
        places = page.newest(places);
    }
    Ok(places)
}

/// Those that are stuck and have the words, where the newest that are stuck fill a page. What is looked for among all is found by its words.
fn among_the_newest(
    page: &Page<'_>,
    webhooks: Option<&[String]>,
) -> Result<Option<Vec<i64>>, Fault> {
    let status = page.selection.status.unwrap_or_default();
    if (status as i32) < STUCK || page.words.is_none() {
        return Ok(None);
    }
    let webhook = match webhooks {
        Some([webhook]) => Some(webhook),
        _ => None,
    };
    let clause = of_status_clause(page, OfStatus::Stuck, webhook, 0);
    let (places, is_enough) = page.walk_some(DELIVERIES_BY, &clause, "d.seq DESC", NEWEST)?;
    Ok(is_enough.then_some(places))
}

/// Its index is named behind it.
const DELIVERIES_BY: &str = "SELECT d.seq, d.event_seq FROM deliveries d";

fn of_status_clause(
    page: &Page<'_>,
    index: OfStatus,
    webhook: Option<&String>,
    floor: i64,
) -> Where {
    let status = page.selection.status.unwrap_or_default();
    let mut clause = status_clause(index, status, webhook);
    clause.sql = clause.sql.replacen(
        " WHERE ",
        " CROSS JOIN events e ON e.seq = d.event_seq WHERE ",
        1,
    );
    clause.and("d.seq < ?", page.before);
    clause.and("d.seq > ?", floor);
    let selection = Selection {
        status: None,
        ..page.selection.clone()
    };
    clause.within(&selection);
    clause.event(&selection);
    clause.delivery(&selection);
    clause
}

/// All that a selection says, behind what leads. The plus keeps the planner to the end of the event's own deliveries.
fn filtered(page: &Page<'_>, mut clause: Where) -> Where {
    clause.within(page.selection);
    clause.event(page.selection);
    clause.delivery(page.selection);
    clause.and("+d.seq < ?", page.before);
    clause
}

/// By what their events are, and what isn't in the index yet along the line.
fn by_event(
    page: &Page<'_>,
    ranges: &[(i64, i64)],
    webhooks: Option<&[String]>,
) -> Result<Vec<i64>, Fault> {
    let mut places = Vec::new();
    if page.words.is_none() {
        let behind = (index::mark(page.db)? + 1, i64::MAX);
        places = made(page, &[behind], webhooks)?;
    }
    let Some(sought) = Sought::of(page.selection) else {
        return Ok(places);
    };
    let mut clause = Where::default();
    clause.and("e.seq = ?", 0i64);
    let mut clause = filtered(page, clause);
    let mut read = page.prepare(&format!(
        "{BEHIND_EVENTS}{} ORDER BY d.seq DESC",
        clause.sql
    ))?;
    page.note(index::FIND)?;
    for (from, to) in ranges {
        let range = (*from, (*to).min(page.before.saturating_sub(1)));
        sought.each(page.db, range, |event| {
            if places.len() < page.limit {
                clause.values[0] = Value::Integer(event);
                let mut rows = read.query(params_from_iter(&clause.values))?;
                while let Some(row) = rows.next()? {
                    places.push(row.get(0)?);
                }
            }
            Ok(places.len() >= page.limit)
        })?;
    }
    Ok(places)
}

/// Those that were made with their events: of each webhook, or along the line.
fn made(
    page: &Page<'_>,
    ranges: &[(i64, i64)],
    webhooks: Option<&[String]>,
) -> Result<Vec<i64>, Fault> {
    let scoped = page.selection.org.is_some() || page.selection.group_uid.is_some();
    let mut places = Vec::new();
    for range in ranges {
        if places.len() >= page.limit {
            break;
        }
        match webhooks {
            Some(webhooks) => {
                for webhook in webhooks {
                    let floor = page.floor(&places);
                    let clause = made_clause(page, *range, Some(webhook), floor)?;
                    places.extend(page.walk(DELIVERIES, &clause, "d.seq DESC")?);
                    places = page.newest(places);
                }
            }
            None if scoped => {
                let clause = behind_clause(page, *range);
                places.extend(page.walk(BEHIND_EVENTS, &clause, "e.seq DESC, d.seq DESC")?);
            }
            None => {
                let clause = made_clause(page, *range, None, 0)?;
                places.extend(page.walk(DELIVERIES, &clause, "d.seq DESC")?);
            }
        }
    }
    Ok(places)
}

/// The deliveries of events in that range: their places reach to the next event's.
fn made_clause(
    page: &Page<'_>,
    (from, to): (i64, i64),
    webhook: Option<&String>,
    floor: i64,
) -> Result<Where, Fault> {
    let end: i64 = if to == i64::MAX {
        to
    } else {
        page.db
            .prepare_cached("SELECT coalesce(min(seq), ?2) FROM events WHERE seq > ?1")?
            .query_row([to, i64::MAX], |row| row.get(0))?
    };
    let mut clause = Where::default();
    if let Some(webhook) = webhook {
        clause.and("d.webhook_uid = ?", webhook.clone());
    }
    clause.and("d.seq > ?", from.max(floor));
    clause.and("d.seq < ?", end.min(page.before));
    clause.holds("+d.added = 0");
    clause.and("+d.event_seq >= ?", from);
    clause.within(page.selection);
    clause.event(page.selection);
    clause.delivery(page.selection);
    Ok(clause)
}

fn behind_clause(page: &Page<'_>, (from, to): (i64, i64)) -> Where {
    let mut clause = Where::default();
    clause.scope(page.selection);
    clause.and("e.seq >= ?", from);
    clause.and("e.seq <= ?", to.min(page.before.saturating_sub(1)));
    clause.event(page.selection);
    clause.delivery(page.selection);
    clause.and("+d.seq < ?", page.before);
    clause
}

fn added(page: &Page<'_>) -> Where {
    let Selection {
        org,
        group_uid,
        webhook_uid,
        ..
    } = page.selection;
    let mut clause = Where::default();
    if let Some(webhook) = webhook_uid {
        clause.and("a.webhook_uid = ?", webhook.clone());
    } else if let Some(group) = group_uid {
        clause.and("a.group_uid = ?", group.clone());
    } else if let Some(org) = org {
        clause.and("a.org = ?", org.clone());
    }
    clause.and("a.seq < ?", page.before);
    clause.within(page.selection);
    clause.event(page.selection);
    clause.delivery(page.selection);
    clause
}
