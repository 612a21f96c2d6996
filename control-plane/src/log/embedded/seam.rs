//! The log's seam, each call handed to the writer, to a reader, or to the index.

use std::sync::PoisonError;
use std::time::Duration;

use hookplane_proto::v1;
use prost::Message;
use tokio::sync::watch;

use super::tail::Stretch;
use super::{EmbeddedLog, append, forget, index, leases, list, made, queues, read, retain};
use crate::log::{
    Appended, Cursor, DeliveryLog, Durability, Lease, LogError, NewCallback, NewDelivery, Notes,
    PutBack, Queue, Reach, Retention, Selection, Settle, Stats, TailItem, Usage, Waiting,
};

/// The most rows any read or lease answers with, whatever is asked.
const MAX_ROWS: usize = 1_000;

/// Deliveries dropped in one transaction.
const DROP_STEP: i64 = 500;

#[async_trait::async_trait]
impl DeliveryLog for EmbeddedLog {
    fn receipt(&self) -> v1::Receipt {
        if self.sync {
            v1::Receipt::Synced
        } else {
            v1::Receipt::Degraded
        }
    }

    fn durability(&self) -> Durability {
        let unsafe_sync =
            "the log doesn't sync: what is acknowledged can be lost when the machine stops";
        Durability {
            receipt: self.receipt(),
            reasons: (!self.sync)
                .then(|| unsafe_sync.to_owned())
                .into_iter()
                .collect(),
        }
    }

    fn notes(&self) -> &dyn Notes {
        self
    }

    fn stats(&self) -> Stats {
        let counted = self.shared.counted.lock();
        Stats {
            waiting: self.shared.queue.len(),
            ..*counted.unwrap_or_else(PoisonError::into_inner)
        }
    }

    async fn append(
        &self,
        callback: NewCallback,
        deadline: tokio::time::Instant,
    ) -> Result<Appended, LogError> {
        if tokio::time::Instant::now() >= deadline {
            return Err(LogError::Unavailable("its time was up".into()));
        }
        let callback = append::Prepared::new(callback);
        let write = self.write(callback.bytes(), move |tables| {
            append::append(tables, &callback)
        });
        tokio::time::timeout_at(deadline, write)
            .await
            .unwrap_or_else(|_| Err(LogError::Unavailable("the disk was too slow".into())))
    }

    async fn lease(
        &self,
        queue: &Queue,
        max: usize,
        duration: Duration,
    ) -> Result<Vec<Lease>, LogError> {
        let queue = queue.clone();
        let leases = self
            .write(64, move |tables| {
                leases::lease(tables, &queue, max.min(MAX_ROWS), duration)
            })
            .await?;
        let decode = |lease: leases::RawLease| {
            Ok(Lease {
                token: lease.token,
                delivery: lease.delivery.decode(),
                event: lease.event.decode()?,
                expires: hookplane_rules::Timestamp(lease.expires),
            })
        };
        leases.into_iter().map(decode).collect()
    }

    async fn settle(&self, settlements: Vec<Settle>) -> Result<Vec<bool>, LogError> {
        let of = |settle: &Settle| settle.attempt.as_ref().map_or(0, |of| of.excerpt.len());
        let bytes: usize = settlements.iter().map(|settle| 128 + of(settle)).sum();
        self.write(bytes, move |tables| {
            settlements
                .iter()
                .map(|settle| leases::settle(tables, settle))
                .collect()
        })
        .await
    }

    async fn event(&self, id: &str) -> Result<v1::Event, LogError> {
        let wanted = id.to_owned();
        let event = self.read(move |db| read::event(db, &wanted)).await?;
        event
            .ok_or_else(|| LogError::NotFound(format!("event {id}")))?
            .decode()
    }

    async fn delivery(&self, id: &str) -> Result<v1::Delivery, LogError> {
        let wanted = id.to_owned();
        let found = self.read(move |db| read::delivery(db, &wanted)).await?;
        let (delivery, attempts) =
            found.ok_or_else(|| LogError::NotFound(format!("delivery {id}")))?;
        let mut delivery = delivery.decode();
        for attempt in attempts {
            let attempt = v1::Attempt::decode(&*attempt).map_err(|_| {
                LogError::Damaged(format!(
                    "an attempt of delivery {id} can't be decoded; restore the log from a backup"
                ))
            })?;
            delivery.history.push(attempt);
        }
        Ok(delivery)
    }

