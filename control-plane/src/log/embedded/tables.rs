//! What a piece of work sees: the open transaction, the next number of the line, the leases, and the time.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use hookplane_proto::v1::DeliveryStatus;
use hookplane_rules::Timestamp;

use super::Options;
use super::dedup::Recent;
use super::fault::Fault;
use super::order;
use crate::log::Stats;

/// The log's own time line: the machine's clock when the log was opened, and from then on the monotonic one, so that setting the clock moves
/// no lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    opened: Instant,
    base: i64,
}

impl Time {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            opened: Instant::now(),
            base: now.0,
        }
    }

    /// Now, on this line.
    pub(super) fn now(&self) -> i64 {
        self.base + millis(self.opened.elapsed())
    }

    /// When a point of this line is.
    pub(super) fn instant(&self, at: i64) -> Instant {
        let after = u64::try_from(at - self.base).unwrap_or(0);
        self.opened + Duration::from_millis(after)
    }
}

/// Whole milliseconds, as far as they go.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis())
        .unwrap_or(i64::MAX / 4)
        .min(i64::MAX / 4)
}

/// A lease that has not ended. Its delivery is leased then: whatever gives it another status takes the lease away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) nonce: u64,
    pub(super) expires: i64,
    /// The delivery's, this one included.
    pub(super) attempts: i64,
    /// By the clock, when it was leased.
    pub(super) began: i64,
    /// The delivery's, of its mapping.
    pub(super) mapping_version: i64,
    /// It has an order key.
    pub(super) ordered: bool,
    /// It has a destination: who pushes there counts the attempts.
    pub(super) pushed: bool,
}

/// The leases, in memory only: all are void once the log is opened again.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: HashMap<i64, Held>,
    by_expiry: BTreeSet<(i64, i64)>,
    /// What each change since the last commit replaced, to be put back if it isn't committed.
    undo: Vec<(i64, Option<Held>)>,
}

impl Leases {
    pub(super) fn get(&self, delivery: i64) -> Option<Held> {
        self.held.get(&delivery).copied()
    }

    pub(super) fn set(&mut self, delivery: i64, held: Option<Held>) {
        let before = self.put(delivery, held);
        self.undo.push((delivery, before));
    }

    fn put(&mut self, delivery: i64, held: Option<Held>) -> Option<Held> {
        let before = match held {
            Some(held) => self.held.insert(delivery, held),
            None => self.held.remove(&delivery),
        };
        if let Some(before) = before {
            self.by_expiry.remove(&(before.expires, delivery));
        }
        if let Some(held) = held {
            self.by_expiry.insert((held.expires, delivery));
        }
        before
    }

    pub(super) fn len(&self) -> u64 {
        self.held.len() as u64
    }

    /// The next one to expire.
    pub(super) fn first(&self) -> Option<(i64, i64)> {
        self.by_expiry.first().copied()
    }

    /// At most `limit` that expired by `now`.
    pub(super) fn expired(&self, now: i64, limit: usize) -> Vec<i64> {
        let all = self.by_expiry.iter();
        all.take_while(|(expires, _)| *expires <= now)
            .take(limit)
            .map(|(_, delivery)| *delivery)
            .collect()
    }

    fn mark(&self) -> usize {
        self.undo.len()
    }

    fn back_to(&mut self, mark: usize) {
        while self.undo.len() > mark {
            if let Some((delivery, before)) = self.undo.pop() {
                self.put(delivery, before);
            }
        }
    }
}

/// When deliveries that wait become due, rounded up so that there are at most ten a second of it.
#[derive(Debug, Default)]
pub(super) struct DueTimes(BTreeSet<i64>);

impl DueTimes {
    /// A wait this much longer than asked for is not noticed: a back-off has jitter.
    pub(super) const STEP_MS: i64 = 100;

    pub(super) fn add(&mut self, due: i64) {
        self.0.insert(
            due.div_euclid(Self::STEP_MS)
                .saturating_add(1)
                .saturating_mul(Self::STEP_MS),
        );
    }

    pub(super) fn first(&self) -> Option<i64> {
        self.0.first().copied()
    }

    /// Forgets those that have come, and says whether there were any.
    pub(super) fn come(&mut self, now: i64) -> bool {
        let later = self.0.split_off(&now.saturating_add(1));
        let come = !self.0.is_empty();
        self.0 = later;
        come
    }
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) delivery: i64,
    /// It has an order key.
    pub(super) ordered: bool,
    pub(super) status: DeliveryStatus,
    pub(super) attempts: i64,
    /// None: as it was.
    pub(super) due: Option<i64>,
    pub(super) reason: &'a str,
}

/// The queues that are in the table. What the open transaction put there is forgotten when it is undone.
#[derive(Debug, Default)]
pub(super) struct Queues {
    destinations: HashMap<String, Vec<String>>,
    fresh: Vec<(String, String)>,
}

