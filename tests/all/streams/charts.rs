//! What charts are told of deliveries: how often they arrived, and how often they didn't.

use hookplane_proto::v1;
use v1::DeliveryStatus;

use super::backends::on_cluster;
use super::rig::Rig;
use super::subscribe::{Subscriber, becomes, delivery, kept};
use crate::fake_control_plane::{Failure, eventually};

impl Rig {
    /// Once of a group so many events were accepted, so many deliveries arrived, and so many attempts didn't.
    pub(super) async fn charted(&self, group: &str, wanted: [u64; 3]) -> Result<(), Failure> {
        let mut told = [0; 3];
        let is_so = eventually(async || {
            let request = v1::GetActivityRequest {
                parent: format!("orgs/acme/groups/{group}"),
                ..Default::default()
            };
            let answer = self.events().get_activity(request).await?.into_inner();
            told = answer.buckets.iter().fold([0; 3], |sum, bucket| {
                [
                    sum[0] + bucket.accepted,
                    sum[1] + bucket.delivered,
                    sum[2] + bucket.failed,
                ]
            });
            Ok((told == wanted).then_some(()))
        });
        let is_so = is_so.await;
        is_so.map_err(|error| format!("{told:?} instead of {wanted:?}: {error}").into())
    }
}

// Many words are settled in one write, and each of them is counted.
#[tokio::test]
async fn what_subscribers_settle_is_charted() -> Result<(), Failure> {
    let rig = kept(8).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 8, 0).await?;
    let mut leases = Vec::new();
    for _ in 0..8 {
        leases.push(subscriber.next().await?);
    }
    for lease in &leases[..5] {
        subscriber.ack(lease).await?;
    }
    for lease in &leases[5..] {
        subscriber.nack(lease, |nack| nack.give_up = true).await?;
    }
    rig.charted("code", [8, 5, 3]).await
}

#[tokio::test]
async fn what_settles_nothing_is_not_charted() -> Result<(), Failure> {
    let rig = kept(1).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 1, 2).await?;
    let stale = subscriber.next().await?;
    let fresh = subscriber.next().await?;
    assert_eq!(delivery(&fresh).id, delivery(&stale).id);
    // Ignored, and so not counted by the time that the next is.
    subscriber.nack(&stale, |nack| nack.give_up = true).await?;
    subscriber.ack(&stale).await?;
    becomes(&rig, DeliveryStatus::Delivered).await?;
    rig.charted("code", [1, 1, 0]).await
}

on_cluster!(
    what_subscribers_settle_is_charted,
    what_settles_nothing_is_not_charted,
);
