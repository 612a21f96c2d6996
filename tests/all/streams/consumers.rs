//! Leases as they are promised to teams: what is not settled comes back, attempts end, a slow one holds little, and nothing that waits is
//! deleted unasked.

use std::process::Command;

use hookplane_proto::v1;
use hookplane_tests::product::binary;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use v1::DeliveryStatus;
use v1::webhook_group_service_client::WebhookGroupServiceClient;
use v1::webhook_service_client::WebhookServiceClient;

use super::report::{Reporting, callback};
use super::rig::{ATTEMPTS, TOKEN};
use super::subscribe::{Subscriber, becomes, delivery, kept};
use crate::fake_control_plane::{Failure, eventually, soon};

#[tokio::test]
async fn leases_that_run_out_end_in_a_dead_letter_that_is_seen_and_replayed() -> Result<(), Failure>
{
    let rig = kept(1).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 1, 1).await?;
    for attempt in 1..=ATTEMPTS {
        // Never settled: each expiry is an attempt.
        assert_eq!(delivery(&subscriber.next().await?).attempts, attempt);
    }
    let dead = becomes(&rig, DeliveryStatus::Dead).await?;
    assert_eq!(
        (dead.attempts, dead.reason.as_str()),
        (ATTEMPTS, "the lease ran out")
    );
    let request = v1::ListDeliveriesRequest {
        parent: "orgs/acme/groups/code/webhooks/-".to_owned(),
        status: DeliveryStatus::Dead.into(),
        ..Default::default()
    };
    let listed = rig.events().list_deliveries(request).await?.into_inner();
    assert_eq!(listed.deliveries[0].id, dead.id);
    let request = v1::ReplayDeliveriesRequest {
        delivery_ids: vec![dead.id.clone()],
        ..Default::default()
    };
    rig.events().replay_deliveries(request).await?;
    let again = subscriber.next().await?;
    assert_eq!(
        (delivery(&again).id, delivery(&again).attempts),
        (dead.id, 1)
    );
    subscriber.ack(&again).await?;
    becomes(&rig, DeliveryStatus::Delivered).await?;
    Ok(())
}

#[tokio::test]
async fn leases_are_void_once_the_log_is_opened_again() -> Result<(), Failure> {
    let rig = kept(1).await?;
    let mut before = Subscriber::start(&rig, "code/all", 1, 600).await?;
    let held = before.next().await?;
    // Killed, not ended: nobody gives the lease back.
    let rig = rig.crash().await?;
    let mut after = Subscriber::start(&rig, "code/all", 1, 600).await?;
    let again = after.next().await?;
    assert_eq!(delivery(&again).id, delivery(&held).id);
    assert_eq!(delivery(&again).attempts, 2, "it counts as an attempt");
    Ok(())
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_holds_little_and_the_others_get_the_rest()
-> Result<(), Failure> {
    const COUNT: usize = 60;
    const BODY: usize = 200_000;
    /// What waits for it here, what is on the way, and what fits into its window of 64 KiB: less than one more.
    const MOST: usize = 16 + 2;
    let rig = kept(0).await?;
    let group = rig.get_group("code").await?;
    let body = |n: usize| format!("{{\"n\":{n},\"x\":\"{}\"}}", "x".repeat(BODY));
    let mut stream = Reporting::connect(&rig, "").await?;
    for n in 0..COUNT {
        let one = callback(&group, &format!("d-{n}"), body(n).as_bytes());
        stream.report(one).await?;
    }
    let _stuck = Subscriber::start(&rig, "code/all", 1_000, 600).await?;
    let leased = async || {
        let all = rig.deliveries("code/all").await?;
        let leased = |d: &&v1::Delivery| d.status() == DeliveryStatus::Leased;
        Ok::<_, Failure>(all.iter().filter(leased).count())
    };
    eventually(async || Ok((leased().await? > 0).then_some(()))).await?;
    let mut other = Subscriber::start(&rig, "code/all", 10, 600).await?;
    for _ in 0..COUNT - MOST {
        let lease = other.next().await?;
        other.ack(&lease).await?;
    }
    assert!(leased().await? <= MOST);
    Ok(())
}

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.map(|info| info.reason).unwrap_or_default()
}

