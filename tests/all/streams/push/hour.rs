//! A destination that is away for an hour, in seconds.

use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::{
    Appended, Cursor, DeliveryLog, Durability, Lease, LogError, NewCallback, NewDelivery, Notes,
    PutBack, Queue, Reach, Retention, Selection, Settle, Settlement, Stats, TailItem, Usage,
    Waiting,
};
use hookplane_proto::v1;
use hookplane_tests::destinations::{Receiver, Reply};
use tokio::sync::watch;
use tokio::time::Instant;
use v1::DeliveryStatus;

use super::{Shop, http, own};
use crate::fake_control_plane::{Failure, eventually};
use crate::streams::rig::Rig;

/// How much faster time passes: an hour in some four seconds.
const TIMES: u32 = 1_000;

/// A log in whose time deliveries wait a thousandth of what they are told to.
struct Hasty(Arc<dyn DeliveryLog>);

// Risk 10, and all of it: nothing is lost, dead or out of order after an hour without the destination, and it wasn't hammered meanwhile.
#[tokio::test]
async fn a_destination_away_for_an_hour_gets_everything_in_order_afterwards() -> Result<(), Failure>
{
    const EVENTS: usize = 30;
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let rig = Rig::start_with(|log| Arc::new(Hasty(log))).await?;
    let clock = rig.clock.clone();
    let ticking = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        loop {
            tick.tick().await;
            clock.advance(Duration::from_millis(5) * TIMES);
        }
    });
    let mut shop = Shop::over(rig).await?;
    let receiver = Receiver::start(|_| Reply::Closed).await?;
    let ordered = shop
        .rig
        .pushed("orders", vec![own("", http(&receiver.url))], |spec| {
            spec.order_by = "payload.k".to_owned();
        });
    ordered.await?;
    let began = shop.rig.clock.clone();
    let began = move || hookplane_rules::Clock::now(&*began).0;
    let start = began();
    for n in 0..EVENTS {
        shop.event(
            &format!("d-{n}"),
            &format!(r#"{{"k": {}, "n": {n}}}"#, n % 3),
        )
        .await?;
    }
    let until = start + i64::try_from(HOUR.as_millis())?;
    // For an hour, and at least a few times.
    eventually(async || Ok((began() >= until && receiver.count() > 5).then_some(()))).await?;
    let asked = receiver.count();
    assert!(asked < 60, "it was left alone: {asked}");
    assert!(
        shop.rig
            .deliveries("shop/orders")
            .await?
            .iter()
            .all(|one| one.status() != DeliveryStatus::Dead)
    );
    receiver.say(|_| Reply::Status(200));
    shop.rig
        .all_are("shop/orders", EVENTS, DeliveryStatus::Delivered)
        .await?;
    ticking.abort();
    let taken = receiver.received().split_off(asked);
    for k in 0..3 {
        let of: Vec<String> = taken
            .iter()
            .map(|one| one.text())
            .filter(|t| t.contains(&format!(r#""k": {k},"#)))
            .collect();
        let expected: Vec<String> = (0..EVENTS)
            .filter(|n| n % 3 == k)
            .map(|n| format!(r#"{{"k": {k}, "n": {n}}}"#))
            .collect();
        assert_eq!(of, expected, "key {k}");
    }
    Ok(())
}

#[async_trait::async_trait]
impl DeliveryLog for Hasty {
    fn receipt(&self) -> v1::Receipt {
        self.0.receipt()
    }
    fn durability(&self) -> Durability {
        self.0.durability()
    }
    fn notes(&self) -> &dyn Notes {
        self.0.notes()
    }
    fn stats(&self) -> Stats {
        self.0.stats()
    }
    async fn append(&self, callback: NewCallback, deadline: Instant) -> Result<Appended, LogError> {
        self.0.append(callback, deadline).await
    }
    async fn lease(
        &self,
        queue: &Queue,
        max: usize,
        duration: Duration,
    ) -> Result<Vec<Lease>, LogError> {
        self.0.lease(queue, max, duration).await
    }
    async fn settle(&self, mut settlements: Vec<Settle>) -> Result<Vec<bool>, LogError> {
        for one in &mut settlements {
            if let Settlement::Nack {
                delay: Some(delay), ..
            } = &mut one.settlement
            {
                *delay /= TIMES;
            }
        }
        self.0.settle(settlements).await
    }
    async fn waiting(&self, after: Option<&Queue>, limit: usize) -> Result<Vec<Waiting>, LogError> {
        self.0.waiting(after, limit).await
    }
    async fn event(&self, id: &str) -> Result<v1::Event, LogError> {
        self.0.event(id).await
    }
    async fn delivery(&self, id: &str) -> Result<v1::Delivery, LogError> {
        self.0.delivery(id).await
    }
    async fn events(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Event)>, LogError> {
        self.0.events(selection, before, limit).await
    }
    async fn deliveries(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Delivery)>, LogError> {
        self.0.deliveries(selection, before, limit).await
    }
    async fn tail(
        &self,
        selection: &Selection,
        after: Cursor,
        changes: bool,
        limit: usize,
    ) -> Result<(Vec<TailItem>, Cursor), LogError> {
        self.0.tail(selection, after, changes, limit).await
    }
    async fn tail_newest(
        &self,
        selection: &Selection,
        after: Cursor,
        before: Option<Cursor>,
        changes: bool,
        limit: usize,
    ) -> Result<(Vec<TailItem>, Cursor), LogError> {
        self.0
            .tail_newest(selection, after, before, changes, limit)
            .await
    }
    async fn reach(&self) -> Result<Reach, LogError> {
        self.0.reach().await
    }
    fn newest(&self) -> watch::Receiver<Cursor> {
        self.0.newest()
    }
    async fn replay(&self, deliveries: &[PutBack]) -> Result<u32, LogError> {
        self.0.replay(deliveries).await
    }
    async fn add_deliveries(
        &self,
        event_id: &str,
        deliveries: Vec<NewDelivery>,
    ) -> Result<u32, LogError> {
        self.0.add_deliveries(event_id, deliveries).await
    }
    async fn drop_deliveries(&self, webhook_uid: &str, reason: &str) -> Result<u32, LogError> {
        self.0.drop_deliveries(webhook_uid, reason).await
    }
    async fn usage(&self) -> Result<Vec<Usage>, LogError> {
        self.0.usage().await
    }
    async fn retain(&self, retention: &Retention) -> Result<u64, LogError> {
        self.0.retain(retention).await
    }
    async fn forget_repeats(&self, older_than: Duration) -> Result<u64, LogError> {
        self.0.forget_repeats(older_than).await
    }
    async fn index(&self) -> Result<bool, LogError> {
        self.0.index().await
    }
    async fn close(&self) {
        self.0.close().await;
    }
}
