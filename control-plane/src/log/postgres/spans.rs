//! Where on the line what was received within a time is. Events are received about in the order in which they are kept, and never quite: so for each
//! block of the line it is remembered what its earliest and latest one were, as it is indexed, and a list by time walks from the last block that can
//! have something to the first, instead of over all that is newer or older.

use super::fault::Fault;
use super::line::PLACES;
use super::pool::Session;
use crate::log::Selection;

/// Of a walk, each end included. None: it goes as far as there is something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: Option<i64>,
    /// Of events.
    pub(super) last: Option<i64>,
    /// Of deliveries, those that were made later too.
    pub(super) last_delivery: Option<i64>,
}

impl Span {
    /// All that a selection's times leave.
    pub(super) async fn of(
        session: &mut Session<'_>,
        selection: &Selection,
    ) -> Result<Self, Fault> {
        if selection.event_id.is_some() || (selection.since.is_none() && selection.until.is_none())
        {
            return Ok(Self::default());
        }
        // What isn't indexed yet, a moment's worth, is looked at.
        const SQL: &str =
            "SELECT coalesce((SELECT min(first_seq) FROM spans WHERE last_received >= $1), seq),
                coalesce((SELECT max(last_seq) FROM spans WHERE first_received < $2), 0),
                (SELECT count(*) = 10000 OR coalesce(bool_or(received < $2), false) FROM (
                     SELECT received FROM events WHERE events.seq > text_mark.seq ORDER BY events.seq LIMIT 10000) AS lately)
            FROM text_mark";
        let since = selection.since.map(|since| since.0);
        let until = selection.until.map(|until| until.0);
        let Some(row) = session.query_opt(SQL, &[&since, &until]).await? else {
            return Ok(Self::default());
        };
        let first: i64 = row.try_get(0)?;
        let mut span = Self {
            first: since.map(|_| first),
            ..Self::default()
        };
        let last: i64 = row.try_get(1)?;
        if until.is_none() || row.try_get(2)? {
            return Ok(span);
        }
        span.last = Some(last);
        // Deliveries stand in their event's transaction, but for those that were added.
        let last_delivery = last.saturating_add(PLACES.into());
        const ADDED: &str = "SELECT EXISTS (SELECT FROM deliveries WHERE added AND seq > $1 AND (org = $2 OR $2 IS NULL))";
        let row = session
            .query_opt(ADDED, &[&last_delivery, &selection.org])
            .await?;
        let is_added = row.map(|row| row.try_get(0)).transpose()?;
        span.last_delivery = (is_added == Some(false)).then_some(last_delivery);
        Ok(span)
    }
}
