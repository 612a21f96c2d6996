//! Lists, newest first.
//!
//! Every selection walks an index in the order of the answer, and filters on columns of that index where it can, so a page costs what it shows and
//! never a sort.

use hookplane_proto::v1;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::fault::Fault;
use super::read::{DELIVERY_COLUMNS, EVENT_COLUMNS, RawDelivery, RawEvent, cursor, seq};
use crate::log::{Cursor, Selection};

/// A WHERE clause with its values.
#[derive(Default)]
pub(super) struct Where {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Where {
    pub(super) fn and(&mut self, clause: &str, value: impl Into<Value>) {
        self.sql.push_str(if self.sql.is_empty() {
            " WHERE "
        } else {
            " AND "
        });
        self.sql.push_str(clause);
        self.values.push(value.into());
    }

    /// What concerns the event of a selection.
    pub(super) fn event(&mut self, selection: &Selection) {
        if let Some(id) = &selection.event_id {
            self.and("e.id = ?", id.clone());
        }
        if let Some(name) = &selection.event_type {
            // The character after a dot ends what is below it.
            self.and("(e.type = ?", name.clone());
            self.sql.push_str(" OR (e.type >= ? AND e.type < ?))");
            self.values.push(format!("{name}.").into());
            self.values.push(format!("{name}/").into());
        }
        if let Some(since) = selection.since {
            self.and("e.received >= ?", since.0);
        }
        if let Some(until) = selection.until {
            self.and("e.received < ?", until.0);
        }
    }

    /// The narrowest of what an index of events leads with.
    pub(super) fn scope(&mut self, selection: &Selection) {
        match (&selection.group_uid, &selection.org) {
            (Some(group), org) => {
                self.and("e.group_uid = ?", group.clone());
                if let Some(org) = org {
                    // The plus keeps the planner on the group's index.
                    self.and("+e.org = ?", org.clone());
                }
            }
            (None, Some(org)) => self.and("e.org = ?", org.clone()),
            (None, None) => {}
        }
    }

    /// The same, where something else leads.
    pub(super) fn within(&mut self, selection: &Selection) {
        if let Some(group) = &selection.group_uid {
            self.and("+e.group_uid = ?", group.clone());
        }
        if let Some(org) = &selection.org {
            self.and("+e.org = ?", org.clone());
        }
    }

