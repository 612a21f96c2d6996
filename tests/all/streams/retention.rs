//! What may go goes by itself, and nothing else does.

use std::collections::BTreeSet;
use std::time::Duration;

use hookplane_control_plane::log::{Queue, Settlement};
use hookplane_proto::v1;

use super::report::{Reporting, callback};
use super::rig::{Rig, uid};
use crate::fake_control_plane::{Failure, eventually};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The provider's ids of what is kept of a group.
async fn kept(rig: &Rig, group: &str) -> Result<BTreeSet<String>, Failure> {
    let events = rig.events_of(group).await?;
    Ok(events.into_iter().map(|event| event.delivery_id).collect())
}

async fn keeps(rig: &Rig, group: &str, expected: &[&str]) -> Result<(), Failure> {
    let expected: BTreeSet<String> = expected.iter().map(|&id| id.to_owned()).collect();
    eventually(async || Ok((kept(rig, group).await? == expected).then_some(()))).await
}

/// Acknowledges so many deliveries of a webhook, oldest first.
async fn deliver(rig: &Rig, webhook: &v1::Webhook, count: usize) -> Result<(), Failure> {
    let queue = Queue::of_subscribers(uid(&webhook.metadata));
    let leases = rig
        .log
        .lease(&queue, count, Duration::from_secs(30))
        .await?;
    assert_eq!(leases.len(), count);
    let acks = leases
        .into_iter()
        .map(|lease| (lease.token, Settlement::Ack).into());
    rig.log.settle(acks.collect()).await?;
    Ok(())
}

// Risk 5: what is old or too much goes, and only if it is settled.
#[tokio::test]
async fn what_is_settled_goes_by_age_and_size_and_what_waits_never() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let aged = rig
        .group("aged", |spec| {
            spec.capture_unmatched = true;
            spec.capture_days = 2;
            spec.retention = Some(v1::Retention {
                max_days: 5,
                max_bytes: 0,
            });
        })
        .await?;
    // Of text, which isn't more than anything: what comes as such is held.
    let all = rig.webhook("aged", "all", "payload.wanted == true").await?;
    let sized = rig
        .group("sized", |spec| {
            spec.retention = Some(v1::Retention {
                max_days: 0,
                max_bytes: 12_000,
            });
        })
        .await?;
    let large = rig.webhook("sized", "large", "").await?;
    let dropped = rig.group("dropped", |_| {}).await?;
    rig.webhook("dropped", "gone", "").await?;

    let mut reporting = Reporting::connect(&rig, "default").await?;
    for (group, id, body) in [
        (&aged, "delivered", r#"{"wanted": true}"#),
        (&aged, "pending", r#"{"wanted": true, "n": 2}"#),
        (&aged, "held", r#"{"wanted": "#),
        (&aged, "captured", r#"{"wanted": false}"#),
        (&dropped, "of-nobody", "{}"),
    ] {
        reporting
            .report(callback(group, id, body.as_bytes()))
            .await?;
    }
    let ids: Vec<String> = (0..20).map(|n| format!("n{n:02}")).collect();
    for id in &ids {
        let body = format!(r#"{{"n": "{id}", "text": "{}"}}"#, "x".repeat(1_000));
        reporting
            .report(callback(&sized, id, body.as_bytes()))
            .await?;
    }
    deliver(&rig, &all, 1).await?;
    // The first stays pending: it is leased and given back.
    let queue = Queue::of_subscribers(uid(&large.metadata));
    let leases = rig.log.lease(&queue, 20, Duration::from_secs(30)).await?;
    let settled = leases.into_iter().enumerate().map(|(index, lease)| {
        let how = if index == 0 {
            Settlement::Return
        } else {
            Settlement::Ack
        };
        (lease.token, how).into()
    });
    rig.log.settle(settled.collect()).await?;
    rig.delete_webhook("dropped", "gone").await?;
    let aged_ids = ["captured", "delivered", "held", "pending"];
    keeps(&rig, "aged", &aged_ids).await?;
    drop(reporting);

    rig.clock.advance(DAY * 3);
    let mut rig = rig.restart().await?;
    keeps(&rig, "aged", &aged_ids[1..]).await?;
    // The oldest settled ones went until the rest is small enough, and the one that waits is older than all of them.
    let left = eventually(async || {
        let left = kept(&rig, "sized").await?;
        // They go some at a time.
        Ok((left.len() <= 12).then_some(left))
    })
    .await?;
    let newest: BTreeSet<String> = ids[ids.len() + 1 - left.len()..].iter().cloned().collect();
    assert!(left.contains("n00") && newest.is_subset(&left), "{left:?}");
    assert!(left.len() >= 2, "{left:?}");
    keeps(&rig, "dropped", &["of-nobody"]).await?;

    rig.clock.advance(DAY * 3);
    rig = rig.restart().await?;
    keeps(&rig, "aged", &["held", "pending"]).await?;

    rig.clock.advance(DAY * 365);
    rig = rig.restart().await?;
    keeps(&rig, "dropped", &[]).await?;
    keeps(&rig, "sized", &["n00"]).await?;
    keeps(&rig, "aged", &["held", "pending"]).await?;
    let figures = eventually(async || {
        let text = rig.metrics.render();
        let kept = "hookplane_control_plane_log_kept_events 3\n";
        Ok(text.contains(kept).then_some(text))
    });
    assert!(!figures.await?.contains("retention_timestamp_seconds 0\n"));
    Ok(())
}

#[tokio::test]
async fn what_is_kept_becomes_findable_by_itself() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("shop", |_| {}).await?;
    rig.webhook("shop", "all", "").await?;
    let mut reporting = Reporting::connect(&rig, "default").await?;
    for id in ["one", "two"] {
        let body = format!(r#"{{"customer": "Grace {id}"}}"#);
        reporting
            .report(callback(&group, id, body.as_bytes()))
            .await?;
    }
    eventually(async || {
        let found = rig
            .events()
            .list_events(v1::ListEventsRequest {
                parent: "orgs/acme/groups/shop".to_owned(),
                text: "grace TWO".to_owned(),
                ..Default::default()
            })
            .await?
            .into_inner()
            .events;
        Ok((found.len() == 1 && found[0].delivery_id == "two").then_some(()))
    })
    .await
}

super::backends::on_cluster!(what_is_kept_becomes_findable_by_itself,);
