//! Which events are listed.

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::{Fault, Page, Where};
use crate::log::embedded::index::{self, Sought};

pub(super) fn places(page: &Page<'_>) -> Result<Vec<i64>, Fault> {
    let selection = page.selection;
    if selection.event_id.is_some() {
        return page.walk(EVENTS, &one(page), "e.seq DESC");
    }
    let ranges = index::ranges(page.db, selection)?;
    let Some(sought) = Sought::of(selection) else {
        return along(page, &ranges);
    };
    let mut places = Vec::new();
    if page.words.is_none() {
        // What isn't in the index yet.
        let behind = (index::mark(page.db)? + 1, i64::MAX);
        places = along(page, &[behind])?;
    }
    let mut clause = checked(page);
    let mut check = page.prepare(&format!("{EVENTS}{}", clause.sql))?;
    page.note(index::FIND)?;
    for (from, to) in ranges {
        sought.each(
            page.db,
            (from, to.min(page.before.saturating_sub(1))),
            |place| {
                if places.len() < page.limit {
                    clause.values[0] = Value::Integer(place);
                    if check.exists(params_from_iter(&clause.values))? {
                        places.push(place);
                    }
                }
                Ok(places.len() >= page.limit)
            },
        )?;
    }
    if selection.webhook_uid.is_some() || selection.destination.is_some() {
        places.extend(page.walk(ADDED, &added(page), "a.event_seq DESC")?);
    }
    Ok(places)
}

const EVENTS: &str = "SELECT e.seq, e.seq FROM events e";
/// Events that got deliveries later: their documents don't say so.
const ADDED: &str =
    "SELECT a.event_seq, a.event_seq FROM added a CROSS JOIN events e ON e.seq = a.event_seq";

/// By its id.
fn one(page: &Page<'_>) -> Where {
    let mut clause = Where::default();
    clause.event(page.selection);
    clause.within(page.selection);
    clause.has_delivery(page.selection);
    clause.and("+e.seq < ?", page.before);
    clause
}

/// Along the line, or the part of it that is a group's or an org's.
fn along(page: &Page<'_>, ranges: &[(i64, i64)]) -> Result<Vec<i64>, Fault> {
    let mut places = Vec::new();
    for range in ranges {
        if places.len() < page.limit {
            places.extend(page.walk(EVENTS, &line(page, *range), "e.seq DESC")?);
        }
    }
    Ok(places)
}

fn line(page: &Page<'_>, (from, to): (i64, i64)) -> Where {
    let mut clause = Where::default();
    clause.scope(page.selection);
    clause.and("e.seq >= ?", from);
    clause.and("e.seq <= ?", to.min(page.before.saturating_sub(1)));
    clause.event(page.selection);
    clause.has_delivery(page.selection);
    clause
}

/// The statement that looks at one event, whose place is the first value.
fn checked(page: &Page<'_>) -> Where {
    let mut clause = Where::default();
    clause.and("e.seq = ?", 0i64);
    clause.within(page.selection);
    clause.event(page.selection);
    clause.has_delivery(page.selection);
    clause
}

fn added(page: &Page<'_>) -> Where {
    let mut clause = Where::default();
    if let Some(webhook) = &page.selection.webhook_uid {
        clause.and("a.webhook_uid = ?", webhook.clone());
    }
    clause.and("a.event_seq < ?", page.before);
    clause.within(page.selection);
    clause.event(page.selection);
    clause.has_delivery(page.selection);
    clause
}
