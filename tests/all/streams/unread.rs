//! Streams that nobody reads. Risk 20: what fills their windows holds up their own connections at most.

use hookplane_proto::v1;
use hookplane_proto::v1::AnswerKind;

use super::config::{Scripted, hello};
use super::report::{Reporting, callback};
use super::rig::Rig;
use super::subscribe::Subscriber;
use crate::fake_control_plane::{Failure, eventually, soon};
use crate::proxy::Proxy;

const BATCHES: usize = 40;
const IN_A_BATCH: usize = 256;
/// With its frame: 10,240 of them are 10 MB, and a window is 64 KiB.
const TEXT_BYTES: usize = 1_000;

#[tokio::test]
async fn ten_thousand_events_and_a_change_get_by_streams_that_nobody_reads() -> Result<(), Failure>
{
    let mut rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let path = Proxy::start(&rig.url).await?;
    let _listener = rig.listen_by(&path.url()).await?;
    assert_eq!(
        path.open(),
        2,
        "its configuration and its reports have a connection each"
    );
    let config = Scripted::connect(&rig.url, hello("unread", "")).await?;
    let request = v1::TailRequest {
        parent: "orgs/acme/groups/code/webhooks/all".to_owned(),
        ..Default::default()
    };
    let tail = soon(rig.events().tail(request)).await??;
    let subscriber = Subscriber::start(&rig, "code/all", 1_000, 600).await?;

    let mut reporting = Reporting::connect(&rig, "").await?;
    let text = "x".repeat(TEXT_BYTES);
    for batch in 0..BATCHES {
        let body = format!(r#"{{"batch":{batch},"text":"{text}"}}"#);
        let one = |n| callback(&group, &format!("{batch}-{n}"), body.as_bytes());
        let answers = reporting.batch((0..IN_A_BATCH).map(one).collect()).await?;
        let kept = |answer: &v1::CallbackAnswer| answer.kind() == AnswerKind::Kept;
        assert!(answers.iter().all(kept), "batch {batch}");
    }
    // A change reaches the listener that reads.
    rig.webhook("code", "another", "").await?;
    eventually(async || {
        let listeners = rig.listeners().await?;
        let there = |l: &v1::Listener| l.name == "real" && l.revision == l.store_revision;
        Ok(listeners.iter().any(there).then_some(()))
    })
    .await?;
    drop((config, tail, subscriber));
    Ok(())
}
