//! A log whose appends a test can hold back, and that several control planes can share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hookplane_control_plane::log::{
    Appended, Cursor, DeliveryLog, Durability, Lease, LogError, NewCallback, NewDelivery, Notes,
    PutBack, Queue, Reach, Retention, Selection, Settle, Stats, TailItem, Usage, Waiting,
};
use hookplane_proto::v1;
use tokio::sync::watch;
use tokio::time::Instant;

/// Everything but appends and the end goes straight to the log behind it.
pub(super) struct Gated {
    log: Arc<dyn DeliveryLog>,
    frozen: watch::Sender<bool>,
    held: AtomicUsize,
}

impl Gated {
    pub(super) fn over(log: Arc<dyn DeliveryLog>) -> Arc<Self> {
        Arc::new(Self {
            log,
            frozen: watch::Sender::new(false),
            held: AtomicUsize::new(0),
        })
    }

    /// From now on nothing is appended, nor answered.
    pub(super) fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    pub(super) fn thaw(&self) {
        self.frozen.send_replace(false);
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

    async fn reach(&self) -> Result<Reach, LogError> {
        self.log.reach().await
    }

    fn newest(&self) -> watch::Receiver<Cursor> {
        self.log.newest()
    }

    async fn replay(&self, deliveries: &[PutBack]) -> Result<u32, LogError> {
        self.log.replay(deliveries).await
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
