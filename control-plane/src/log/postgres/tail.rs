//! The tail: what came and changed, in order, up to where the line is whole.

use std::sync::Arc;

use super::Shared;
use super::fault::Fault;
use super::line;
use super::list::{Lead, Where, status};
use super::pool::Session;
use super::read::{
    DELIVERY_COLUMNS, DELIVERY_WIDTH, EVENT_COLUMNS, EVENT_OF_IT, EVENT_WIDTH, cursor, delivery_at,
    event_at, seq,
};
use crate::aside::{Here, TRIALS};
use crate::log::{Cursor, LogError, Selection, TailItem, words};

/// Three walks up the line (deliveries, events without any, changes), merged.
pub(super) async fn tail(
    shared: &Shared,
    selection: &Selection,
    after: Cursor,
    changes: bool,
    limit: usize,
) -> Result<(Vec<TailItem>, Cursor), LogError> {
    let mut read = shared.pool.read().await?;
    let session = &mut read;
    // First, so that what the walks see is at least what was committed below it.
    let end = line::reach(session).await?.whole;
    if end <= after {
        return Ok((Vec::new(), after));
    }
    let range = Range::of(after, end, limit);
    let mut items = walked(session, selection, range, changes).await?;
    let more = items.len() >= limit;
    items.truncate(limit);
    let next = match items.last() {
        Some(last) if more => last.cursor,
        _ => end,
    };
    // Nobody's connection waits while they are looked at.
    drop(read);
    Ok((having(items, selection).await?, next))
}

/// The same from the other end, between two places.
pub(super) async fn newest(
    shared: &Shared,
    selection: &Selection,
    (after, before): (Cursor, Option<Cursor>),
    changes: bool,
    limit: usize,
) -> Result<(Vec<TailItem>, Cursor), LogError> {
    let mut read = shared.pool.read().await?;
    let session = &mut read;
    let end = line::reach(session).await?.whole;
    let until = before.map_or(end, |before| end.min(Cursor(before.0.saturating_sub(1))));
    if until <= after {
        return Ok((Vec::new(), end.max(after)));
    }
    let range = Range {
        newest_first: true,
        ..Range::of(after, until, limit)
    };
    let mut items = walked(session, selection, range, changes).await?;
    items.drain(..items.len().saturating_sub(limit));
    drop(read);
    Ok((having(items, selection).await?, end))
}

/// In order, of each walk as many as are asked for.
async fn walked(
    session: &mut Session<'_>,
    selection: &Selection,
    range: Range,
    changes: bool,
) -> Result<Vec<TailItem>, LogError> {
    let mut items = Vec::new();
    if !selection.unmatched {
        items.extend(deliveries(session, selection, range, changes).await?);
    }
    let of_deliveries = selection.webhook_uid.is_some()
        || selection.destination.is_some()
        || selection.status.is_some();
    if !of_deliveries {
        items.extend(unmatched(session, selection, range).await?);
    }
    if changes && !selection.unmatched {
        items.extend(changed(session, selection, range).await?);
    }
    items.sort_by_key(|item| item.cursor);
    Ok(items)
}

/// Those with the words that are asked for. Looked at here: the newest events can't be found by their text yet. And aside: a payload may be large.
async fn having(items: Vec<TailItem>, selection: &Selection) -> Result<Vec<TailItem>, LogError> {
    let Some(text) = &selection.text else {
        return Ok(items);
    };
    let searched: Arc<[String]> = words::searched(text).into();
    let mut found = Vec::new();
    for item in items {
        let searched = Arc::clone(&searched);
        let org = item.event.org.clone();
        let looked = move |_: &Here| words::are_in(&item.event, &searched).then_some(item);
        let looked = TRIALS.run(&org, looked).await;
        found.extend(
            looked.map_err(|error| {
                LogError::Damaged(format!("an event can't be searched: {error}"))
            })?,
        );
    }
    Ok(found)
}

/// A piece of the line, and from which end it is walked until there is enough.
#[derive(Clone, Copy)]
struct Range {
    after: i64,
    end: i64,
    limit: i64,
    newest_first: bool,
}

impl Range {
    fn of(after: Cursor, end: Cursor, limit: usize) -> Self {
        Self {
            after: seq(after),
            end: seq(end),
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
            newest_first: false,
        }
    }

    /// Of numbers in this column, in this order.
    fn close(self, clause: &mut Where, at: &str, order: &[&str]) -> String {
        clause.and(&format!("{at} > ?"), self.after);
        clause.and(&format!("{at} <= ?"), self.end);
        let limit = clause.value(self.limit);
        let (between, end) = match self.newest_first {
            true => (" DESC, ", " DESC"),
            false => (", ", ""),
        };
        let order = order.join(between);
        format!("{} ORDER BY {order}{end} LIMIT {limit}", clause.part())
    }
}

/// Of an event's deliveries for one webhook the first makes the line, unless a destination or all there is was asked for.
const FIRST: &str = "d.n = (SELECT min(f.n) FROM deliveries f WHERE f.group_uid = d.group_uid AND f.event_id = d.event_id AND f.webhook_uid = d.webhook_uid)";

