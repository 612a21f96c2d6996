//! The tail: what came and changed, in order.

use rusqlite::{Connection, params_from_iter};

use super::EmbeddedLog;
use super::fault::Fault;
use super::index::{Patience, Words};
use super::read::{DELIVERY_COLUMNS, EVENT_COLUMNS, RawDelivery, RawEvent, cursor, seq};
use super::selection::Where;
use crate::log::{Cursor, LogError, Selection, TailItem};

/// A line of the tail before it is decoded.
struct RawItem {
    seq: i64,
    event: RawEvent,
    delivery: Option<RawDelivery>,
    change: bool,
}

impl RawItem {
    fn decode(self) -> Result<TailItem, LogError> {
        Ok(TailItem {
            cursor: cursor(self.seq),
            event: self.event.decode()?,
            delivery: self.delivery.map(RawDelivery::decode),
            change: self.change,
        })
    }
}

/// A piece of the line, and from which end it is walked until there is enough.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    after: i64,
    /// Committed when the call began.
    until: i64,
    pub(super) limit: usize,
    newest_first: bool,
}

impl Stretch {
    pub(super) fn of(after: Cursor, until: Cursor, limit: usize) -> Self {
        Self {
            after: seq(after),
            until: seq(until),
            limit,
            newest_first: false,
        }
    }

    pub(super) fn newest_first(self) -> Self {
        Self {
            newest_first: true,
            ..self
        }
    }
}

impl EmbeddedLog {
    /// What the stretch has of the selection, in order.
    pub(super) async fn lines(
        &self,
        selection: &Selection,
        stretch: Stretch,
        changes: bool,
    ) -> Result<Vec<TailItem>, LogError> {
        let selection = selection.clone();
        let items = self.read(move |db| tail(db, &selection, stretch, changes));
        items.await?.into_iter().map(RawItem::decode).collect()
    }
}

/// Walks the line (deliveries, those that were added, events without any, changes), merged, in order.
///
/// Unless changes are asked for, a webhook has one line of an event, whatever the number of its destinations: the first one's.
fn tail(
    db: &Connection,
    selection: &Selection,
    stretch: Stretch,
    changes: bool,
) -> Result<Vec<RawItem>, Fault> {
    let mut tail = Tail {
        db,
        words: Words::of(selection),
        stretch,
        items: Vec::new(),
    };
    if !selection.unmatched {
        let first_only = !changes && selection.destination.is_none();
        tail.deliveries(selection, first_only)?;
    }
    let of_delivery = selection.webhook_uid.is_some() || selection.destination.is_some();
    if !of_delivery && selection.status.is_none() {
        let mut clause = Where::default();
        clause.and("e.deliveries = ?", 0i64);
        clause.scope(selection);
        clause.event(selection);
        tail.walk("events e", "e.seq", &["e.seq"], clause, Walk::Events)?;
    }
    if changes && !selection.unmatched {
        let mut clause = Where::default();
        let of = Selection {
            status: None,
            ..selection.clone()
        };
        clause.delivery(&of);
        clause.within(selection);
        clause.event(selection);
        if let Some(status) = selection.status {
            clause.and("c.status = ?", i64::from(status as i32));
        }
        tail.walk(CHANGES, "c.seq", &["c.seq"], clause, Walk::Changes)?;
    }
    let mut items = tail.items;
    items.sort_by_key(|item| item.seq);
    if stretch.newest_first {
        items.drain(..items.len().saturating_sub(stretch.limit));
    } else {
        items.truncate(stretch.limit);
    }
    Ok(items)
}

const LINE: &str = "deliveries d CROSS JOIN events e ON e.seq = d.event_seq";
const BEHIND_EVENTS: &str =
    "events e CROSS JOIN deliveries d ON d.seq > e.seq AND d.seq <= e.seq + e.deliveries";
const ADDED: &str =
    "added a CROSS JOIN deliveries d ON d.seq = a.seq CROSS JOIN events e ON e.seq = a.event_seq";
const CHANGES: &str = "changes c CROSS JOIN deliveries d ON d.seq = c.delivery_seq CROSS JOIN events e ON e.seq = d.event_seq";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    Deliveries,
    Events,
    Changes,
}

/// What was walked so far.
struct Tail<'a> {
    db: &'a Connection,
    words: Option<Words>,
    stretch: Stretch,
    items: Vec<RawItem>,
}

