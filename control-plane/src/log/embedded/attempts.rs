//! What is remembered of a delivery's attempts: the newest few, gone with it.

use hookplane_proto::v1::{Attempt, AttemptOutcome};
use hookplane_rules::Timestamp;
use hookplane_rules::text::cut;
use hookplane_rules::time::to_wire;
use prost::Message;
use rusqlite::{Connection, params};

use super::fault::Fault;
use super::tables::{Held, Tables};

/// Of one delivery.
const KEPT: i64 = 50;

/// Of the answer, in bytes.
const EXCERPT_BYTES: usize = 2_048;

/// Of the reason, in bytes.
const REASON_BYTES: usize = 2_048;

/// Remembers one that ended with the change at `seq`. Its number and its outcome are the log's to say.
pub(super) fn remember(
    tables: &Tables<'_>,
    delivery: i64,
    seq: i64,
    attempt: &Attempt,
    number: i64,
    outcome: AttemptOutcome,
) -> Result<(), Fault> {
    let attempt = Attempt {
        number: u32::try_from(number).unwrap_or(0),
        outcome: outcome.into(),
        reason: cut(&attempt.reason, REASON_BYTES).to_owned(),
        excerpt: cut(&attempt.excerpt, EXCERPT_BYTES).to_owned(),
        ..*attempt
    };
    tables
        .db
        .prepare_cached("INSERT INTO attempts (delivery_seq, seq, record) VALUES (?1, ?2, ?3)")?
        .execute(params![delivery, seq, attempt.encode_to_vec()])?;
    tables
        .db
        .prepare_cached(
            "DELETE FROM attempts WHERE delivery_seq = ?1 AND seq <= (
                 SELECT seq FROM attempts WHERE delivery_seq = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute([delivery, KEPT])?;
    Ok(())
}

/// Remembers one whose end nobody told.
pub(super) fn remember_expired(
    tables: &Tables<'_>,
    delivery: i64,
    seq: i64,
    held: Held,
    reason: &str,
) -> Result<(), Fault> {
    let attempt = Attempt {
        start_time: Some(to_wire(Timestamp(held.began))),
        reason: reason.to_owned(),
        mapping_version: u32::try_from(held.mapping_version).unwrap_or(0),
        ..Default::default()
    };
    let expired = AttemptOutcome::Expired;
    remember(tables, delivery, seq, &attempt, held.attempts, expired)
}

/// Oldest first.
pub(super) fn of(db: &Connection, delivery: i64) -> Result<Vec<Vec<u8>>, Fault> {
    let mut read =
        db.prepare_cached("SELECT record FROM attempts WHERE delivery_seq = ?1 ORDER BY seq")?;
    let rows = read.query_map([delivery], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// They go with their delivery.
pub(super) fn forget(db: &Connection, delivery: i64) -> Result<(), Fault> {
    db.prepare_cached("DELETE FROM attempts WHERE delivery_seq = ?1")?
        .execute([delivery])?;
    Ok(())
}
