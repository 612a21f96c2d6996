//! The largest body that a group may take, all the way and back. Risk 31: the default message limit.

use hookplane_proto::v1;

use super::plain::signed;
use super::report::{Reporting, callback, split};
use super::rig::{Rig, callback_url, post};
use super::subscribe::Subscriber;
use crate::fake_control_plane::{Failure, soon};

const BODY_BYTES: usize = 25 * 1024 * 1024;
const FRAME: &str = r#"{"text":""}"#;

#[tokio::test]
async fn the_largest_body_gets_through_every_stream() -> Result<(), Failure> {
    let mut rig = Rig::start().await?;
    // The time isn't what is tested here, and a build for tests takes its time over so much.
    rig.patience(60).await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let _listening = rig.listen().await?;
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(BODY_BYTES - FRAME.len()));
    assert_eq!(body.len(), BODY_BYTES);
    let headers = signed("d-1", body.as_bytes());
    let answer = post(&callback_url(&group), headers, body.clone().into()).await?;
    assert_eq!(
        (answer.status, answer.receipt()),
        (200, rig.backends.receipt())
    );
    let id = answer.header("hookplane-event-id").ok_or("an id")?;
    let same = |event: Option<v1::Event>| event.is_some_and(|event| event.body == body);

    let name = format!("events/{id}");
    let got = soon(rig.events().get_event(v1::GetEventRequest {
        name,
        ..Default::default()
    }))
    .await??;
    assert!(same(Some(got.into_inner())), "get event");
    assert!(same(rig.events_of("code").await?.pop()), "list events");
    let request = v1::TailRequest {
        parent: "orgs/acme/groups/code/webhooks/all".to_owned(),
        from_start: true,
        no_follow: true,
        ..Default::default()
    };
    let mut lines = soon(rig.events().tail(request)).await??.into_inner();
    let line = soon(lines.message()).await??.ok_or("a line")?;
    assert!(line.payload_json == body && same(line.event), "tail");
    let mut subscriber = Subscriber::start(&rig, "code/all", 0, 600).await?;
    let lease = subscriber.next().await?;
    assert!(
        lease.payload_json == body && same(lease.event.clone()),
        "subscribe"
    );
    subscriber.ack(&lease).await?;
    Ok(())
}

#[tokio::test]
async fn the_largest_body_of_one_item_is_taken_with_the_item_beside_it() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let body = vec![b' '; BODY_BYTES];
    let mut reported = split(callback(&group, "", &body), &[("d-1", &body)]);
    reported.budget_milliseconds = 60_000;
    let answer = Reporting::connect(&rig, "").await?.report(reported).await?;
    assert_eq!(answer.kind(), v1::AnswerKind::Kept, "{}", answer.reason);
    Ok(())
}

super::backends::on_cluster!(
    the_largest_body_gets_through_every_stream,
    the_largest_body_of_one_item_is_taken_with_the_item_beside_it,
);