impl Queues {
    pub(super) fn load(db: &Connection) -> Result<Self, Fault> {
        let mut queues = Self::default();
        let mut read = db.prepare("SELECT webhook_uid, destination FROM queues")?;
        let mut rows = read.query([])?;
        while let Some(row) = rows.next()? {
            queues.know(row.get(0)?, row.get(1)?);
        }
        Ok(queues)
    }

    pub(super) fn knows(&self, webhook_uid: &str, destination: &str) -> bool {
        let destinations = self.destinations.get(webhook_uid);
        destinations.is_some_and(|all| all.iter().any(|one| one == destination))
    }

    fn know(&mut self, webhook_uid: String, destination: String) {
        let destinations = self.destinations.entry(webhook_uid).or_default();
        if !destinations.contains(&destination) {
            destinations.push(destination);
        }
    }

    /// The open transaction put it in the table.
    pub(super) fn put(&mut self, webhook_uid: &str, destination: &str) {
        let queue = (webhook_uid.to_owned(), destination.to_owned());
        self.fresh.push(queue);
    }

    fn committed(&mut self) {
        for (webhook_uid, destination) in std::mem::take(&mut self.fresh) {
            self.know(webhook_uid, destination);
        }
    }
}

/// What lives as long as the writer does.
pub(super) struct Memory {
    pub(super) next_seq: i64,
    pub(super) leases: Leases,
    pub(super) recent: Recent,
    pub(super) queues: Queues,
    pub(super) due: DueTimes,
    pub(super) time: Time,
    pub(super) token_key: [u8; 32],
    pub(super) options: Options,
    /// Since the log was opened, what isn't committed yet included.
    pub(super) counted: Stats,
}

/// The open transaction, for one piece of work.
pub(super) struct Tables<'a> {
    pub(super) db: &'a Connection,
    pub(super) memory: &'a mut Memory,
    /// By the machine's clock.
    pub(super) clock: i64,
}

impl Tables<'_> {
    /// Takes the next numbers of the line, and says the first.
    pub(super) fn take_seqs(&mut self, count: usize) -> i64 {
        let first = self.memory.next_seq;
        self.memory.next_seq += i64::try_from(count).unwrap_or(0);
        first
    }

    /// Does something whole or not at all: what it wrote is undone when it fails, and nothing else is.
    pub(super) fn whole<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.db.prepare_cached("SAVEPOINT piece")?.execute([])?;
        let (leases, claims) = (self.memory.leases.mark(), self.memory.recent.mark());
        let queues = self.memory.queues.fresh.len();
        let done = work(self);
        if let Err(fault) = &done {
            self.memory.leases.back_to(leases);
            self.memory.recent.back_to(claims);
            self.memory.queues.fresh.truncate(queues);
            if !fault.is_own() {
                return done;
            }
            self.db.prepare_cached("ROLLBACK TO piece")?.execute([])?;
        }
        self.db.prepare_cached("RELEASE piece")?.execute([])?;
        done
    }

    /// Gives a delivery a new status, and the tail a line about it. Says that line's number.
    pub(super) fn change(&mut self, change: Change<'_>) -> Result<i64, Fault> {
        let Change {
            delivery,
            ordered,
            status,
            attempts,
            due,
            reason,
        } = change;
        let seq = self.take_seqs(1);
        self.db
            .prepare_cached(
                "INSERT INTO changes (seq, delivery_seq, status, attempts, reason, at, before)
                 SELECT ?1, seq, ?3, ?4, ?5, ?6, changed FROM deliveries WHERE seq = ?2",
            )?
            .execute(params![
                seq,
                delivery,
                status as i32,
                attempts,
                reason,
                self.clock
            ])?;
        let pending = status == DeliveryStatus::Pending;
        self.db
            .prepare_cached(
                "UPDATE deliveries SET status = ?2, attempts = ?3, due = coalesce(?4, due), updated = ?5, reason = ?6, waits = ?7, changed = ?8
                 WHERE seq = ?1",
            )?
            .execute(params![
                delivery,
                status as i32,
                attempts,
                due,
                self.clock,
                reason,
                ordered && pending,
                seq,
            ])?;
        if let Some(due) = due
            && due > self.memory.time.now()
        {
            self.memory.due.add(due);
        }
        if ordered && status != DeliveryStatus::Leased {
            order::let_next(self.db, delivery)?;
        }
        Ok(seq)
    }
}

impl Memory {
    /// The transaction was committed.
    pub(super) fn committed(&mut self) {
        self.leases.undo.clear();
        self.recent.committed();
        self.queues.committed();
    }

    /// The transaction was undone, and so is what it did here.
    pub(super) fn undone(&mut self) {
        self.leases.back_to(0);
        self.recent.undone();
        self.queues.fresh.clear();
    }
}
