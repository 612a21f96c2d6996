//! Makes what was kept findable by its text, and counts what each group has: behind the appends, which don't wait for it.
//!
//! ```text
//!   events, in order ─▶ from the mark on, some, up to where the line is whole ─▶ words ─▶ `texts`, `totals`, and the mark, in one transaction
//! ```
//!
//! One replica at a time does. What it does is lost with a crash and done again: nobody waits for a disk.

use std::collections::BTreeMap;
use std::time::Duration;

use hookplane_proto::v1;
use prost::Message;

use super::Shared;
use super::fault::Fault;
use super::line::WHOLE;
use super::pool::Session;
use crate::log::{LogError, words};

/// Events of one step.
const STEP_EVENTS: i64 = 256;
/// Of their records, about: a transaction is open while they are read, and it has a second.
const STEP_BYTES: i64 = 1 << 20;
/// Before whoever asked looks again, when all that is left waits for a transaction that is open.
const PAUSE: Duration = Duration::from_millis(20);

/// Blocks of the line by how many places they have, a power of two: see [`block`].
pub(super) const BLOCK_BITS: [u32; 4] = [12, 15, 18, 21];
/// The same for the blocks of `spans`.
const SPAN_BITS: i32 = 12;

/// Held by whoever moves the mark, and shared by those who must not see it move.
pub(super) const MARK_LOCK: &str = "1751805036, 3";
/// Held by the one replica that indexes.
const TURN: &str = "SELECT pg_try_advisory_xact_lock(1751805036, 2)";

/// While words are told apart the transaction is idle. It holds nothing that anybody else waits for but who deletes.
const SETTINGS: &str =
    "SET LOCAL synchronous_commit = off; SET LOCAL idle_in_transaction_session_timeout = 10000";

/// What stands for a block among the words of all that is in it.
pub(super) fn block(bits: u32, place: i64) -> String {
    format!("/{bits}/{}", place >> bits)
}

/// The same for a group.
pub(super) fn group_word(uid: &str) -> String {
    format!("/g/{uid}")
}

/// And for an org.
pub(super) fn org_word(name: &str) -> String {
    format!("/o/{name}")
}

/// One event that is new.
struct New {
    group_uid: String,
    org: String,
    seq: i64,
    received: i64,
    bytes: i64,
    record: Vec<u8>,
}

impl New {
    /// Whoever reads one that is damaged is told so; it has no words.
    fn words(&self) -> Vec<String> {
        let event = v1::Event::decode(&*self.record);
        event.as_ref().map(words::of).unwrap_or_default()
    }
}

/// Does one step. Says whether there is more.
pub(super) async fn index(shared: &Shared) -> Result<bool, LogError> {
    let mut session = shared.pool.call().await?;
    session.begin("").await?;
    session.batch(SETTINGS).await?;
    let turn = session.query_opt(TURN, &[]).await?;
    let is_ours = turn.map(|row| row.try_get(0)).transpose();
    if is_ours.map_err(Fault::from)? != Some(true) {
        session.commit().await?;
        return Ok(false);
    }
    let lock = format!("SELECT pg_advisory_xact_lock({MARK_LOCK})");
    session.query(&lock, &[]).await?;
    let (place, new, held_back) = read(&mut session).await?;
    if new.is_empty() {
        session.commit().await?;
        if held_back {
            drop(session);
            tokio::time::sleep(PAUSE).await;
        } else {
            at_rest(&mut session).await;
        }
        return Ok(held_back);
    }
    // A second of a processor's time for the largest: not a worker's.
    let told = tokio::task::spawn_blocking(move || {
        let words = new.iter().map(New::words).collect();
        (new, words)
    });
    let (new, words) = told
        .await
        .map_err(|error| LogError::Unavailable(format!("telling words apart: {error}")))?;
    write(&mut session, place, &new, words).await?;
    session.commit().await?;
    Ok(true)
}

/// Puts what waits for it into the index of words. PostgreSQL's own vacuum does so too, so it is no matter if it can't be done.
async fn at_rest(session: &mut Session<'_>) {
    let sql = "SELECT gin_clean_pending_list('texts_by_word')";
    if let Err(fault) = session.query(sql, &[]).await {
        tracing::debug!(error = %fault.message, "new words stay in their list for now");
    }
}

