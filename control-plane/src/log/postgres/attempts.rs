//! How each attempt at a delivery ended, the newest [`KEPT`] of them.
//!
//! A row is written in the transaction that ends the attempt. The next one takes the place of the one [`KEPT`] before it, so nothing has to be
//! cleaned away as long as the delivery is there.

use hookplane_proto::v1;
use hookplane_rules::Timestamp;
use hookplane_rules::time::{from_wire, to_wire};
use tokio_postgres::Row;

use super::fault::Fault;
use super::pool::Session;
use super::statement::text;
use crate::log::LogError;

/// Of one delivery.
const KEPT: u32 = 50;
/// Of an answer, and of a reason, in bytes.
const MAX_TEXT_BYTES: usize = 2_048;

/// What was told of attempts, as columns. Where nothing was told of one it has a start of none.
#[derive(Default)]
pub(super) struct Told {
    pub(super) started: Vec<Option<i64>>,
    pub(super) latency: Vec<i64>,
    pub(super) status: Vec<i64>,
    pub(super) reason: Vec<String>,
    pub(super) excerpt: Vec<String>,
    pub(super) mapping_version: Vec<i64>,
}

impl Told {
    pub(super) fn push(&mut self, attempt: Option<&v1::Attempt>) {
        let nothing = v1::Attempt::default();
        self.started.push(attempt.map(|attempt| {
            let time = attempt.start_time.as_ref();
            time.map(from_wire).unwrap_or_default().0
        }));
        let attempt = attempt.unwrap_or(&nothing);
        self.latency.push(attempt.latency_milliseconds.into());
        self.status.push(attempt.status.into());
        self.reason.push(cut(&attempt.reason));
        self.excerpt.push(cut(&attempt.excerpt));
        self.mapping_version.push(attempt.mapping_version.into());
    }
}

/// As it can be stored, and not longer than it may be.
fn cut(of: &str) -> String {
    text(hookplane_rules::text::cut(of, MAX_TEXT_BYTES))
}

/// Part of a statement: writes a row for each of these, which say what [`COLUMNS`] are. Their deliveries have counted it.
pub(super) fn recorded(rows: &str) -> String {
    format!(
        "tried AS (INSERT INTO attempts ({COLUMNS}, group_uid, event_id, n, place)
         SELECT {COLUMNS}, group_uid, event_id, n, (recorded - 1) % {KEPT} FROM {rows}
         ON CONFLICT (group_uid, event_id, n, place) DO UPDATE SET ({COLUMNS}) = ({EXCLUDED}))"
    )
}

const COLUMNS: &str =
    "recorded, number, outcome, started, latency, status, reason, excerpt, mapping_version";
const EXCLUDED: &str = "excluded.recorded, excluded.number, excluded.outcome, excluded.started, excluded.latency, excluded.status, excluded.reason, \
     excluded.excerpt, excluded.mapping_version";

/// Of one delivery, oldest first.
pub(super) async fn history(
    session: &mut Session<'_>,
    group_uid: &str,
    event_id: &str,
    n: i32,
) -> Result<Vec<v1::Attempt>, LogError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM attempts WHERE group_uid = $1 AND event_id = $2 AND n = $3 ORDER BY recorded"
    );
    let rows = session.query(&sql, &[&group_uid, &event_id, &n]).await?;
    let read = |row| -> Result<_, LogError> {
        attempt(row)?.ok_or_else(|| {
            LogError::Damaged(format!(
                "an attempt at delivery {event_id}-{n} can't be read; restore the database from a backup"
            ))
        })
    };
    rows.iter().map(read).collect()
}

/// None where a figure is none of those that are written.
fn attempt(row: &Row) -> Result<Option<v1::Attempt>, Fault> {
    let number = u32::try_from(row.try_get::<_, i32>(1)?);
    let unsigned = |at| Ok::<_, Fault>(u32::try_from(row.try_get::<_, i64>(at)?));
    let figures = (number, unsigned(4)?, unsigned(5)?, unsigned(8)?);
    let (Ok(number), Ok(latency_milliseconds), Ok(status), Ok(mapping_version)) = figures else {
        return Ok(None);
    };
    Ok(Some(v1::Attempt {
        number,
        outcome: row.try_get::<_, i16>(2)?.into(),
        start_time: Some(to_wire(Timestamp(row.try_get(3)?))),
        latency_milliseconds,
        status,
        reason: row.try_get(6)?,
        excerpt: row.try_get(7)?,
        mapping_version,
    }))
}
