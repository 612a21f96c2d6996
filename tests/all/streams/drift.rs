//! A webhook is told when what it reads is gone, or has become something else.

use hookplane_proto::v1;
use v1::webhook_service_client::WebhookServiceClient;

use super::report::{Reporting, callback};
use super::rig::Rig;
use crate::fake_control_plane::{Failure, eventually};

async fn warnings(rig: &Rig) -> Result<Vec<(String, String)>, Failure> {
    let name = "orgs/acme/groups/shop/webhooks/paid".to_owned();
    let webhook = WebhookServiceClient::new(rig.api())
        .get_webhook(v1::GetWebhookRequest { name })
        .await?
        .into_inner();
    let warnings = webhook.status.unwrap_or_default().warnings;
    assert!(
        warnings
            .iter()
            .all(|one| one.event_type == "order.paid" && one.since.is_some())
    );
    Ok(warnings
        .into_iter()
        .map(|one| (one.path, one.message))
        .collect())
}

async fn warned(rig: &Rig, expected: &[(&str, &str)]) -> Result<(), Failure> {
    eventually(async || {
        let now = warnings(rig).await?;
        let is_it = now.len() == expected.len()
            && now
                .iter()
                .zip(expected)
                .all(|((path, message), (of, says))| path == of && message.contains(says));
        Ok(is_it.then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_path_that_vanished_or_changed_is_told_until_it_is_back_or_not_read()
-> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("shop", |_| {}).await?;
    rig.webhook(
        "shop",
        "paid",
        "payload.total > 1 || payload.customer.email == 'x' || payload.id > 0",
    )
    .await?;
    let mut number = 0;
    let mut send = async |rig: &Rig, times: usize, body: &str| -> Result<(), Failure> {
        let mut reporting = Reporting::connect(rig, "default").await?;
        for _ in 0..times {
            number += 1;
            let body = body.replace('#', &number.to_string());
            reporting
                .report(callback(&group, &number.to_string(), body.as_bytes()))
                .await?;
        }
        Ok(())
    };
    send(
        &rig,
        22,
        r##"{"id": #, "total": 7.5, "customer": {"email": "x", "name": "y"}, "unread": 1}"##,
    )
    .await?;
    assert_eq!(warnings(&rig).await?, []);
    send(
        &rig,
        22,
        r##"{"id": #, "total": "7.5", "customer": {"name": "y"}}"##,
    )
    .await?;
    let both = [
        ("payload.customer.email", "is gone"),
        ("payload.total", "was a number and is text"),
    ];
    warned(&rig, &both).await?;
    let text = rig.metrics.render();
    assert!(
        text.contains("hookplane_control_plane_drift_warnings_total 2\n"),
        "{text}"
    );

    // What was learned outlives the server.
    let rig = rig.restart().await?;
    warned(&rig, &both).await?;
    send(
        &rig,
        1,
        r##"{"id": #, "total": "7.5", "customer": {"email": "x"}}"##,
    )
    .await?;
    warned(&rig, &both[1..]).await?;
    rig.update_webhook("shop", "paid", |spec| {
        spec.filter = "payload.id > 0".to_owned()
    })
    .await?;
    warned(&rig, &[]).await
}

super::backends::on_cluster!(a_path_that_vanished_or_changed_is_told_until_it_is_back_or_not_read,);
