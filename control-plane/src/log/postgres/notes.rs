//! What was turned away or not kept lately, and the counts: two small tables that all replicas write to and read from.
//!
//! ```text
//!   note, count ─▶ what waits here (bounded) ─▶ once a second at most: one statement, its commit not waited for by any disk
//! ```
//!
//! However many requests are forged, a replica writes [`WAITING`] notes a second, [`WAITING_PER_GROUP`] of them of one group, and a row for each
//! group and what was counted of it. What PostgreSQL doesn't take is tried again with the next; of notes the oldest go meanwhile.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookplane_proto::v1;
use prost::Message;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Shared;
use super::fault::Fault;
use super::statement::text;
use crate::log::counts::Counts;
use crate::log::notes::MAX_SECRETS;
use crate::log::{LogError, Note, NoteKind, NotesOf};

/// Between two writes.
const EVERY: Duration = Duration::from_secs(1);
/// Notes of one write.
const WAITING: usize = 256;
/// The same of one group, and of those that led to none.
const WAITING_PER_GROUP: usize = 64;
/// Rows of one group: its secrets, and what else is counted.
const ROWS_PER_GROUP: i64 = MAX_SECRETS as i64 + 4;
/// Before a secret's name.
const SECRET: &str = "secret:";

/// What this replica has not written yet.
#[derive(Default)]
pub(super) struct Waiting {
    notes: Mutex<Sample>,
    counts: Counts,
    some: Notify,
}

/// The first ones of each group since the last write, and of those the newest.
#[derive(Default)]
struct Sample {
    notes: VecDeque<Note>,
    of_group: HashMap<(NoteKind, String), usize>,
}

impl Sample {
    fn take(&mut self, note: Note) {
        let of_group = (note.kind, note.group_uid.clone());
        let of_group = self.of_group.entry(of_group).or_default();
        if *of_group >= WAITING_PER_GROUP {
            return;
        }
        *of_group += 1;
        self.notes.push_back(note);
        if self.notes.len() > WAITING
            && let Some(oldest) = self.notes.pop_front()
            && let Entry::Occupied(mut of_group) =
                self.of_group.entry((oldest.kind, oldest.group_uid))
        {
            *of_group.get_mut() -= 1;
            if *of_group.get() == 0 {
                of_group.remove();
            }
        }
    }
}

impl Waiting {
    pub(super) fn note(&self, note: Note) {
        self.lock().take(note);
        self.some.notify_one();
    }

