//! Transactions: checks as etcd's compares, and an attempt whose answer was lost made again only if it was not made.
//!
//! ```text
//!   if   the mark is as it was, and every check holds
//!   then write the mark, and the writes
//!   else read the mark, and the keys that were checked ─▶ this commit's mark: it was made before, at that revision
//!                                                      └▶ else the first check that doesn't hold: a conflict
//! ```

use std::collections::HashSet;

use bytes::Bytes;
use etcd_client::{
    Client, Compare, CompareOp, GetOptions, GetResponse, PutOptions, SortOrder, SortTarget, Txn,
    TxnOp, TxnOpResponse, TxnResponse,
};
use tokio::time::Instant;

use super::fault::Fault;
use super::marks::{Mark, random};
use super::members::CALL;
use super::{EtcdStore, revision_of};
use crate::store::{Precondition, Revision, StoreError, Transaction, Write};

/// What became of a transaction.
enum Outcome {
    Made {
        at: Revision,
        changed: bool,
    },
    Conflict(String),
    /// The mark is neither as it was nor this commit's: the store was put back to an older copy.
    MarkLost,
}

impl EtcdStore {
    pub(super) async fn transact(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let deadline = Instant::now() + CALL;
        // A mark that turns out to be lost is replaced; twice in one call is no longer that.
        for _ in 0..2 {
            let mark = self.marks.take(&self.members, deadline);
            let mut mark = mark.await.map_err(Fault::into_error)?;
            let own = random()?;
            let sent = self.try_all(&transaction, &mark, own, deadline).await;
            match sent {
                Ok(Outcome::Made { at, changed }) => {
                    mark.revision = at;
                    self.marks.give_back(mark);
                    return if changed {
                        Ok(at)
                    } else {
                        self.newest(deadline).await
                    };
                }
                Ok(Outcome::Conflict(key)) => {
                    self.marks.give_back(mark);
                    return Err(StoreError::Conflict { key });
                }
                Ok(Outcome::MarkLost) | Err(Fault::LeaseGone) => {
                    self.marks.forget(mark.lease).await;
                }
                // The mark is never used again: an attempt may still be on its way, and may be the one that is made.
                Err(Fault::Elsewhere(reason)) => {
                    return Err(StoreError::Unavailable(format!(
                        "{reason} (the write may have been made all the same)"
                    )));
                }
                Err(fault) => return Err(fault.into_error()),
            }
        }
        Err(StoreError::Unavailable(
            "etcd was put back to an older copy during a write: try again".to_owned(),
        ))
    }

    /// The same words at each attempt.
    async fn try_all(
        &self,
        transaction: &Transaction,
        mark: &Mark,
        own: [u8; 16],
        deadline: Instant,
    ) -> Result<Outcome, Fault> {
        let words = self.words(transaction, mark, own);
        let answer = self
            .members
            .call(deadline, |mut etcd: Client| {
                let words = words.clone();
                async move { etcd.txn(words).await }
            })
            .await?;
        outcome(transaction, mark, own, &answer)
    }

    fn words(&self, transaction: &Transaction, mark: &Mark, own: [u8; 16]) -> Txn {
        let mut compares = vec![mod_revision(&mark.key, mark.revision)];
        let mut reads = vec![TxnOp::get(mark.key.as_str(), None)];
        for (key, precondition) in &transaction.checks {
            let key = self.stored(key);
            reads.push(TxnOp::get(
                key.as_str(),
                Some(GetOptions::new().with_keys_only()),
            ));
            compares.push(match precondition {
                Precondition::Absent => Compare::create_revision(key, CompareOp::Equal, 0),
                Precondition::Present => Compare::create_revision(key, CompareOp::Greater, 0),
                // What has no value has revision 0 in etcd, and here none.
                Precondition::At(0) => Compare::create_revision(key, CompareOp::Less, 0),
                Precondition::At(revision) => mod_revision(&key, *revision),
            });
        }
        let lease = PutOptions::new().with_lease(mark.lease);
        let mut writes = vec![TxnOp::put(mark.key.as_str(), own, Some(lease))];
        writes.extend(last_of_each(transaction).into_iter().map(|write| {
            let (key, value) = parts(write);
            let key = self.stored(key);
            match value {
                Some(value) => TxnOp::put(key, value.to_vec(), None),
                None => TxnOp::delete(key, None),
            }
        }));
        Txn::new().when(compares).and_then(writes).or_else(reads)
    }

