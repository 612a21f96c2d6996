//! Who was the first with a key: what tells repeats.
//!
//! ```text
//!   an event is kept ─▶ its claims: a column of its own row, durable with it
//!                   └─▶ `Recent`, in memory ─▶ the table `dedup`, a stretch of the keys at a time
//! ```
//!
//! Keys are random, so in a table of any size each lies in a page of its own, and writing that page costs more than all else of an event.
//! So the newest claims are collected in memory, and each commit takes a stretch of neighbouring ones into the table. What is in memory only is
//! in the events' rows as well: opening the log reads it from there, from the first that may be missing on.
//!
//! Keys are MACs over their group; 128 bits of one, mixed with the group and with what it tells, can't be met by chance.

use std::collections::BTreeMap;
use std::ops::Bound;

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::schema::checksum;

/// How many claims are where.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// In memory before any goes to the table. The more there are, the more of them share a page.
    recent: usize,
    /// Go in one commit at the least, once there are so many.
    stretch: usize,
    /// Go in one commit when somebody waits for it.
    rush: usize,
}

/// So many in memory are some 15 MiB. Opening the log reads the rows of the events they came with: 50,000 of them where each has two.
const SIZES: Sizes = Sizes {
    recent: 100_000,
    stretch: 64,
    rush: 4_096,
};

/// Bytes of a key or a body as they are kept.
const SHORT: usize = 16;
/// A claim in an event's row: a key and a body.
const CLAIM: usize = 2 * SHORT;

pub(super) type Short = [u8; SHORT];

/// What a key tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The delivery's name at the provider, whatever the body.
    Name = 1,
    /// The name with a body that is not the first one's.
    OtherBody = 2,
    /// The signed bytes.
    Content = 3,
}

/// The first 16 bytes.
pub(super) fn short(bytes: &[u8; 32]) -> Short {
    let mut short = [0; SHORT];
    short.copy_from_slice(&bytes[..SHORT]);
    short
}

/// As it is kept.
pub(super) fn key(group_uid: &str, kind: Kind, mac: &[u8; 32]) -> Short {
    let mut key = short(mac);
    let group = checksum(group_uid.as_bytes()).wrapping_add(kind as i64);
    for (byte, group) in key.iter_mut().zip(group.to_le_bytes()) {
        *byte ^= group;
    }
    key
}

/// Who has a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) event_id: String,
    pub(super) body: Short,
    /// By the clock, when the event was kept.
    pub(super) seen: i64,
}

/// The claims that may not be in the table yet.
#[derive(Debug)]
pub(super) struct Recent {
    sizes: Sizes,
    claims: BTreeMap<Short, Claim>,
    /// What each claim since the last commit replaced, to be put back if it isn't committed.
    undo: Vec<(Short, Option<Claim>)>,
    /// Written to the table by the open transaction.
    written: Vec<Short>,
    /// The last key that was written in this round over all keys.
    at: Option<Short>,
    /// The round is to make sure of the claims of events up to this one: those that were there when it began.
    round: i64,
    /// The claims of events up to this one are in the table.
    in_table: i64,
    /// What the open transaction wrote ends the round.
    ends_round: bool,
    /// Somebody waits for the round's end: the open transaction writes many.
    rush: bool,
}

impl Recent {
    /// Reads what may be missing in the table.
    pub(super) fn load(db: &Connection) -> Result<Self, Fault> {
        Self::load_with(db, SIZES)
    }