/// The last place, what comes behind the mark, and whether there is something that can't be taken yet.
async fn read(session: &mut Session<'_>) -> Result<(i64, Vec<New>, bool), Fault> {
    let sql = format!(
        "WITH step AS MATERIALIZED (
             SELECT group_uid, org, seq, received, octet_length(record)::bigint AS bytes, record FROM events
             WHERE seq > (SELECT seq FROM text_mark) ORDER BY seq LIMIT $1
         ), sized AS (SELECT *, sum(bytes) OVER (ORDER BY seq) - bytes AS before FROM step)
         SELECT (SELECT place FROM text_mark), group_uid, org, seq, bytes, record,
             seq <= (SELECT {WHOLE} FROM line), received FROM sized WHERE before < $2::bigint ORDER BY seq"
    );
    let rows = session.query(&sql, &[&STEP_EVENTS, &STEP_BYTES]).await?;
    let mut new = Vec::with_capacity(rows.len());
    let mut place = 0;
    for row in &rows {
        place = row.try_get(0)?;
        if row.try_get::<_, Option<bool>>(6)? != Some(true) {
            return Ok((place, new, true));
        }
        new.push(New {
            group_uid: row.try_get(1)?,
            org: row.try_get(2)?,
            seq: row.try_get(3)?,
            bytes: row.try_get(4)?,
            record: row.try_get(5)?,
            received: row.try_get(7)?,
        });
    }
    Ok((place, new, false))
}

async fn write(
    session: &mut Session<'_>,
    place: i64,
    new: &[New],
    words: Vec<Vec<String>>,
) -> Result<(), Fault> {
    let (mut groups, mut orgs, mut seqs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut places, mut texts, mut received) = (Vec::new(), Vec::new(), Vec::new());
    let mut sums: BTreeMap<&str, (&str, i64, i64)> = BTreeMap::new();
    for ((place, new), mut all) in (place + 1..).zip(new).zip(words) {
        all.extend(BLOCK_BITS.map(|bits| block(bits, place)));
        all.extend([group_word(&new.group_uid), org_word(&new.org)]);
        groups.push(&*new.group_uid);
        seqs.push(new.seq);
        places.push(place);
        received.push(new.received);
        // None of them has a line's end.
        texts.push(all.join("\n"));
        let sum = sums.entry(&new.group_uid).or_insert((&new.org, 0, 0));
        (sum.1, sum.2) = (sum.1 + 1, sum.2 + new.bytes);
    }
    session
        .query(
            "INSERT INTO texts (group_uid, seq, place, words)
             SELECT t.group_uid, t.seq, t.place, array_to_tsvector(string_to_array(t.words, E'\n'))
             FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[]) AS t (group_uid, seq, place, words)",
            &[&groups, &seqs, &places, &texts],
        )
        .await?;
    session
        .query(
            "INSERT INTO spans AS s (block, first_seq, last_seq, first_received, last_received)
             SELECT t.place >> $4, min(t.seq), max(t.seq), min(t.received), max(t.received)
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS t (place, seq, received) GROUP BY t.place >> $4
             ON CONFLICT (block) DO UPDATE SET last_seq = excluded.last_seq, first_received = least(s.first_received, excluded.first_received),
                 last_received = greatest(s.last_received, excluded.last_received)",
            &[&places, &seqs, &received, &SPAN_BITS],
        )
        .await?;
    let sums_of: Vec<&str> = sums.keys().copied().collect();
    let (mut events, mut bytes) = (Vec::new(), Vec::new());
    for (org, some, size) in sums.into_values() {
        orgs.push(org);
        events.push(some);
        bytes.push(size);
    }
    session
        .query(
            "INSERT INTO totals AS t (group_uid, org, events, bytes)
             SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
             ON CONFLICT (group_uid) DO UPDATE SET events = t.events + excluded.events, bytes = t.bytes + excluded.bytes",
            &[&sums_of, &orgs, &events, &bytes],
        )
        .await?;
    session
        .query(
            "UPDATE text_mark SET seq = $1, place = $2",
            &[&seqs.last(), &places.last()],
        )
        .await?;
    Ok(())
}
