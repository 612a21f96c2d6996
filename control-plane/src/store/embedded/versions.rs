//! The versions of keys: reading them at a revision, writing them under checks, and forgetting old ones.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::super::{
    Change, Entry, Listing, Precondition, Revision, StoreError, Transaction, Write,
};
use super::schema::{sql, store_error};
use crate::sqlite::Fault;

/// A watch reads this much at once, and always whole revisions.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// Sorts after every key that begins with what stands before it.
const LAST_CHARACTER: char = '\u{10FFFF}';

/// Why a commit was not made.
pub(super) enum CommitError {
    /// It was refused before anything was written.
    Refused(StoreError),
    /// SQLite failed at it.
    Failed(Fault),
}

impl From<rusqlite::Error> for CommitError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Revision> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get::<_, i64>(0))
        .map(i64::cast_unsigned)
}

pub(super) fn revision(connection: &Connection) -> Result<Revision, StoreError> {
    meta(connection, "revision").map_err(sql)
}

/// The oldest revision that can be asked for.
pub(super) fn compacted(connection: &Connection) -> Result<Revision, StoreError> {
    meta(connection, "compacted").map_err(sql)
}

pub(super) fn get(connection: &Connection, key: &str) -> Result<Option<Entry>, StoreError> {
    newest(connection, key)
        .map(|found| {
            found.and_then(|(revision, value)| {
                value.map(|value| Entry {
                    key: key.to_owned(),
                    value: value.into(),
                    revision,
                })
            })
        })
        .map_err(sql)
}

type Version = (Revision, Option<Vec<u8>>);

fn newest(connection: &Connection, key: &str) -> rusqlite::Result<Option<Version>> {
    connection
        .prepare_cached(
            "SELECT revision, value FROM versions WHERE key = ?1 ORDER BY revision DESC LIMIT 1",
        )?
        .query_row([key], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
        })
        .optional()
}

/// Removes what is below a prefix.
pub(super) fn remove_all(connection: &mut Connection, prefix: &str) -> Result<(), StoreError> {
    let there = list(connection, prefix, None, usize::MAX >> 1, None)?;
    let transaction = Transaction {
        checks: Vec::new(),
        writes: there
            .entries
            .into_iter()
            .map(|entry| Write::Delete(entry.key))
            .collect(),
    };
    if transaction.writes.is_empty() {
        return Ok(());
    }
    match commit(connection, &transaction) {
        Ok(_) => Ok(()),
        Err(CommitError::Refused(error)) => Err(error),
        Err(CommitError::Failed(fault)) => Err(store_error(fault)),
    }
}

