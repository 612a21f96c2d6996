//! A log whose appends a test can hold back, that can let die what is put back, and that several control planes can share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookplane_control_plane::log::{
    Appended, Cursor, DeliveryLog, Durability, Lease, LogError, NewCallback, NewDelivery, Notes,
    PutBack, Queue, Reach, Retention, Selection, Settle, Settlement, Stats, TailItem, Usage,
    Waiting,
};
use hookplane_proto::v1;
use tokio::sync::watch;
use tokio::time::Instant;

/// Everything but appends and the end goes straight to the log behind it.
pub(super) struct Gated {
    log: Arc<dyn DeliveryLog>,
    frozen: watch::Sender<bool>,
    held: AtomicUsize,
    kills: AtomicBool,
    put_back: Mutex<Vec<String>>,
}

impl Gated {
    pub(super) fn over(log: Arc<dyn DeliveryLog>) -> Arc<Self> {
        Arc::new(Self {
            log,
            frozen: watch::Sender::new(false),
            held: AtomicUsize::new(0),
            kills: AtomicBool::new(false),
            put_back: Mutex::default(),
        })
    }

    /// From now on nothing is appended, nor answered.
    pub(super) fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    pub(super) fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    /// From now on what is put back is dead again before whoever put it back hears that it was.
    pub(super) fn kill_what_is_put_back(&self) {
        self.kills.store(true, Ordering::Relaxed);
    }

    /// Deliveries that somebody put back, in that order, as often as it was done.
    pub(super) fn put_back(&self) -> Vec<String> {
        let put_back = self.put_back.lock();
        put_back.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn kill(&self, delivery: &PutBack) -> Result<(), LogError> {
        let delivery = self.log.delivery(&delivery.delivery_id).await?;
        let queue = Queue {
            webhook_uid: delivery.webhook_uid,
            destination: delivery.destination,
        };
        let leases = self.log.lease(&queue, 100, Duration::from_secs(30)).await?;
        let settles = leases.into_iter().map(|lease| Settle {
            token: lease.token,
            settlement: Settlement::Nack {
                delay: None,
                reason: "killed".to_owned(),
                give_up: true,
            },
            attempt: None,
        });
        self.log.settle(settles.collect()).await?;
        Ok(())
    }

    /// Appends that have come to a closed gate.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl DeliveryLog for Gated {
    fn receipt(&self) -> v1::Receipt {
        self.log.receipt()
    }

    fn durability(&self) -> Durability {
        self.log.durability()
    }

    fn notes(&self) -> &dyn Notes {
        self.log.notes()
    }

    fn stats(&self) -> Stats {
        self.log.stats()
    }

    async fn append(&self, callback: NewCallback, deadline: Instant) -> Result<Appended, LogError> {
        let mut frozen = self.frozen.subscribe();
        if *frozen.borrow_and_update() {
            self.held.fetch_add(1, Ordering::Relaxed);
        }
        // The sender lives as long as this.
        let _ = frozen.wait_for(|frozen| !frozen).await;
        self.log.append(callback, deadline).await
    }

    async fn lease(
        &self,
        queue: &Queue,
        max: usize,
        duration: Duration,
    ) -> Result<Vec<Lease>, LogError> {
        self.log.lease(queue, max, duration).await
    }

    async fn settle(&self, settlements: Vec<Settle>) -> Result<Vec<bool>, LogError> {
        self.log.settle(settlements).await
    }

    async fn waiting(&self, after: Option<&Queue>, limit: usize) -> Result<Vec<Waiting>, LogError> {
        self.log.waiting(after, limit).await
    }

    async fn event(&self, id: &str) -> Result<v1::Event, LogError> {
        self.log.event(id).await
    }

    async fn delivery(&self, id: &str) -> Result<v1::Delivery, LogError> {
        self.log.delivery(id).await
    }

    async fn events(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Event)>, LogError> {
        self.log.events(selection, before, limit).await
    }

    async fn deliveries(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Delivery)>, LogError> {
        self.log.deliveries(selection, before, limit).await
    }

    async fn tail(
        &self,
        selection: &Selection,
        after: Cursor,
        changes: bool,
        limit: usize,
    ) -> Result<(Vec<TailItem>, Cursor), LogError> {
        self.log.tail(selection, after, changes, limit).await
    }
    async fn tail_newest(
        &self,
        selection: &Selection,
        after: Cursor,
        before: Option<Cursor>,
        changes: bool,
        limit: usize,
    ) -> Result<(Vec<TailItem>, Cursor), LogError> {
        self.log
            .tail_newest(selection, after, before, changes, limit)
            .await
    }

    async fn reach(&self) -> Result<Reach, LogError> {
        self.log.reach().await
    }

    fn newest(&self) -> watch::Receiver<Cursor> {
        self.log.newest()
    }

    async fn replay(&self, deliveries: &[PutBack]) -> Result<u32, LogError> {
        let replayed = self.log.replay(deliveries).await?;
        let ids = deliveries.iter().map(|one| one.delivery_id.clone());
        let put_back = self.put_back.lock();
        put_back.unwrap_or_else(PoisonError::into_inner).extend(ids);
        if self.kills.load(Ordering::Relaxed) {
            for delivery in deliveries {
                self.kill(delivery).await?;
            }
        }
        Ok(replayed)
    }

    async fn add_deliveries(
        &self,
        event_id: &str,
        deliveries: Vec<NewDelivery>,
    ) -> Result<u32, LogError> {
        self.log.add_deliveries(event_id, deliveries).await
    }

    async fn drop_deliveries(&self, webhook_uid: &str, reason: &str) -> Result<u32, LogError> {
        self.log.drop_deliveries(webhook_uid, reason).await
    }

    async fn usage(&self) -> Result<Vec<Usage>, LogError> {
        self.log.usage().await
    }

    async fn retain(&self, retention: &Retention) -> Result<u64, LogError> {
        self.log.retain(retention).await
    }

    async fn forget_repeats(&self, older_than: Duration) -> Result<u64, LogError> {
        self.log.forget_repeats(older_than).await
    }

    async fn index(&self) -> Result<bool, LogError> {
        self.log.index().await
    }

    /// One of several that share the log has ended; the log goes on.
    async fn close(&self) {}
}
