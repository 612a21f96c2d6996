//! Two replicas over one PostgreSQL.

use std::collections::HashMap;
use std::time::Duration;

use hookplane_control_plane::server::STREAM_AGE;
use hookplane_proto::v1::DeliveryStatus;
use hookplane_tests::destinations::{Receiver, Reply};

use super::{Shop, http, own};
use crate::fake_control_plane::Failure;
use crate::streams::backends::Backends;
use crate::streams::replicas::Replica;

async fn two_replicas() -> Result<(), Failure> {
    const EVENTS: usize = 40;
    let mut shop = Shop::open().await?;
    let replica = Replica::start(&shop.rig, STREAM_AGE).await?;
    // Long enough under way for the other to come upon it.
    let receiver = Receiver::start(|_| Reply::After(Duration::from_millis(20), 200)).await?;
    shop.rig
        .pushed("orders", vec![own("", http(&receiver.url))], |_| {})
        .await?;
    for n in 0..EVENTS {
        shop.event(&format!("d-{n}"), "{}").await?;
    }
    shop.rig
        .all_are("shop/orders", EVENTS, DeliveryStatus::Delivered)
        .await?;
    let mut times: HashMap<String, u32> = HashMap::new();
    for one in receiver.received() {
        *times
            .entry(one.header("webhook-id").to_owned())
            .or_default() += 1;
    }
    assert_eq!(times.len(), EVENTS);
    assert!(
        times.values().all(|n| *n == 1),
        "none was sent by both: {times:?}"
    );
    drop(replica);
    Ok(())
}

#[test]
fn two_replicas_deliver_each_event_once_while_nothing_fails() -> Result<(), Failure> {
    Backends::cluster(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(two_replicas())
    })
}