    fn load_with(db: &Connection, sizes: Sizes) -> Result<Self, Fault> {
        let in_table = db.query_row(
            "SELECT coalesce((SELECT value FROM meta WHERE name = 'dedup_seq'), 0)",
            [],
            |row| row.get(0),
        )?;
        let mut recent = Self {
            sizes,
            claims: BTreeMap::new(),
            undo: Vec::new(),
            written: Vec::new(),
            at: None,
            round: in_table,
            in_table,
            ends_round: false,
            rush: false,
        };
        let mut statement =
            db.prepare("SELECT id, kept, claims FROM events WHERE seq > ?1 ORDER BY seq")?;
        let mut rows = statement.query([recent.in_table])?;
        while let Some(row) = rows.next()? {
            let (event_id, seen): (String, i64) = (row.get(0)?, row.get(1)?);
            let packed: Vec<u8> = row.get(2)?;
            for (key, body) in unpack(&packed)? {
                let claim = Claim {
                    event_id: event_id.clone(),
                    body,
                    seen,
                };
                recent.claims.insert(key, claim);
            }
        }
        Ok(recent)
    }

    /// Who has a key.
    pub(super) fn claimed(&self, db: &Connection, key: &Short) -> Result<Option<Claim>, Fault> {
        if let Some(claim) = self.claims.get(key) {
            return Ok(Some(claim.clone()));
        }
        Ok(db
            .prepare_cached("SELECT event_id, body, seen FROM dedup WHERE key = ?1")?
            .query_row([key], |row| {
                Ok(Claim {
                    event_id: row.get(0)?,
                    body: row.get(1)?,
                    seen: row.get(2)?,
                })
            })
            .optional()?)
    }

    /// Gives a key to an event, whoever had it.
    pub(super) fn claim(&mut self, key: Short, claim: Claim) {
        let before = self.claims.insert(key, claim);
        self.undo.push((key, before));
    }

    pub(super) fn mark(&self) -> usize {
        self.undo.len()
    }

    pub(super) fn back_to(&mut self, mark: usize) {
        while self.undo.len() > mark {
            match self.undo.pop() {
                Some((key, Some(before))) => drop(self.claims.insert(key, before)),
                Some((key, None)) => drop(self.claims.remove(&key)),
                None => {}
            }
        }
    }

    /// What was claimed since, as it is kept in an event's row.
    pub(super) fn packed(&self, mark: usize) -> Vec<u8> {
        let mut packed = Vec::with_capacity(CLAIM * (self.undo.len() - mark));
        for (key, _) in &self.undo[mark..] {
            if let Some(claim) = self.claims.get(key) {
                packed.extend(key);
                packed.extend(claim.body);
            }
        }
        packed
    }

    /// Whether the claims of events up to `seq` may be missing in the table still. Then this commit writes many.
    pub(super) fn rush(&mut self, seq: i64) -> bool {
        self.rush = self.in_table < seq && !self.claims.is_empty();
        self.rush
    }