    async fn events(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Event)>, LogError> {
        let selection = selection.clone();
        let turn = self.search(&selection).await?;
        let rows = self
            .read(move |db| {
                let _turn = turn;
                list::events(db, &selection, before, limit.min(MAX_ROWS))
            })
            .await?;
        rows.into_iter()
            .map(|(cursor, event)| Ok((cursor, event.decode()?)))
            .collect()
    }

    async fn deliveries(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Delivery)>, LogError> {
        let selection = selection.clone();
        let turn = self.search(&selection).await?;
        let rows = self
            .read(move |db| {
                let _turn = turn;
                list::deliveries(db, &selection, before, limit.min(MAX_ROWS))
            })
            .await?;
        Ok(rows
            .into_iter()
            .map(|(cursor, delivery)| (cursor, delivery.decode()))
            .collect())
    }

    async fn tail(
        &self,
        selection: &Selection,
        after: Cursor,
        changes: bool,
        limit: usize,
    ) -> Result<(Vec<TailItem>, Cursor), LogError> {
        let newest = *self.shared.newest.borrow();
        let stretch = Stretch::of(after, newest, limit.clamp(1, MAX_ROWS));
        let items = self.lines(selection, stretch, changes).await?;
        let next = match items.last() {
            Some(last) if items.len() >= stretch.limit => last.cursor,
            _ => newest.max(after),
        };
        Ok((items, next))
    }

    async fn tail_newest(
        &self,
        selection: &Selection,
        after: Cursor,
        before: Option<Cursor>,
        changes: bool,
        limit: usize,
    ) -> Result<(Vec<TailItem>, Cursor), LogError> {
        let newest = *self.shared.newest.borrow();
        let until = before.map_or(newest, |before| {
            newest.min(Cursor(before.0.saturating_sub(1)))
        });
        let stretch = Stretch::of(after, until, limit.clamp(1, MAX_ROWS)).newest_first();
        let items = self.lines(selection, stretch, changes).await?;
        Ok((items, newest.max(after)))
    }

    async fn reach(&self) -> Result<Reach, LogError> {
        // One writer, and it moves this before it answers.
        let newest = *self.shared.newest.borrow();
        Ok(Reach {
            whole: newest,
            last: newest,
            open: Vec::new(),
        })
    }

    fn newest(&self) -> watch::Receiver<Cursor> {
        self.shared.newest.subscribe()
    }

    async fn replay(&self, deliveries: &[PutBack]) -> Result<u32, LogError> {
        let deliveries = deliveries.to_vec();
        self.write(64 * deliveries.len(), move |tables| {
            let mut replayed = 0;
            for delivery in &deliveries {
                replayed += u32::from(leases::replay(tables, delivery)?);
            }
            Ok(replayed)
        })
        .await
    }

    async fn add_deliveries(
        &self,
        event_id: &str,
        deliveries: Vec<NewDelivery>,
    ) -> Result<u32, LogError> {
        let event_id = event_id.to_owned();
        self.write(512 * deliveries.len(), move |tables| {
            made::add(tables, &event_id, &deliveries)
        })
        .await
    }

    async fn drop_deliveries(&self, webhook_uid: &str, reason: &str) -> Result<u32, LogError> {
        let mut dropped = 0;
        loop {
            let (webhook, reason) = (webhook_uid.to_owned(), reason.to_owned());
            let some = self
                .write(64, move |tables| {
                    leases::drop_some(tables, &webhook, &reason, DROP_STEP)
                })
                .await?;
            dropped += some;
            if some == 0 {
                return Ok(dropped);
            }
        }
    }

    async fn waiting(&self, after: Option<&Queue>, limit: usize) -> Result<Vec<Waiting>, LogError> {
        let (after, now) = (after.cloned(), self.shared.time.now());
        let limit = limit.min(MAX_ROWS);
        self.read(move |db| queues::waiting(db, after.as_ref(), limit, now))
            .await
    }

    async fn usage(&self) -> Result<Vec<Usage>, LogError> {
        self.read(index::usage).await
    }

    async fn retain(&self, retention: &Retention) -> Result<u64, LogError> {
        retain::some(self, retention).await
    }

    async fn forget_repeats(&self, older_than: Duration) -> Result<u64, LogError> {
        forget::repeats(self, older_than).await
    }

    async fn index(&self) -> Result<bool, LogError> {
        let mut index = self.shared.index.clone().lock_owned().await;
        self.read(move |db| index::step(&mut index, db)).await
    }

    async fn close(&self) {
        let mut ended = self.shared.ended.subscribe();
        self.shared.queue.close();
        self.shared.index.lock().await.close();
        // An error means that the writer is gone, which is what is waited for.
        drop(ended.wait_for(|ended| *ended).await);
    }
}