    /// A transaction that changed nothing has no revision that a watch would bring, so it is said to be at the last one that has.
    async fn newest(&self, deadline: Instant) -> Result<Revision, StoreError> {
        let (from, end) = self.range("", None);
        let newest = GetOptions::new()
            .with_range(end)
            .with_keys_only()
            .with_sort(SortTarget::Mod, SortOrder::Descend)
            .with_limit(1);
        let found: GetResponse = self
            .members
            .call(deadline, |mut etcd: Client| {
                let (from, newest) = (from.clone(), newest.clone());
                async move { etcd.get(from, Some(newest)).await }
            })
            .await
            .map_err(Fault::into_error)?;
        Ok(found
            .kvs()
            .first()
            .map_or(0, |kv| kv.mod_revision().unsigned_abs()))
    }
}

fn outcome(
    transaction: &Transaction,
    mark: &Mark,
    own: [u8; 16],
    answer: &TxnResponse,
) -> Result<Outcome, Fault> {
    if answer.succeeded() {
        let puts = |write: &Write| matches!(write, Write::Put(..));
        let changed = transaction.writes.iter().any(puts)
            || answer.op_responses().iter().any(
                |answer| matches!(answer, TxnOpResponse::Delete(delete) if delete.deleted() > 0),
            );
        let at = revision_of(answer.header())?;
        return Ok(Outcome::Made { at, changed });
    }
    let mut reads = answer.op_responses().into_iter();
    let mut read = || match reads.next() {
        Some(TxnOpResponse::Get(found)) => Ok(found),
        _ => Err(Fault::Elsewhere(
            "etcd's answer to a transaction is not one".to_owned(),
        )),
    };
    let found = read()?;
    let found = found.kvs().first();
    if let Some(found) = found
        && found.value() == own
    {
        let at = found.mod_revision().unsigned_abs();
        // Whether a delete of nothing was all of it isn't known any more; a revision of its own does no harm.
        return Ok(Outcome::Made { at, changed: true });
    }
    if found.map_or(0, |kv| kv.mod_revision().unsigned_abs()) != mark.revision {
        return Ok(Outcome::MarkLost);
    }
    for (key, precondition) in &transaction.checks {
        let found = read()?;
        let is = found
            .kvs()
            .first()
            .map(|kv| kv.mod_revision().unsigned_abs());
        let holds = match (precondition, is) {
            (Precondition::Absent, None) | (Precondition::Present, Some(_)) => true,
            (Precondition::At(revision), Some(is)) => *revision == is,
            _ => false,
        };
        if !holds {
            return Ok(Outcome::Conflict(key.clone()));
        }
    }
    Err(Fault::Elsewhere(
        "etcd refused a transaction whose checks all hold".to_owned(),
    ))
}

/// etcd refuses to write a key twice in one transaction; of several writes the last one holds.
fn last_of_each(transaction: &Transaction) -> Vec<&Write> {
    let mut seen = HashSet::new();
    let writes = transaction.writes.iter().rev();
    let mut last: Vec<_> = writes.filter(|write| seen.insert(parts(write).0)).collect();
    last.reverse();
    last
}

fn parts(write: &Write) -> (&str, Option<&Bytes>) {
    match write {
        Write::Put(key, value) => (key, Some(value)),
        Write::Delete(key) => (key, None),
    }
}

fn mod_revision(key: &str, revision: Revision) -> Compare {
    // Further than etcd counts: never.
    let revision = i64::try_from(revision).unwrap_or(i64::MAX);
    Compare::mod_revision(key, CompareOp::Equal, revision)
}