    pub(super) fn count(&self, counted: v1::GroupCounters) {
        self.counts.add(counted);
        self.some.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Sample> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what waits, for as long as the log is there.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut failing = false;
    loop {
        shared.noted.some.notified().await;
        let written = write(&shared).await.map_err(LogError::from);
        // Of several failures the first is told.
        if let Err(error) = &written
            && !failing
        {
            tracing::warn!(%error, "what was refused or counted is not written yet; it is tried again");
        }
        failing = written.is_err();
        sleep(EVERY).await;
    }
}

/// Writes all that waits. What can't be written waits on.
pub(super) async fn write(shared: &Shared) -> Result<(), Fault> {
    let waiting = &shared.noted;
    let notes = std::mem::take(&mut *waiting.lock()).notes;
    let counts = waiting.counts.take();
    if notes.is_empty() && counts.is_empty() {
        return Ok(());
    }
    let written = insert(shared, &notes, &counts).await;
    if written.is_err() {
        for (group_uid, of) in counts {
            waiting.count(v1::GroupCounters {
                group_uid,
                refused: of.refused,
                not_registered: of.not_registered,
                not_matched: of.not_matched,
                duplicates: of.duplicates,
                secret_uses: of.secret_uses,
            });
        }
        let newer = std::mem::take(&mut *waiting.lock());
        notes
            .into_iter()
            .chain(newer.notes)
            .for_each(|n| waiting.note(n));
    }
    written
}

/// The rings are cut in the same statement, so by what was there before it: they are longer by one write at most, and no reader asks for more.
async fn insert(
    shared: &Shared,
    notes: &VecDeque<Note>,
    counts: &HashMap<String, v1::GroupCounts>,
) -> Result<(), Fault> {
    const SQL: &str = "
        WITH mode AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
        new AS MATERIALIZED (
            SELECT * FROM unnest($1::text[], $2::smallint[], $3::text[], $4::bigint[], $5::bytea[])
            WITH ORDINALITY AS new (group_uid, kind, org, at, record, place)
        ),
        n AS (
            INSERT INTO notes (group_uid, kind, org, at, record)
            SELECT group_uid, kind, org, at, record FROM new ORDER BY place
        ),
        cut AS (
            DELETE FROM notes WHERE (group_uid, kind, id) IN (
                SELECT old.group_uid, old.kind, old.id
                FROM (SELECT DISTINCT group_uid, kind FROM new) AS touched,
                LATERAL (
                    SELECT * FROM notes WHERE notes.group_uid = touched.group_uid AND notes.kind = touched.kind
                    ORDER BY id DESC OFFSET CASE touched.kind WHEN $6 THEN $7::bigint ELSE $8::bigint END
                ) AS old
            )
        ),
        cut_all AS (
            DELETE FROM notes WHERE (group_uid, kind, id) IN (
                SELECT old.group_uid, old.kind, old.id
                FROM (SELECT DISTINCT kind FROM new) AS touched,
                LATERAL (
                    SELECT * FROM notes WHERE notes.kind = touched.kind
                    ORDER BY id DESC OFFSET CASE touched.kind WHEN $6 THEN $9::bigint ELSE $10::bigint END
                ) AS old
            )
        ),
        sums AS MATERIALIZED (
            SELECT new.group_uid, new.name, new.count, c.count IS NOT NULL AS known
            FROM unnest($11::text[], $12::text[], $13::bigint[]) AS new (group_uid, name, count) LEFT JOIN counts c USING (group_uid, name)
        ),
        fitting AS (
            SELECT *, known OR row_number() OVER (PARTITION BY group_uid, known ORDER BY name)
                + (SELECT count(*) FROM counts c WHERE c.group_uid = sums.group_uid) <= $14::bigint AS fits
            FROM sums
        ),
        c AS (
            INSERT INTO counts (group_uid, name, count)
            SELECT group_uid, name, count FROM fitting WHERE fits ORDER BY group_uid, name
            ON CONFLICT (group_uid, name) DO UPDATE SET count = least(counts.count::numeric + excluded.count, 9223372036854775807)::bigint
        )
        SELECT count(*) FROM mode";
    // One replica at a time: so the room of a group is what it is, and no two wait for each other both ways.
    const TURN: &str = "SELECT pg_advisory_xact_lock(1752920172)";
    let groups: Vec<String> = notes.iter().map(|n| text(&n.group_uid)).collect();
    let kinds: Vec<i16> = notes.iter().map(|n| number(n.kind)).collect();
    let orgs: Vec<String> = notes.iter().map(|n| text(&n.refusal.org)).collect();
    let times: Vec<i64> = notes.iter().map(|n| n.time().0).collect();
    let records: Vec<Vec<u8>> = notes.iter().map(|n| n.refusal.encode_to_vec()).collect();
    let (mut uids, mut names, mut sums) = (Vec::new(), Vec::new(), Vec::new());
    for ((uid, name), sum) in added_up(counts) {
        uids.push(uid);
        names.push(name);
        sums.push(i64::try_from(sum).unwrap_or(i64::MAX));
    }
    let size = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    let (refused, not_kept) = (NoteKind::Refused, NoteKind::NotKept);
    let mut session = shared.pool.call().await?;
    session.begin("").await?;
    session.query(TURN, &[]).await?;
    session
        .query(
            SQL,
            &[
                &groups,
                &kinds,
                &orgs,
                &times,
                &records,
                &number(refused),
                &size(refused.max_per_group()),
                &size(not_kept.max_per_group()),
                &size(refused.max()),
                &size(not_kept.max()),
                &uids,
                &names,
                &sums,
                &ROWS_PER_GROUP,
            ],
        )
        .await?;
    session.commit().await
}

/// As stored. Never used for anything else.
fn number(kind: NoteKind) -> i16 {
    match kind {
        NoteKind::Refused => 1,
        NoteKind::NotKept => 2,
        NoteKind::Code => 3,
    }
}

/// Every row once: listeners name secrets as they like, names that differ only in what text can't hold are one here, and a statement that wrote a
/// row twice would fail each time it is tried, and keep everybody's counts from being written.
fn added_up(counts: &HashMap<String, v1::GroupCounts>) -> BTreeMap<(String, String), u64> {
    let mut sums: BTreeMap<_, u64> = BTreeMap::new();
    for (uid, of) in counts {
        for (name, sum) in rows(of) {
            let known = sums.entry((text(uid), text(&name))).or_default();
            *known = known.saturating_add(sum);
        }
    }
    sums
}

/// What a group's counts are stored as, without those that are nothing.
fn rows(of: &v1::GroupCounts) -> impl Iterator<Item = (String, u64)> {
    let plain = [
        ("refused", of.refused),
        ("not-registered", of.not_registered),
        ("not-matched", of.not_matched),
        ("duplicates", of.duplicates),
    ];
    let secrets = of.secret_uses.iter();
    let secrets = secrets.map(|(name, uses)| (format!("{SECRET}{name}"), *uses));
    plain
        .into_iter()
        .map(|(name, sum)| (name.to_owned(), sum))
        .chain(secrets)
        .filter(|(_, sum)| *sum > 0)
}

/// Newest first.
pub(super) async fn notes(
    shared: &Shared,
    kind: NoteKind,
    of: NotesOf<'_>,
    limit: usize,
) -> Result<Vec<v1::Refusal>, LogError> {
    let (group, org, since) = match of {
        NotesOf::All => (None, None, None),
        NotesOf::Org { org, since } => (None, Some(org), since.map(|since| since.0)),
        NotesOf::Group(uid) => (Some(uid), None, None),
    };
    let max = if group.is_some() {
        kind.max_per_group()
    } else {
        kind.max()
    };
    let limit = i64::try_from(limit.min(max)).unwrap_or(i64::MAX);
    let kind = number(kind);
    let mut session = shared.pool.read().await?;
    let rows = match group {
        Some(group) => {
            let sql = "SELECT record FROM notes WHERE group_uid = $1 AND kind = $2 ORDER BY id DESC LIMIT $3";
            session.query(sql, &[&group, &kind, &limit]).await?
        }
        None => {
            let sql = "SELECT record FROM notes
                WHERE kind = $1 AND ($2::text IS NULL OR org = $2) AND ($3::bigint IS NULL OR at >= $3) ORDER BY id DESC LIMIT $4";
            session.query(sql, &[&kind, &org, &since, &limit]).await?
        }
    };
    rows.iter()
        .map(|row| {
            let record: &[u8] = row.try_get(0).map_err(Fault::from)?;
            v1::Refusal::decode(record)
                .map_err(|error| LogError::Damaged(format!("a note can't be read: {error}")))
        })
        .collect()
}

pub(super) async fn counts(
    shared: &Shared,
    group_uids: &[&str],
) -> Result<HashMap<String, v1::GroupCounts>, LogError> {
    let mut session = shared.pool.read().await?;
    let sql = "SELECT group_uid, name, count FROM counts WHERE group_uid = ANY($1)";
    let mut counts: HashMap<String, v1::GroupCounts> = HashMap::new();
    for row in session.query(sql, &[&group_uids]).await? {
        let get = |place| row.try_get::<_, &str>(place).map_err(Fault::from);
        let (uid, name) = (get(0)?, get(1)?);
        let count: i64 = row.try_get(2).map_err(Fault::from)?;
        let of = counts.entry(uid.to_owned()).or_default();
        let count = count.unsigned_abs();
        match name {
            "refused" => of.refused = count,
            "not-registered" => of.not_registered = count,
            "not-matched" => of.not_matched = count,
            "duplicates" => of.duplicates = count,
            _ => {
                if let Some(secret) = name.strip_prefix(SECRET) {
                    of.secret_uses.insert(secret.to_owned(), count);
                }
            }
        }
    }
    Ok(counts)
}

pub(super) async fn forget(shared: &Shared, group_uid: &str) -> Result<(), LogError> {
    shared.activity.forget(group_uid);
    let sql = "WITH c AS (DELETE FROM counts WHERE group_uid = $1), a AS (DELETE FROM activity WHERE kind = 1 AND whose = $1)
        DELETE FROM shapes WHERE group_uid = $1";
    let mut session = shared.pool.call().await?;
    session.query(sql, &[&group_uid]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_waits_in_a_bounded_room_and_leaves_the_others_theirs() {
        let waiting = Waiting::default();
        let note = |group: &str| {
            let note = Note::new(NoteKind::Refused, group, v1::Refusal::default());
            waiting.note(note);
        };
        note("quiet");
        for _ in 0..10_000 {
            note("loud");
        }
        assert_eq!(waiting.lock().notes.len(), 1 + WAITING_PER_GROUP);
        for n in 0..10_000 {
            note(&n.to_string());
        }
        let sample = waiting.lock();
        assert_eq!(sample.notes.len(), WAITING);
        assert_eq!(sample.of_group.values().sum::<usize>(), WAITING);
    }

    // One listener's names keep nobody's counts from being written.
    #[test]
    fn names_that_are_one_as_text_are_written_once() {
        let secret_uses = [("a\0b".to_owned(), 1), ("ab".to_owned(), 2)];
        let counts = v1::GroupCounts {
            secret_uses: secret_uses.into(),
            ..v1::GroupCounts::default()
        };
        let sums = added_up(&[("group".to_owned(), counts)].into());
        let row = ("group".to_owned(), "secret:ab".to_owned());
        assert_eq!(sums, [(row, 3)].into());
    }
}