    fn limit(&mut self, limit: usize) {
        self.values
            .push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    }
}

/// The statement that lists events, without its columns.
fn events_clause(selection: &Selection, before: Option<Cursor>, limit: usize) -> Where {
    let mut clause = Where::default();
    clause.scope(selection);
    clause.event(selection);
    if let Some(webhook) = &selection.webhook_uid {
        clause.and(
            "EXISTS (SELECT 1 FROM deliveries d WHERE d.seq > e.seq AND d.seq <= e.seq + e.deliveries AND +d.webhook_uid = ?)",
            webhook.clone(),
        );
    }
    if let Some(status) = selection.status {
        clause.and(
            "EXISTS (SELECT 1 FROM deliveries d WHERE d.seq > e.seq AND d.seq <= e.seq + e.deliveries AND +d.status = ?)",
            i64::from(status as i32),
        );
    }
    if let Some(before) = before {
        clause.and("e.seq < ?", seq(before));
    }
    clause.limit(limit);
    clause.sql = format!("FROM events e{} ORDER BY e.seq DESC LIMIT ?", clause.sql);
    clause
}

pub(super) fn events(
    db: &Connection,
    selection: &Selection,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Vec<(Cursor, RawEvent)>, Fault> {
    let clause = events_clause(selection, before, limit);
    let mut statement = db.prepare_cached(&format!("SELECT {EVENT_COLUMNS} {}", clause.sql))?;
    let rows = statement.query_map(params_from_iter(clause.values), |row| {
        let event = RawEvent::read(row, 0)?;
        Ok((cursor(event.seq), event))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What leads on a walk over deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// The line itself, or the index of a webhook or of a status.
    Deliveries,
    /// An index of events: their deliveries follow them on the line.
    Events,
    /// The index of those that are pending, which are few: sorted.
    Pending,
}

impl Lead {
    /// Of a walk up or down the line.
    pub(super) fn of(selection: &Selection) -> Self {
        let scoped = selection.org.is_some() || selection.group_uid.is_some();
        if selection.event_id.is_some() || (scoped && selection.webhook_uid.is_none()) {
            Lead::Events
        } else {
            Lead::Deliveries
        }
    }

    pub(super) fn from(self) -> &'static str {
        match self {
            Lead::Deliveries => "deliveries d CROSS JOIN events e ON e.seq = d.event_seq",
            Lead::Events => {
                "events e CROSS JOIN deliveries d ON d.seq > e.seq AND d.seq <= e.seq + e.deliveries"
            }
            Lead::Pending => {
                "deliveries d INDEXED BY deliveries_pending CROSS JOIN events e ON e.seq = d.event_seq"
            }
        }
    }

    pub(super) fn clause(self, selection: &Selection) -> Where {
        let mut clause = Where::default();
        if let Some(webhook) = &selection.webhook_uid {
            let led = if self == Lead::Events { "+" } else { "" };
            clause.and(&format!("{led}d.webhook_uid = ?"), webhook.clone());
        }
        if self == Lead::Events && selection.event_id.is_none() {
            clause.scope(selection);
        } else {
            clause.within(selection);
        }
        clause.event(selection);
        clause
    }
}

/// Up to so many pending deliveries are sorted rather than looked for among all.
const FEW_PENDING: i64 = 1_000;

fn few_are_pending(db: &Connection, webhook_uid: Option<&str>) -> Result<bool, Fault> {
    let of = if webhook_uid.is_some() {
        "AND webhook_uid = ?1"
    } else {
        "AND ?1 IS NULL"
    };
    let counted: i64 = db
        .prepare_cached(&format!(
            "SELECT count(*) FROM (SELECT 1 FROM deliveries INDEXED BY deliveries_pending WHERE status = 1 {of} LIMIT {})",
            FEW_PENDING + 1
        ))?
        .query_row([webhook_uid], |row| row.get(0))?;
    Ok(counted <= FEW_PENDING)
}

/// The statement that lists deliveries, without its columns.
fn deliveries_clause(
    db: &Connection,
    selection: &Selection,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Where, Fault> {
    let lead = match selection.status {
        _ if selection.event_id.is_some() => Lead::Events,
        Some(v1::DeliveryStatus::Pending)
            if few_are_pending(db, selection.webhook_uid.as_deref())? =>
        {
            Lead::Pending
        }
        // Those that are leased, and those that are stuck, have indices of their own.
        Some(status) if status == v1::DeliveryStatus::Leased || status as i32 >= STUCK => {
            Lead::Deliveries
        }
        _ => Lead::of(selection),
    };
    let mut clause = lead.clause(selection);
    if let Some(status) = selection.status {
        // Written out, so that the planner sees what the partial indices hold.
        let status = status as i32;
        clause.sql.push_str(if clause.sql.is_empty() {
            " WHERE "
        } else {
            " AND "
        });
        clause.sql.push_str(&format!("d.status = {status}"));
        if status >= STUCK {
            // SQLite sees an index's own condition and draws no conclusions.
            clause.sql.push_str(&format!(" AND d.status >= {STUCK}"));
        }
    }
    if let Some(before) = before {
        clause.and("d.seq < ?", seq(before));
        if lead == Lead::Events {
            clause.and("e.seq < ?", seq(before));
        }
    }
    clause.limit(limit);
    let order = match lead {
        Lead::Events => "e.seq DESC, d.seq DESC",
        Lead::Deliveries | Lead::Pending => "d.seq DESC",
    };
    clause.sql = format!(
        "FROM {}{} ORDER BY {order} LIMIT ?",
        lead.from(),
        clause.sql
    );
    Ok(clause)
}

/// Held and what is greater: see `deliveries_stuck`.
const STUCK: i32 = v1::DeliveryStatus::Held as i32;

pub(super) fn deliveries(
    db: &Connection,
    selection: &Selection,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Vec<(Cursor, RawDelivery)>, Fault> {
    let clause = deliveries_clause(db, selection, before, limit)?;
    let mut statement = db.prepare_cached(&format!("SELECT {DELIVERY_COLUMNS} {}", clause.sql))?;
    let rows = statement.query_map(params_from_iter(clause.values), |row| {
        let delivery = RawDelivery::read(row, 0)?;
        Ok((cursor(delivery.seq), delivery))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::embedded::schema;
    use hookplane_rules::Timestamp;

    fn plan(db: &Connection, columns: &str, clause: &Where) -> String {
        let sql = format!("EXPLAIN QUERY PLAN SELECT {columns} {}", clause.sql);
        let mut statement = db.prepare(&sql).expect("is SQL");
        let steps = statement
            .query_map(params_from_iter(&clause.values), |row| {
                row.get::<_, String>(3)
            })
            .expect("runs");
        let steps: Vec<String> = steps.collect::<Result<_, _>>().expect("reads");
        steps.join("; ")
    }

    /// What may be selected by, by itself and together.
    fn selections() -> Vec<(&'static str, Selection)> {
        let any = Selection::default;
        let text = |text: &str| Some(text.to_owned());
        let by_org = || Selection {
            org: text("acme"),
            ..any()
        };
        let by_group = || Selection {
            group_uid: text("g"),
            ..by_org()
        };
        let by_webhook = || Selection {
            webhook_uid: text("w"),
            ..by_group()
        };
        let mut all = vec![
            ("any", any()),
            ("org", by_org()),
            ("group", by_group()),
            ("webhook", by_webhook()),
        ];
        for index in 0..all.len() {
            let (name, selection) = all[index].clone();
            all.push((
                name,
                Selection {
                    event_type: text("order.paid"),
                    since: Some(Timestamp(1)),
                    until: Some(Timestamp(2)),
                    ..selection
                },
            ));
        }
        all
    }

    fn opened() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().expect("a directory");
        let (_, _, db) = schema::open(dir.path(), true).expect("opens");
        (dir, db)
    }

    #[test]
    fn lists_of_events_walk_an_index_and_sort_nothing() {
        let (_dir, db) = opened();
        for (name, selection) in selections() {
            for before in [None, Some(Cursor(9))] {
                let plan = plan(&db, EVENT_COLUMNS, &events_clause(&selection, before, 10));
                let index = match (name, before) {
                    ("any", None) => "SCAN e;",
                    ("any", _) => "SEARCH e USING INTEGER PRIMARY KEY (rowid<?)",
                    ("org", _) => "SEARCH e USING INDEX events_by_org (org=?",
                    _ => "SEARCH e USING INDEX events_by_group (group_uid=?",
                };
                assert!(format!("{plan};").starts_with(index), "{name}: {plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{name}: {plan}");
            }
        }
    }

    #[test]
    fn lists_of_deliveries_walk_an_index_and_sort_no_more_than_a_few() {
        let (_dir, db) = opened();
        for (name, selection) in selections() {
            for status in [None, Some(1), Some(2), Some(3), Some(4), Some(5)] {
                let selection = Selection {
                    status: status.map(|status| v1::DeliveryStatus::try_from(status).expect("one")),
                    ..selection.clone()
                };
                let clause = deliveries_clause(&db, &selection, Some(Cursor(9)), 10);
                let plan = plan(&db, DELIVERY_COLUMNS, &clause.expect("a clause"));
                let index = match (name, status) {
                    (_, Some(1)) => "USING INDEX deliveries_pending",
                    (_, Some(4..)) => "SEARCH d USING INDEX deliveries_stuck (status=? AND seq<?)",
                    ("webhook", _) => {
                        "SEARCH d USING INDEX deliveries_by_webhook (webhook_uid=? AND seq<?)"
                    }
                    (_, Some(2)) => "USING INDEX deliveries_leased (seq<?)",
                    ("any", _) => "SEARCH d USING INTEGER PRIMARY KEY (rowid<?)",
                    ("org", _) => "SEARCH e USING INDEX events_by_org (org=? AND seq<?",
                    _ => "SEARCH e USING INDEX events_by_group (group_uid=? AND seq<?",
                };
                assert!(plan.contains(index), "{name} {status:?}: {plan}");
                let sorts = plan.contains("TEMP B-TREE");
                assert_eq!(sorts, status == Some(1), "{name} {status:?}: {plan}");
            }
        }
    }
}