impl Tail<'_> {
    fn deliveries(&mut self, selection: &Selection, first_only: bool) -> Result<(), Fault> {
        let rest = |mut clause: Where| {
            clause.event(selection);
            clause.delivery(selection);
            if first_only {
                clause.holds("+d.further = 0");
            }
            clause
        };
        let scoped = selection.org.is_some() || selection.group_uid.is_some();
        let mut clause = Where::default();
        if let Some(webhook) = &selection.webhook_uid
            && selection.event_id.is_none()
        {
            clause.and("d.webhook_uid = ?", webhook.clone());
        } else if scoped || selection.event_id.is_some() {
            // The event that `after` is among the deliveries of, and all behind it.
            let from: i64 = self
                .db
                .prepare_cached("SELECT coalesce(max(seq), 0) FROM events WHERE seq <= ?1")?
                .query_row([self.stretch.after], |row| row.get(0))?;
            match selection.event_id {
                Some(_) => clause.within(selection),
                None => clause.scope(selection),
            }
            clause.and("e.seq >= ?", from);
            if self.stretch.newest_first {
                clause.and("e.seq < ?", self.stretch.until);
            }
            let order = &["e.seq", "d.seq"];
            self.walk(
                BEHIND_EVENTS,
                // The plus keeps the planner to each event's own deliveries.
                "+d.seq",
                order,
                rest(clause),
                Walk::Deliveries,
            )?;
            let mut clause = Where::default();
            if let Some(group) = &selection.group_uid {
                clause.and("a.group_uid = ?", group.clone());
            } else if let Some(org) = &selection.org {
                clause.and("a.org = ?", org.clone());
            }
            clause.within(selection);
            return self.walk(ADDED, "a.seq", &["a.seq"], rest(clause), Walk::Deliveries);
        }
        clause.within(selection);
        self.walk(LINE, "d.seq", &["d.seq"], rest(clause), Walk::Deliveries)
    }

    fn walk(
        &mut self,
        from: &str,
        at: &str,
        order: &[&str],
        mut clause: Where,
        kind: Walk,
    ) -> Result<(), Fault> {
        clause.and(&format!("{at} > ?"), self.stretch.after);
        clause.and(&format!("{at} <= ?"), self.stretch.until);
        let (between, end) = match self.stretch.newest_first {
            true => (" DESC, ", " DESC"),
            false => (", ", ""),
        };
        let order = order.join(between);
        let columns = match kind {
            Walk::Events => String::new(),
            Walk::Deliveries => format!(", {DELIVERY_COLUMNS}"),
            Walk::Changes => format!(", {DELIVERY_COLUMNS}, c.status, c.attempts, c.reason, c.at"),
        };
        let mut statement = self.db.prepare_cached(&format!(
            "SELECT {EVENT_COLUMNS}, {at}{columns} FROM {from}{} ORDER BY {order}{end}",
            clause.sql
        ))?;
        let mut rows = statement.query(params_from_iter(clause.values))?;
        let mut found = 0;
        let patience = Patience::default();
        while found < self.stretch.limit
            && let Some(row) = rows.next()?
        {
            patience.check()?;
            let event = RawEvent::read(row, 0)?;
            if let Some(words) = &self.words
                && !event.has(words)?
            {
                continue;
            }
            let at = RawEvent::COLUMNS;
            let mut delivery = match kind {
                Walk::Events => None,
                _ => Some(RawDelivery::read(row, at + 1)?),
            };
            if let (Walk::Changes, Some(delivery)) = (kind, &mut delivery) {
                let at = at + 1 + RawDelivery::COLUMNS;
                delivery.status = row.get(at)?;
                delivery.attempts = row.get(at + 1)?;
                delivery.reason = row.get(at + 2)?;
                delivery.updated = row.get(at + 3)?;
            }
            self.items.push(RawItem {
                seq: row.get(at)?,
                event,
                delivery,
                change: kind == Walk::Changes,
            });
            found += 1;
        }
        // What is further on than these is in no answer: the next walk needn't look there, where it may find nothing for long.
        if let Some(last) = self.items.last()
            && found == self.stretch.limit
        {
            match self.stretch.newest_first {
                true => self.stretch.after = last.seq - 1,
                false => self.stretch.until = last.seq,
            }
        }
        Ok(())
    }
}
