//! Lists, newest first.
//!
//! Every selection can walk an index in the order of the answer, so a page costs what it shows. Which index is PostgreSQL's choice, from its
//! own statistics; a delivery's status is written out, so that the planner sees what the partial indices hold.
//!
//! A selection by text walks like that for a bit, and goes on in the index of words: see [`search`](super::search).

use hookplane_proto::v1;
use tokio_postgres::types::ToSql;

use super::Shared;
use super::fault::Fault;
use super::pool::Session;
use super::read::{
    DELIVERY_COLUMNS, DELIVERY_WIDTH, EVENT_COLUMNS, EVENT_OF_IT, EVENT_WIDTH, OF_EVENT, cursor,
    delivery_at, event_at, seq,
};
use super::search::Search;
use super::spans::Span;
use crate::log::{Cursor, LogError, Selection};

/// A WHERE clause with its values.
#[derive(Default)]
pub(super) struct Where {
    pub(super) sql: String,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Where {
    /// Remembers a value, and says what stands for it.
    pub(super) fn value(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }

    /// One more condition; `?` in it is the value.
    pub(super) fn and(&mut self, condition: &str, value: impl ToSql + Sync + Send + 'static) {
        let value = self.value(value);
        self.and_plain(&condition.replace('?', &value));
    }

    /// One more condition without a value.
    pub(super) fn and_plain(&mut self, condition: &str) {
        self.sql.push_str(if self.sql.is_empty() {
            " WHERE "
        } else {
            " AND "
        });
        self.sql.push_str(condition);
    }

    /// What concerns a delivery itself.
    pub(super) fn delivery(&mut self, selection: &Selection) {
        if let Some(webhook) = &selection.webhook_uid {
            self.and("d.webhook_uid = ?", webhook.clone());
        }
        if let Some(destination) = &selection.destination {
            self.and("d.destination = ?", destination.clone());
            // So that the index of those that are not for subscribers can be used.
            if !destination.is_empty() {
                self.and_plain("d.destination <> ''");
            }
        }
    }

    /// The conditions so far, and none from here on: of a part of a statement. The values go on.
    pub(super) fn part(&mut self) -> String {
        std::mem::take(&mut self.sql)
    }

    /// What concerns the event of a selection. Type and time have no index of events: written so that the planner doesn't expect them to leave next to
    /// nothing, and walks the line from where the page begins instead of reading it whole and sorting what is left.
    pub(super) fn event(&mut self, selection: &Selection) {
        if let Some(id) = &selection.event_id {
            self.and("e.id = ?", id.clone());
        }
        if let Some(name) = &selection.event_type {
            let own = self.value(name.clone());
            // The character after a dot ends what is below it. By their bytes, whatever the database's own order is.
            let (from, to) = (
                self.value(format!("{name}.")),
                self.value(format!("{name}/")),
            );
            self.and_plain(&format!(
                "coalesce(e.type = {own} OR (e.type COLLATE \"C\" >= {from} AND e.type COLLATE \"C\" < {to}), false)"
            ));
        }
        if let Some(since) = selection.since {
            self.and("coalesce(e.received >= ?, false)", since.0);
        }
        if let Some(until) = selection.until {
            self.and("coalesce(e.received < ?, false)", until.0);
        }
        if selection.unmatched {
            self.and_plain("e.deliveries = 0");
        }
    }

    /// Whose it is, by the columns of `of`: the narrowest of them by an index if it `leads`. The others only say what is known already, that a group
    /// is of one org and a webhook of one group: written so that the planner asks no index for it, and doesn't expect the fewer rows for it.
    pub(super) fn scope(&mut self, selection: &Selection, of: &str, leads: bool) {
        let is = |column: &str, leads: bool| match leads {
            true => format!("{of}.{column} = ?"),
            false => format!("coalesce({of}.{column} = ?, false)"),
        };
        let group = selection.group_uid.as_ref();
        if let Some(group) = group {
            self.and(&is("group_uid", leads), group.clone());
        }
        if let Some(org) = &selection.org {
            self.and(&is("org", leads && group.is_none()), org.clone());
        }
    }

    /// Within a piece of the line.
    fn span(&mut self, of: &str, first: Option<i64>, last: Option<i64>) {
        if let Some(first) = first {
            self.and(&format!("{of}.seq >= ?"), first);
        }
        if let Some(last) = last {
            self.and(&format!("{of}.seq <= ?"), last);
        }
    }

    /// Runs a statement with these values.
    pub(super) async fn query(
        &self,
        session: &mut Session<'_>,
        sql: &str,
    ) -> Result<Vec<tokio_postgres::Row>, Fault> {
        let values: Vec<&(dyn ToSql + Sync)> = self
            .values
            .iter()
            .map(|value| &**value as &(dyn ToSql + Sync))
            .collect();
        session.query(sql, &values).await
    }
}

/// A statement that walks what is selected, newest first: the columns asked for, then `at`, its place on the line, and `of`, its event's.
pub(super) struct Walk {
    pub(super) sql: String,
    pub(super) clause: Where,
}

/// Walks events.
pub(super) fn events_walk(
    selection: &Selection,
    span: Span,
    before: Option<Cursor>,
    limit: usize,
) -> Walk {
    let mut clause = Where::default();
    clause.scope(selection, "e", selection.event_id.is_none());
    events_conditions(&mut clause, selection);
    if let Some(before) = before {
        clause.and("e.seq < ?", seq(before));
    }
    clause.span("e", span.first, span.last);
    let limit = clause.value(i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT {EVENT_COLUMNS}, e.seq AS at, e.seq AS of FROM events e{} ORDER BY e.seq DESC LIMIT {limit}",
        clause.part()
    );
    Walk { sql, clause }
}

/// All that is asked of an event but for whose it is.
pub(super) fn events_conditions(clause: &mut Where, selection: &Selection) {
    clause.event(selection);
    let of_event = format!("SELECT 1 FROM deliveries d WHERE {OF_EVENT}");
    if let Some(webhook) = &selection.webhook_uid {
        let of = format!("EXISTS ({of_event} AND d.webhook_uid = ?)");
        clause.and(&of, webhook.clone());
    }
    if let Some(destination) = &selection.destination {
        let of = format!("EXISTS ({of_event} AND d.destination = ?)");
        clause.and(&of, destination.clone());
    }
    if let Some(status) = selection.status {
        clause.and_plain(&format!(
            "EXISTS ({of_event} AND d.status = {})",
            status as i32
        ));
    }
}

pub(super) async fn events(
    shared: &Shared,
    selection: &Selection,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Vec<(Cursor, v1::Event)>, LogError> {
    if let Some(search) = Search::of(selection) {
        return search.events(shared, selection, before, limit).await;
    }
    let session = &mut shared.pool.read().await?;
    let span = Span::of(session, selection).await?;
    let Walk { sql, clause } = events_walk(selection, span, before, limit);
    let rows = clause.query(session, &sql).await?;
    rows.iter()
        .map(|row| {
            let at = row.try_get(EVENT_WIDTH).map_err(Fault::from)?;
            Ok((cursor(at), event_at(row, 0)?))
        })
        .collect()
}

/// A status, written out.
pub(super) fn status(clause: &mut Where, selection: &Selection) {
    match selection.status {
        // Of each index of what is pending, one after the other.
        Some(v1::DeliveryStatus::Pending) => clause.and_plain(
            "(d.status = 1 AND d.turn = 0 AND d.destination = '' OR d.status = 1 AND d.turn = 0 AND d.destination <> '' \
              OR d.status = 1 AND d.turn > 0)",
        ),
        Some(status) => clause.and_plain(&format!("d.status = {}", status as i32)),
        None => {}
    }
}

/// Walks deliveries.
pub(super) fn deliveries_walk(
    selection: &Selection,
    span: Span,
    before: Option<Cursor>,
    limit: usize,
) -> Walk {
    // All other statuses are of few, and have indices of their own.
    let lead = match selection.status {
        None | Some(v1::DeliveryStatus::Delivered) => Lead::of(selection),
        Some(_) => Lead::Deliveries,
    };
    let mut clause = Where::default();
    let columns = format!("SELECT {DELIVERY_COLUMNS}, d.seq AS at, e.seq AS of FROM");
    let end = |clause: &mut Where, lead: Lead| {
        status(clause, selection);
        match lead {
            Lead::Events => clause.span("e", span.first, span.last),
            Lead::Deliveries => clause.span("d", span.first, span.last_delivery),
            Lead::Added => clause.span("d", span.first, None),
            Lead::Event => {}
        }
        if let Some(before) = before {
            let at = clause.value(seq(before));
            clause.and_plain(&format!("d.seq < {at}"));
            if lead == Lead::Events {
                clause.and_plain(&format!("e.seq < {at}"));
            }
        }
    };
    lead.scope(&mut clause, selection);
    end(&mut clause, lead);
    let limit = clause.value(i64::try_from(limit).unwrap_or(i64::MAX));
    let from = lead.from();
    let part = clause.part();
    let sql = match lead {
        Lead::Deliveries | Lead::Event | Lead::Added => {
            format!("{columns} {from}{part} ORDER BY d.seq DESC LIMIT {limit}")
        }
        Lead::Events => {
            Lead::Added.scope(&mut clause, selection);
            end(&mut clause, Lead::Added);
            format!(
                "({columns} {from}{part} ORDER BY e.seq DESC, d.seq DESC LIMIT {limit})
                 UNION ALL ({columns} {}{} ORDER BY d.seq DESC LIMIT {limit}) ORDER BY at DESC LIMIT {limit}",
                Lead::Added.from(),
                clause.part()
            )
        }
    };
    Walk { sql, clause }
}

pub(super) async fn deliveries(
    shared: &Shared,
    selection: &Selection,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Vec<(Cursor, v1::Delivery)>, LogError> {
    if selection.unmatched {
        return Ok(Vec::new());
    }
    if let Some(search) = Search::of(selection) {
        return search.deliveries(shared, selection, before, limit).await;
    }
    let session = &mut shared.pool.read().await?;
    let span = Span::of(session, selection).await?;
    let Walk { sql, clause } = deliveries_walk(selection, span, before, limit);
    let rows = clause.query(session, &sql).await?;
    rows.iter()
        .map(|row| {
            let at = row.try_get(DELIVERY_WIDTH).map_err(Fault::from)?;
            Ok((cursor(at), delivery_at(row, 0)?))
        })
        .collect()
}

/// What leads on a walk over deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// The line itself, or the index of a webhook, of a destination or of a status.
    Deliveries,
    /// One event.
    Event,
    /// An index of events: the deliveries that were made with them follow them on the line, before the next event. [`Added`](Self::Added) has the
    /// others.
    Events,
    /// An index of the deliveries that were made later than their events.
    Added,
}

impl Lead {
    /// Of a walk up or down the line.
    pub(super) fn of(selection: &Selection) -> Self {
        let scoped = selection.org.is_some() || selection.group_uid.is_some();
        if selection.event_id.is_some() {
            Lead::Event
        } else if scoped && selection.webhook_uid.is_none() {
            Lead::Events
        } else {
            Lead::Deliveries
        }
    }

    /// The tables, the one that leads first: the other's rows are looked up one by one as far as the page goes, never joined as a whole.
    pub(super) fn from(self) -> String {
        match self {
            Lead::Deliveries | Lead::Added => format!("deliveries d CROSS JOIN {EVENT_OF_IT}"),
            Lead::Events | Lead::Event => format!(
                "events e CROSS JOIN LATERAL (SELECT * FROM deliveries d WHERE {OF_EVENT} OFFSET 0) d"
            ),
        }
    }

    /// The selection's conditions but for the status, on the table that leads.
    pub(super) fn scope(self, clause: &mut Where, selection: &Selection) {
        let (of, leads) = match self {
            Lead::Event => ("e", false),
            Lead::Events => ("e", true),
            Lead::Added => ("d", true),
            Lead::Deliveries => (
                "d",
                selection.event_id.is_none() && selection.webhook_uid.is_none(),
            ),
        };
        clause.scope(selection, of, leads);
        clause.delivery(selection);
        clause.event(selection);
        match self {
            Lead::Events => clause.and_plain("NOT d.added"),
            Lead::Added => clause.and_plain("d.added"),
            Lead::Deliveries | Lead::Event => {}
        }
    }
}