/// Deliveries as they were made, with what became of them since.
async fn deliveries(
    session: &mut Session<'_>,
    selection: &Selection,
    range: Range,
    all: bool,
) -> Result<Vec<TailItem>, LogError> {
    let mut clause = Where::default();
    let lead = Lead::of(selection);
    let columns = format!("SELECT {EVENT_COLUMNS}, d.seq AS at, {DELIVERY_COLUMNS} FROM");
    let end = |clause: &mut Where, order: &[&str]| {
        status(clause, selection);
        if !all && selection.destination.is_none() {
            clause.and_plain(FIRST);
        }
        range.close(clause, "d.seq", order)
    };
    lead.scope(&mut clause, selection);
    let mut sql = format!("{columns} {}", lead.from());
    if lead == Lead::Events {
        // The event that `after` is among the deliveries of, and all behind it.
        clause.and(
            "e.seq >= (SELECT coalesce(max(seq), 0) FROM events WHERE seq <= ?)",
            range.after,
        );
        clause.and("e.seq <= ?", range.end);
        let rest = end(&mut clause, &["e.seq", "d.seq"]);
        Lead::Added.scope(&mut clause, selection);
        let added = end(&mut clause, &["d.seq"]);
        sql = format!(
            "({sql}{rest}) UNION ALL ({columns} {}{added})",
            Lead::Added.from()
        );
    } else {
        sql.push_str(&end(&mut clause, &["d.seq"]));
    }
    let rows = clause.query(session, &sql).await?;
    rows.iter()
        .map(|row| {
            let at = row.try_get(EVENT_WIDTH).map_err(Fault::from)?;
            Ok(TailItem {
                cursor: cursor(at),
                event: event_at(row, 0)?,
                delivery: Some(delivery_at(row, EVENT_WIDTH + 1)?),
                change: false,
            })
        })
        .collect()
}

/// Events that no webhook matched.
async fn unmatched(
    session: &mut Session<'_>,
    selection: &Selection,
    range: Range,
) -> Result<Vec<TailItem>, LogError> {
    let mut clause = Where::default();
    clause.scope(selection, "e", selection.event_id.is_none());
    clause.event(selection);
    clause.and_plain("e.deliveries = 0");
    let rest = range.close(&mut clause, "e.seq", &["e.seq"]);
    let sql = format!("SELECT {EVENT_COLUMNS}, e.seq FROM events e{rest}");
    let rows = clause.query(session, &sql).await?;
    rows.iter()
        .map(|row| {
            let at = row.try_get(EVENT_WIDTH).map_err(Fault::from)?;
            Ok(TailItem {
                cursor: cursor(at),
                event: event_at(row, 0)?,
                delivery: None,
                change: false,
            })
        })
        .collect()
}

/// Changes of deliveries, each as it was then.
async fn changed(
    session: &mut Session<'_>,
    selection: &Selection,
    range: Range,
) -> Result<Vec<TailItem>, LogError> {
    let mut clause = Where::default();
    clause.scope(selection, "d", false);
    clause.delivery(selection);
    clause.event(selection);
    if let Some(status) = selection.status {
        clause.and_plain(&format!("c.status = {}", status as i32));
    }
    let rest = range.close(&mut clause, "c.seq", &["c.seq"]);
    let sql = format!(
        "SELECT {EVENT_COLUMNS}, c.seq, {DELIVERY_COLUMNS}, c.status, c.attempts, c.reason, c.at FROM changes c
         CROSS JOIN LATERAL (SELECT * FROM deliveries d WHERE d.group_uid = c.group_uid AND d.event_id = c.event_id AND d.n = c.n OFFSET 0) d
         CROSS JOIN {EVENT_OF_IT}{rest}"
    );
    let rows = clause.query(session, &sql).await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut delivery = delivery_at(row, EVENT_WIDTH + 1)?;
        let then = EVENT_WIDTH + 1 + DELIVERY_WIDTH;
        let at = Then::read(row, then)?;
        delivery.status = at.status.into();
        delivery.attempts = u32::try_from(at.attempts).unwrap_or(0);
        delivery.reason = at.reason;
        delivery.next_attempt_time = None;
        delivery.update_time = Some(hookplane_rules::time::to_wire(at.at));
        items.push(TailItem {
            cursor: cursor(row.try_get(EVENT_WIDTH).map_err(Fault::from)?),
            event: event_at(row, 0)?,
            delivery: Some(delivery),
            change: true,
        });
    }
    Ok(items)
}

/// What a delivery was changed to.
struct Then {
    status: i16,
    attempts: i32,
    reason: String,
    at: hookplane_rules::Timestamp,
}

impl Then {
    fn read(row: &tokio_postgres::Row, at: usize) -> Result<Self, Fault> {
        Ok(Self {
            status: row.try_get(at)?,
            attempts: row.try_get(at + 1)?,
            reason: row.try_get(at + 2)?,
            at: hookplane_rules::Timestamp(row.try_get(at + 3)?),
        })
    }
}
