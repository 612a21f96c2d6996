//! What a selection says, as SQL.

use rusqlite::types::Value;

use crate::log::Selection;

/// A WHERE clause with its values.
#[derive(Default, Clone)]
pub(super) struct Where {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Where {
    pub(super) fn and(&mut self, clause: &str, value: impl Into<Value>) {
        self.holds(clause);
        self.values.push(value.into());
    }

    /// Without a value.
    pub(super) fn holds(&mut self, clause: &str) {
        self.sql.push_str(if self.sql.is_empty() {
            " WHERE "
        } else {
            " AND "
        });
        self.sql.push_str(clause);
    }

    /// What concerns the event.
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
        if selection.unmatched {
            self.holds(
                "e.deliveries = 0 AND NOT EXISTS (SELECT 1 FROM added a WHERE a.event_seq = e.seq)",
            );
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

    /// What concerns the delivery, where something else leads.
    pub(super) fn delivery(&mut self, selection: &Selection) {
        if let Some(webhook) = &selection.webhook_uid {
            self.and("+d.webhook_uid = ?", webhook.clone());
        }
        if let Some(destination) = &selection.destination {
            self.and("+d.destination = ?", destination.clone());
        }
        if let Some(status) = selection.status {
            self.and("+d.status = ?", i64::from(status as i32));
        }
    }

    /// An event has a delivery such as is meant.
    pub(super) fn has_delivery(&mut self, selection: &Selection) {
        let mut clause = Where::default();
        clause.delivery(selection);
        if clause.sql.is_empty() {
            return;
        }
        let such = clause.sql.replacen(" WHERE ", " AND ", 1);
        self.holds(&format!(
            "(EXISTS (SELECT 1 FROM deliveries d WHERE d.seq > e.seq AND d.seq <= e.seq + e.deliveries{such})
              OR EXISTS (SELECT 1 FROM added a CROSS JOIN deliveries d ON d.seq = a.seq WHERE a.event_seq = e.seq{such}))"
        ));
        self.values.extend(clause.values.iter().cloned());
        self.values.extend(clause.values);
    }
}