#[tokio::test]
async fn deleting_what_has_deliveries_that_wait_asks() -> Result<(), Failure> {
    let rig = kept(2).await?;
    let webhook = async |discard_pending| {
        let request = v1::DeleteWebhookRequest {
            name: "orgs/acme/groups/code/webhooks/all".to_owned(),
            etag: String::new(),
            discard_pending,
        };
        WebhookServiceClient::new(rig.api())
            .delete_webhook(request)
            .await
    };
    let group = async |discard_pending| {
        let request = v1::DeleteWebhookGroupRequest {
            name: "orgs/acme/groups/code".to_owned(),
            etag: String::new(),
            discard_pending,
            ..Default::default()
        };
        WebhookGroupServiceClient::new(rig.api())
            .delete_webhook_group(request)
            .await
    };
    let mut subscriber = Subscriber::start(&rig, "code/all", 1, 600).await?;
    subscriber.next().await?;
    for refused in [webhook(false).await, group(false).await] {
        let status = refused.err().ok_or("it was deleted")?;
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(reason(&status), "DELIVERIES_WAIT");
        assert!(status.message().contains("1 pending, 1 leased"), "{status}");
    }
    assert_eq!(
        rig.deliveries("code/all").await?.len(),
        2,
        "nothing is gone"
    );
    webhook(true).await?;
    let dropped = rig.deliveries("code").await?;
    assert!(
        dropped
            .iter()
            .all(|d| d.status() == DeliveryStatus::Dropped),
        "{dropped:?}"
    );
    // Nothing waits any more.
    group(false).await?;
    Ok(())
}

#[tokio::test]
async fn draining_takes_nothing_more_waits_for_subscribers_and_deletes() -> Result<(), Failure> {
    let rig = kept(1).await?;
    let delete = |more: &'static [&'static str]| {
        let mut command = Command::new(binary());
        command
            .args([
                "--api",
                &rig.url,
                "--token",
                TOKEN,
                "delete",
                "webhook",
                "acme/code/all",
            ])
            .args(more);
        tokio::task::spawn_blocking(move || command.output())
    };
    let unsaid = soon(delete(&[])).await???;
    let said = String::from_utf8_lossy(&unsaid.stderr).into_owned();
    assert_eq!(unsaid.status.code(), Some(1), "{said}");
    for word in ["1 pending", "--drain", "--discard"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    let draining = delete(&["--drain"]);
    eventually(async || {
        let name = "orgs/acme/groups/code/webhooks/all".to_owned();
        let mut client = WebhookServiceClient::new(rig.api());
        let webhook = client.get_webhook(v1::GetWebhookRequest { name }).await?;
        let is_active = webhook.into_inner().spec.is_some_and(|spec| spec.active);
        Ok((!is_active).then_some(()))
    })
    .await?;
    assert!(!draining.is_finished(), "something waits");
    let mut subscriber = Subscriber::start(&rig, "code/all", 1, 600).await?;
    let lease = subscriber.next().await?;
    subscriber.ack(&lease).await?;
    let drained = soon(draining).await???;
    assert!(
        drained.status.success(),
        "{}",
        String::from_utf8_lossy(&drained.stderr)
    );
    assert_eq!(
        rig.deliveries("code").await?[0].status(),
        DeliveryStatus::Delivered
    );
    Ok(())
}

super::backends::on_cluster!(
    leases_that_run_out_end_in_a_dead_letter_that_is_seen_and_replayed,
    a_subscriber_that_does_not_read_holds_little_and_the_others_get_the_rest,
    deleting_what_has_deliveries_that_wait_asks,
    draining_takes_nothing_more_waits_for_subscribers_and_deletes,
);