    /// Writes the next stretch, where there is enough to write. The last thing in a transaction; `newest` is the last event's number.
    pub(super) fn write_some(&mut self, db: &Connection, newest: i64) -> Result<(), Fault> {
        let above = self.claims.len().saturating_sub(self.sizes.recent);
        let most = match (std::mem::take(&mut self.rush), above) {
            (true, _) => self.sizes.rush,
            (false, 0) => return Ok(()),
            (false, above) => above.max(self.sizes.stretch),
        };
        if self.at.is_none() {
            self.round = newest;
        }
        let after = self.at.map_or(Bound::Unbounded, Bound::Excluded);
        let mut insert = db.prepare_cached(
            "INSERT OR REPLACE INTO dedup (key, event_id, body, seen) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for (key, claim) in self.claims.range((after, Bound::Unbounded)).take(most) {
            insert.execute(params![key, claim.event_id, claim.body, claim.seen])?;
            self.written.push(*key);
        }
        if self.written.len() < most {
            db.prepare_cached(
                "INSERT INTO meta (name, value) VALUES ('dedup_seq', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )?
            .execute([self.round])?;
        }
        self.ends_round = self.written.len() < most;
        Ok(())
    }

    /// The transaction was committed.
    pub(super) fn committed(&mut self) {
        self.undo.clear();
        if self.ends_round {
            self.ends_round = false;
            self.in_table = self.round;
            self.at = None;
        } else if let Some(last) = self.written.last() {
            self.at = Some(*last);
        }
        for key in self.written.drain(..) {
            self.claims.remove(&key);
        }
    }

    /// The transaction was undone, and so is what it did here.
    pub(super) fn undone(&mut self) {
        self.back_to(0);
        self.written.clear();
        self.ends_round = false;
    }
}

fn unpack(packed: &[u8]) -> Result<impl Iterator<Item = (Short, Short)>, Fault> {
    let (claims, rest) = packed.as_chunks::<CLAIM>();
    if !rest.is_empty() {
        return Err(Fault::Damaged("an event's claims are cut off".into()));
    }
    Ok(claims.iter().map(|claim| {
        let (mut key, mut body) = ([0; SHORT], [0; SHORT]);
        key.copy_from_slice(&claim[..SHORT]);
        body.copy_from_slice(&claim[SHORT..]);
        (key, body)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::embedded::schema;

    fn below(state: &mut u64, end: u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }

    // Risk 6: what tells repeats is found in memory or in the table, through commits, transactions that are undone, and openings, and after the
    // events it came with are gone.
    #[test]
    fn claims_are_found_wherever_they_are() {
        const KEYS: u64 = 150;
        let sizes = Sizes {
            recent: 40,
            stretch: 4,
            rush: 9,
        };
        let dir = tempfile::tempdir().expect("a directory");
        let (_, _, db) = schema::open(dir.path(), false).expect("opens");
        let mut recent = Recent::load_with(&db, sizes).expect("loads");
        let mut claimed: BTreeMap<Short, Claim> = BTreeMap::new();
        let mut dice = 0x6465_6475;
        let (mut rounds, mut newest) = (0, 0);
        for step in 0..700 {
            db.execute_batch("BEGIN IMMEDIATE").expect("begins");
            let before = claimed.clone();
            for _ in 0..below(&mut dice, 4) {
                newest += 1;
                let mark = recent.mark();
                for _ in 0..below(&mut dice, 3) {
                    let mut key = [0; SHORT];
                    key[0] = below(&mut dice, KEYS) as u8;
                    let claim = Claim {
                        event_id: format!("e{newest}"),
                        body: [step as u8; SHORT],
                        seen: newest,
                    };
                    recent.claim(key, claim.clone());
                    claimed.insert(key, claim);
                }
                db.execute(
                    "INSERT INTO events (seq, id, org, group_uid, group_name, type, received, kept, deliveries, flags, claims, checksum, record)
                     VALUES (?1, ?2, '', '', '', '', 0, ?1, 0, 0, ?3, 0, x'')",
                    params![newest, format!("e{newest}"), recent.packed(mark)],
                )
                .expect("inserts");
            }
            if below(&mut dice, 5) == 0 {
                recent.rush(newest);
            }
            recent.write_some(&db, newest).expect("writes");
            if below(&mut dice, 5) == 0 {
                db.execute_batch("ROLLBACK").expect("undoes");
                recent.undone();
                claimed = before;
            } else {
                db.execute_batch("COMMIT").expect("commits");
                let in_table = recent.in_table;
                recent.committed();
                rounds += i32::from(recent.in_table > in_table);
            }
            if below(&mut dice, 20) == 0 {
                db.execute("DELETE FROM events WHERE seq <= ?1", [recent.in_table])
                    .expect("deletes");
            }
            if below(&mut dice, 20) == 0 {
                recent = Recent::load_with(&db, sizes).expect("loads");
            }
            for number in 0..KEYS {
                let mut key = [0; SHORT];
                key[0] = number as u8;
                let found = recent.claimed(&db, &key).expect("reads");
                assert_eq!(
                    found.as_ref(),
                    claimed.get(&key),
                    "step {step}, key {number}"
                );
            }
        }
        assert!(rounds > 10, "{rounds} rounds were ended");
    }
}
