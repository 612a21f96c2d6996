//! A replica of an older program beside this one, while it is upgraded.

use hookplane_control_plane::store::{Precondition, Transaction, Write};
use hookplane_proto::v1;
use tonic::{Code, Status};

use super::rig::Rig;
use crate::fake_control_plane::{Failure, eventually};

/// What the older one says: that it lives, and nothing of what it knows.
const BEAT: [&str; 3] = ["\x08\x01\x10\x01", "\x08\x02\x10\x01", "\x08\x03\x10\x01"];
const KEY: &str = "fleet/of-an-older-program/beat";

/// Which it must be.
fn refused<T>(saved: Result<T, Failure>) -> String {
    let error = saved.err().expect("it is saved");
    let status = error.downcast::<Status>().expect("an answer");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    status.message().to_owned()
}

fn redacting(spec: &mut v1::WebhookGroupSpec) {
    spec.redact = vec![v1::Redaction {
        path: "payload.email".to_owned(),
        mask: false,
    }];
}

// Risks 13 and 45: an older program keeps what it should redact, hands subscribers what it should push or map, and leaves out of what it saves whatever it
// doesn't know. Take `skew` out of saving and it gets all of that.
#[tokio::test]
async fn what_an_older_replica_would_get_wrong_is_saved_once_it_is_gone() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    rig.put(KEY, BEAT[0]).await?;
    // Until this one has heard of it.
    let mut tries = 0;
    let told = eventually(async || {
        tries += 1;
        let name = format!("secret-{tries}");
        let saved = rig.group(&name, redacting).await;
        Ok(saved.is_err().then(|| refused(saved)))
    })
    .await?;
    assert!(
        told.contains("of-an-older-program") && told.contains("redaction"),
        "{told}"
    );
    assert!(told.contains("end the upgrade first"), "{told}");
    // It lives on.
    rig.put(KEY, BEAT[1]).await?;
    refused(rig.update_group("code", redacting).await);
    refused(rig.update_group("code", |spec| spec.capture_days = 3).await);
    let webhooks: [fn(&mut v1::WebhookSpec); 3] = [
        |spec| spec.order_by = "payload.id".to_owned(),
        |spec| spec.mapping = Some(v1::Mapping::default()),
        |spec| {
            spec.destinations = vec![v1::WebhookDestination {
                http: Some(v1::HttpTarget {
                    url: "https://example.com/hooks".to_owned(),
                    ..Default::default()
                }),
                ..Default::default()
            }];
        },
    ];
    for change in webhooks {
        refused(rig.update_webhook("code", "all", change).await);
    }
    // What it knows can be changed.
    rig.put(KEY, BEAT[2]).await?;
    rig.update_webhook("code", "all", |spec| spec.label = "All".to_owned())
        .await?;
    rig.update_group("code", |spec| spec.display_name = "Code".to_owned())
        .await?;
    rig.store
        .commit(Transaction {
            checks: vec![(KEY.to_owned(), Precondition::Present)],
            writes: vec![Write::Delete(KEY.to_owned())],
        })
        .await?;
    eventually(async || Ok(rig.update_group("code", redacting).await.ok())).await?;
    rig.update_webhook("code", "all", webhooks[0]).await?;
    Ok(())
}
