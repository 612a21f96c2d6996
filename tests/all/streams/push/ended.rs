//! A control plane that ends, and what it had under way.

use hookplane_proto::v1;
use hookplane_tests::destinations::{Receiver, Reply};
use v1::DeliveryStatus;

use super::{Shop, http, own};
use crate::fake_control_plane::{Failure, until};
use crate::streams::backends::on_cluster;

// Over PostgreSQL a lease that isn't given back outlasts the test; over the embedded log it counts as an attempt.
#[tokio::test]
async fn what_is_under_way_at_the_end_is_given_back_at_once_and_uncounted() -> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    // Takes it in, and never says so.
    let receiver = Receiver::start(|_| Reply::Never).await?;
    let mut stuck = own("", http(&receiver.url));
    stuck.limits = Some(v1::DeliveryLimits {
        timeout_seconds: 120,
        ..Default::default()
    });
    shop.rig.pushed("orders", vec![stuck], |_| {}).await?;
    for n in 0..3 {
        shop.event(&format!("d-{n}"), "{}").await?;
    }
    until(|| receiver.count() == 3).await?;
    let Shop { rig, reporting, .. } = shop;
    drop(reporting);
    receiver.say(|_| Reply::Status(200));
    let rig = rig.restart().await?;
    let delivered = rig
        .all_are("shop/orders", 3, DeliveryStatus::Delivered)
        .await?;
    let attempts: Vec<u32> = delivered.iter().map(|one| one.attempts).collect();
    assert_eq!(attempts, [1, 1, 1]);
    Ok(())
}

on_cluster!(what_is_under_way_at_the_end_is_given_back_at_once_and_uncounted);