pub(super) fn list(
    connection: &mut Connection,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    at: Option<Revision>,
) -> Result<Listing, StoreError> {
    // One snapshot for the revision and the rows.
    let snapshot = connection.transaction().map_err(sql)?;
    let revision = revision(&snapshot)?;
    let oldest = compacted(&snapshot)?;
    let at = at.unwrap_or(revision);
    if at < oldest {
        return Err(StoreError::Compacted { asked: at, oldest });
    }
    if at > revision {
        return Err(StoreError::Unavailable(format!(
            "revision {at} was asked for, the store has only come to {revision}"
        )));
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let entries = {
        let mut statement = snapshot
            .prepare_cached(
                "SELECT key, value, revision FROM versions AS v
                 WHERE key >= ?1 AND key < ?2 AND (?3 IS NULL OR key > ?3)
                   AND revision = (SELECT MAX(revision) FROM versions WHERE key = v.key AND revision <= ?4)
                   AND value IS NOT NULL
                 ORDER BY key LIMIT ?5",
            )
            .map_err(sql)?;
        // Starting at `after` lets the index skip what earlier pages held.
        let from = after.filter(|after| *after > prefix).unwrap_or(prefix);
        let rows = statement
            .query_map(
                params![from, past(prefix), after, at.cast_signed(), limit],
                |row| {
                    Ok(Entry {
                        key: row.get(0)?,
                        value: row.get::<_, Vec<u8>>(1)?.into(),
                        revision: row.get::<_, i64>(2)?.cast_unsigned(),
                    })
                },
            )
            .map_err(sql)?;
        rows.collect::<Result<_, _>>().map_err(sql)?
    };
    Ok(Listing {
        entries,
        revision: at,
    })
}

fn past(prefix: &str) -> String {
    format!("{prefix}{LAST_CHARACTER}")
}

pub(super) fn commit(
    connection: &mut Connection,
    transaction: &Transaction,
) -> Result<Revision, CommitError> {
    let sqlite = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (key, precondition) in &transaction.checks {
        let found = newest(&sqlite, key)?.filter(|(_, value)| value.is_some());
        let holds = match (precondition, &found) {
            (Precondition::Absent, None) | (Precondition::Present, Some(_)) => true,
            (Precondition::At(revision), Some((is, _))) => revision == is,
            _ => false,
        };
        if !holds {
            return Err(CommitError::Refused(StoreError::Conflict {
                key: key.clone(),
            }));
        }
    }
    let before = meta(&sqlite, "revision")?;
    let revision = before + 1;
    let mut written = false;
    {
        let mut put = sqlite.prepare_cached(
            // A key written twice in one transaction has the last value.
            "INSERT INTO versions (key, revision, seq, value) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (key, revision) DO UPDATE SET seq = excluded.seq, value = excluded.value",
        )?;
        for (seq, write) in (0i64..).zip(&transaction.writes) {
            let (key, value) = match write {
                Write::Put(key, value) => (key, Some(&value[..])),
                Write::Delete(key) => {
                    if newest(&sqlite, key)?.is_none_or(|(_, value)| value.is_none()) {
                        continue;
                    }
                    (key, None)
                }
            };
            put.execute(params![key, revision.cast_signed(), seq, value])?;
            written = true;
        }
    }
    if !written {
        return Ok(before);
    }
    sqlite.execute(
        "UPDATE meta SET value = ?1 WHERE name = 'revision'",
        [revision.cast_signed()],
    )?;
    sqlite.commit()?;
    Ok(revision)
}

/// The changes after `position` up to `tip`, or as many whole revisions as [`READ_BYTES`] hold; and how far that is.
pub(super) fn changes(
    connection: &mut Connection,
    prefix: &str,
    position: Revision,
    tip: Revision,
) -> Result<(Vec<Change>, Revision), StoreError> {
    let snapshot = connection.transaction().map_err(sql)?;
    let oldest = compacted(&snapshot)?;
    if position < oldest {
        return Err(StoreError::Compacted {
            asked: position,
            oldest,
        });
    }
    let mut statement = snapshot
        .prepare_cached(
            "SELECT revision, key, value FROM versions
             WHERE revision > ?1 AND revision <= ?2 AND key >= ?3 AND key < ?4
             ORDER BY revision, seq",
        )
        .map_err(sql)?;
    let mut rows = statement
        .query(params![
            position.cast_signed(),
            tip.cast_signed(),
            prefix,
            past(prefix)
        ])
        .map_err(sql)?;
    let mut changes: Vec<Change> = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next().map_err(sql)? {
        let revision = row.get::<_, i64>(0).map_err(sql)?.cast_unsigned();
        let key: String = row.get(1).map_err(sql)?;
        let value: Option<Vec<u8>> = row.get(2).map_err(sql)?;
        let size = key.len() + value.as_ref().map_or(0, Vec::len);
        match changes.last_mut() {
            Some(last) if last.revision == revision => {
                last.keys.push((key, value.map(Bytes::from)));
            }
            last => {
                if let Some(last) = last
                    && bytes > READ_BYTES
                {
                    let reached = last.revision;
                    return Ok((changes, reached));
                }
                changes.push(Change {
                    revision,
                    keys: vec![(key, value.map(Bytes::from))],
                });
            }
        }
        bytes += size;
    }
    Ok((changes, tip))
}

/// Forgets what is older than the newest `keep` revisions: versions that a newer one of them replaced, and removals.
pub(super) fn compact(connection: &mut Connection, keep: u64) -> Result<(), Fault> {
    let sqlite = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = meta(&sqlite, "compacted")?;
    let to = meta(&sqlite, "revision")?.saturating_sub(keep);
    if to <= from {
        return Ok(());
    }
    let (from, to) = (from.cast_signed(), to.cast_signed());
    // What is newly replaced was replaced by a version between the two horizons.
    sqlite
        .execute(
            "DELETE FROM versions WHERE id IN (
                 SELECT old.id FROM versions AS new JOIN versions AS old ON old.key = new.key AND old.revision < new.revision
                 WHERE new.revision > ?1 AND new.revision <= ?2)",
            [from, to],
        )?;
    sqlite.execute(
        "DELETE FROM versions WHERE revision > ?1 AND revision <= ?2 AND value IS NULL",
        [from, to],
    )?;
    sqlite.execute("UPDATE meta SET value = ?1 WHERE name = 'compacted'", [to])?;
    Ok(sqlite.commit()?)
}
