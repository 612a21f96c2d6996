//! Lists, newest first.
//!
//! ```text
//!   what leads: an id ▏ the line ▏ an index of the log ▏ the text index ─▶ places, newest first, each looked at ─▶ a page ─▶ its rows
//! ```
//!
//! Every selection walks an index in the order of the answer, so a page costs what it shows and never a sort, but of a few. Where several lead,
//! as several webhooks of a group do, each gives a page of its own, and the newest of all are shown.

mod deliveries;
mod events;
#[cfg(test)]
mod plans;

use std::cell::RefCell;

use rusqlite::{CachedStatement, Connection, params_from_iter};

use super::Plans;
use super::fault::Fault;
use super::index::{self, Words};
use super::read::{self, RawDelivery, RawEvent, cursor, seq};
use super::selection::Where;
use crate::log::{Cursor, Selection};

/// Events, with the cursor to go on from.
pub(super) fn events(
    db: &Connection,
    selection: &Selection,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Vec<(Cursor, RawEvent)>, Fault> {
    let page = Page::new(db, selection, before, limit);
    let mut found = Vec::new();
    for place in page.newest(events::places(&page)?) {
        if let Some(event) = read::event_at(db, place)? {
            found.push((cursor(place), event));
        }
    }
    Ok(found)
}

/// Deliveries, with the cursor to go on from.
pub(super) fn deliveries(
    db: &Connection,
    selection: &Selection,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Vec<(Cursor, RawDelivery)>, Fault> {
    let page = Page::new(db, selection, before, limit);
    let mut found = Vec::new();
    for place in page.newest(deliveries::places(&page)?) {
        if let Some(delivery) = read::delivery_at(db, place)? {
            found.push((cursor(place), delivery));
        }
    }
    Ok(found)
}

/// Of the same two lists, the plans of what leads to their places, as SQLite tells them: which index is walked, and how.
pub(super) fn plans(
    db: &Connection,
    selection: &Selection,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Plans, Fault> {
    let plans = |places: fn(&Page<'_>) -> Result<Vec<i64>, Fault>| {
        let page = Page {
            plans: Some(RefCell::default()),
            ..Page::new(db, selection, before, limit)
        };
        let done = places(&page).map(drop);
        let mut plans = page.plans.map(RefCell::into_inner).unwrap_or_default();
        plans.dedup();
        done.map(|()| plans)
    };
    Ok(Plans {
        events: plans(events::places)?,
        deliveries: plans(deliveries::places)?,
    })
}

/// What is asked for.
struct Page<'a> {
    db: &'a Connection,
    selection: &'a Selection,
    words: Option<Words>,
    before: i64,
    limit: usize,
    /// Of the statements that were run, where somebody asks for them.
    plans: Option<RefCell<Vec<String>>>,
}

impl<'a> Page<'a> {
    fn new(
        db: &'a Connection,
        selection: &'a Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Self {
        Self {
            db,
            selection,
            words: Words::of(selection),
            before: before.map_or(i64::MAX, seq),
            limit,
            plans: None,
        }
    }

    /// Of what several walks found.
    fn newest(&self, mut places: Vec<i64>) -> Vec<i64> {
        places.sort_unstable_by(|one, two| two.cmp(one));
        places.dedup();
        places.truncate(self.limit);
        places
    }

    /// Of a full page, what is not newer than this isn't shown, and needn't be looked for.
    fn floor(&self, places: &[i64]) -> i64 {
        let last = places.get(self.limit.saturating_sub(1));
        last.copied().unwrap_or(0)
    }

    /// Whether an event has the words, where it wasn't found by them.
    fn has_words(&self, event: i64) -> Result<bool, Fault> {
        let Some(words) = &self.words else {
            return Ok(true);
        };
        let event = read::event_at(self.db, event)?;
        event.map_or(Ok(false), |event| event.has(words))
    }

    /// A statement that leads to places.
    fn prepare(&self, sql: &str) -> Result<CachedStatement<'a>, Fault> {
        self.note(sql)?;
        Ok(self.db.prepare_cached(sql)?)
    }

    /// Notes the plan of a statement that is about to be run. It doesn't depend on the values.
    fn note(&self, sql: &str) -> Result<(), Fault> {
        let Some(plans) = &self.plans else {
            return Ok(());
        };
        let mut plan = self.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let (mut rows, mut steps) = (plan.raw_query(), Vec::new());
        while let Some(row) = rows.next()? {
            steps.push(row.get::<_, String>(3)?);
        }
        plans.borrow_mut().push(steps.join("; "));
        Ok(())
    }

    /// A page of a walk: of each row its place and its event's. `order` is of the walk's own.
    fn walk(&self, from: &str, clause: &Where, order: &str) -> Result<Vec<i64>, Fault> {
        let (places, _) = self.walk_some(from, clause, order, usize::MAX)?;
        Ok(places)
    }

    /// The same, with so many rows looked at and no more; and whether that was enough for the page.
    fn walk_some(
        &self,
        from: &str,
        clause: &Where,
        order: &str,
        most: usize,
    ) -> Result<(Vec<i64>, bool), Fault> {
        let patience = index::Patience::default();
        let mut read = self.prepare(&format!("{from}{} ORDER BY {order}", clause.sql))?;
        let mut rows = read.query(params_from_iter(&clause.values))?;
        let mut places = Vec::new();
        let mut looked_at = 0;
        while places.len() < self.limit
            && let Some(row) = rows.next()?
        {
            if looked_at == most {
                return Ok((places, false));
            }
            looked_at += 1;
            patience.check()?;
            let place: i64 = row.get(0)?;
            // An event that got several deliveries comes several times, one after the other.
            if places.last() != Some(&place) && self.has_words(row.get(1)?)? {
                places.push(place);
            }
        }
        Ok((places, true))
    }
}
