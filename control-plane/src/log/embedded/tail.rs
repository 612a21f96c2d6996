//! The tail: what came and changed, in order.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::fault::Fault;
use super::list::{Lead, Where};
use super::read::{DELIVERY_COLUMNS, EVENT_COLUMNS, RawDelivery, RawEvent, cursor, seq};
use crate::log::{Cursor, LogError, Selection, TailItem};

/// A line of the tail before it is decoded.
pub(super) struct RawItem {
    seq: i64,
    event: RawEvent,
    delivery: Option<RawDelivery>,
    change: bool,
}

impl RawItem {
    pub(super) fn decode(self) -> Result<TailItem, LogError> {
        Ok(TailItem {
            cursor: cursor(self.seq),
            event: self.event.decode()?,
            delivery: self.delivery.map(RawDelivery::decode),
            change: self.change,
        })
    }
}

/// Three walks up the line (deliveries, events without any, changes), merged. `newest` was committed when the call began.
pub(super) fn tail(
    db: &Connection,
    selection: &Selection,
    after: Cursor,
    newest: Cursor,
    changes: bool,
    limit: usize,
) -> Result<(Vec<RawItem>, Cursor), Fault> {
    let range = [Value::Integer(seq(after)), Value::Integer(seq(newest))];
    let take = Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX));
    let mut items = Vec::new();
    let mut walk = |from: &str, at: &str, mut clause: Where, kind: Walk| -> Result<(), Fault> {
        clause.and(&format!("{at} > ?"), range[0].clone());
        clause.and(&format!("{at} <= ?"), range[1].clone());
        clause.values.push(take.clone());
        let columns = match kind {
            Walk::Events => format!("{EVENT_COLUMNS}, {at}"),
            Walk::Deliveries(_) => format!("{EVENT_COLUMNS}, {at}, {DELIVERY_COLUMNS}"),
            Walk::Changes => {
                format!(
                    "{EVENT_COLUMNS}, {at}, {DELIVERY_COLUMNS}, c.status, c.attempts, c.reason, c.at"
                )
            }
        };
        let order = match kind {
            Walk::Deliveries(Lead::Events) => "e.seq, d.seq",
            _ => at,
        };
        let mut statement = db.prepare_cached(&format!(
            "SELECT {columns} FROM {from}{} ORDER BY {order} LIMIT ?",
            clause.sql
        ))?;
        let mut rows = statement.query(params_from_iter(clause.values))?;
        while let Some(row) = rows.next()? {
            let mut delivery = match kind {
                Walk::Events => None,
                _ => Some(RawDelivery::read(row, 7)?),
            };
            if let (Walk::Changes, Some(delivery)) = (kind, &mut delivery) {
                let at = 7 + RawDelivery::COLUMNS;
                delivery.status = row.get(at)?;
                delivery.attempts = row.get(at + 1)?;
                delivery.reason = row.get(at + 2)?;
                delivery.updated = row.get(at + 3)?;
            }
            let event = RawEvent::read(row, 0)?;
            items.push(RawItem {
                seq: row.get(6)?,
                event,
                delivery,
                change: kind == Walk::Changes,
            });
        }
        Ok(())
    };
    let lead = Lead::of(selection);
    let mut clause = lead.clause(selection);
    if let Some(status) = selection.status {
        clause.and("+d.status = ?", i64::from(status as i32));
    }
    if lead == Lead::Events {
        // The event that `after` is among the deliveries of, and all behind it.
        let from: i64 = db
            .prepare_cached("SELECT coalesce(max(seq), 0) FROM events WHERE seq <= ?1")?
            .query_row([seq(after)], |row| row.get(0))?;
        clause.and("e.seq >= ?", from);
    }
    walk(lead.from(), "d.seq", clause, Walk::Deliveries(lead))?;
    if selection.webhook_uid.is_none() && selection.status.is_none() {
        let mut clause = Where::default();
        clause.and("e.deliveries = ?", 0i64);
        clause.scope(selection);
        clause.event(selection);
        walk("events e", "e.seq", clause, Walk::Events)?;
    }
    if changes {
        let mut clause = Where::default();
        if let Some(webhook) = &selection.webhook_uid {
            clause.and("+d.webhook_uid = ?", webhook.clone());
        }
        clause.within(selection);
        clause.event(selection);
        if let Some(status) = selection.status {
            clause.and("c.status = ?", i64::from(status as i32));
        }
        let from = "changes c CROSS JOIN deliveries d ON d.seq = c.delivery_seq CROSS JOIN events e ON e.seq = d.event_seq";
        walk(from, "c.seq", clause, Walk::Changes)?;
    }
    items.sort_by_key(|item| item.seq);
    let more = items.len() >= limit;
    items.truncate(limit);
    let next = match items.last() {
        Some(last) if more => cursor(last.seq),
        _ => newest.max(after),
    };
    Ok((items, next))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    Deliveries(Lead),
    Events,
    Changes,
}
