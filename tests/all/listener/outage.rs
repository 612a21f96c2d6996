//! The control plane frozen, lost, restarted: callbacks are answered on time, and 2xx stays a promise.

use std::time::{Duration, Instant};

use hookplane_listener::Limits;
use hookplane_proto::v1;
use v1::stream_config_request::Kind;

use super::rig::{Rig, TOKEN, headers, kept, sign};
use crate::fake_control_plane::{Failure, FakeControlPlane, soon, until};

const BODY: &[u8] = b"{}";

// Risk 9: a frozen dependency. Risk 1: not one 2xx without the word that it is kept.
#[tokio::test]
async fn a_frozen_control_plane_means_503_on_time() -> Result<(), Failure> {
    let (rig, _report) = Rig::start_silent(Limits::default()).await?;
    let began = Instant::now();
    let answer = rig.push(BODY).await?;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    // The provider waits for 2 s; 80 % of that is 1.6 s.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1500), "{took:?}");
    // One whose patience is unknown gets its answer after 4 s.
    assert!(took < Duration::from_millis(3900), "{took:?}");
    Ok(())
}

// One that is under way keeps its place, however many ask for it.
#[tokio::test]
async fn callbacks_that_wait_for_their_answer_are_ended_for_no_other() -> Result<(), Failure> {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let (rig, _report) = Rig::start_silent(limits).await?;
    let (one, other) = tokio::join!(rig.push(BODY), rig.push(BODY));
    assert_eq!((one?.status, other?.status), (503, 503));
    Ok(())
}

#[tokio::test]
async fn the_last_good_plan_serves_while_the_config_stream_is_away() -> Result<(), Failure> {
    let (mut rig, report) = Rig::start_silent(Limits::default()).await?;
    rig.keep(report, kept());
    // The config stream alone ends, and the next one is never answered.
    rig.config.end();
    let _unanswered = rig.control_plane.config().await?;
    assert_eq!(rig.push(BODY).await?.status, 202);
    // Risk 45: what no webhook of this plan wants is reported all the same; a newer one may want it.
    let signature = sign(BODY);
    let mut headers = headers(&signature);
    headers[1] = ("x-event", "ping");
    let answer = rig.post(TOKEN, &headers, BODY).await?;
    assert_eq!(answer.header("hookplane-receipt"), Some("synced"));
    Ok(())
}

#[tokio::test]
async fn a_restart_of_the_control_plane_under_load_loses_nothing_that_was_answered()
-> Result<(), Failure> {
    let (mut rig, report) = Rig::start_silent(Limits::default()).await?;
    rig.keep(report, kept());
    let address = rig.address;
    let load = tokio::spawn(async move {
        let path = format!("/c/{TOKEN}");
        let mut kept = 0;
        for n in 0..200 {
            let body = format!("{{\"n\":{n}}}");
            let signature = sign(body.as_bytes());
            let headers = headers(&signature);
            let answer = super::rig::request(address, "POST", &path, &headers, body.as_bytes());
            match answer.await?.status {
                202 => kept += 1,
                503 => {}
                other => return Err::<_, Failure>(format!("answered {other}").into()),
            }
        }
        Ok(kept)
    });
    until(|| rig.seen().len() > 20).await?;
    let at = rig.control_plane.address;
    // Another one first, since a fake can't be moved out of the rig.
    let old = std::mem::replace(&mut rig.control_plane, FakeControlPlane::start()?);
    drop(old);
    let mut restarted = None;
    until(|| {
        restarted = FakeControlPlane::start_at(at).ok();
        restarted.is_some()
    })
    .await?;
    rig.control_plane = restarted.ok_or("it started")?;
    let report = rig.control_plane.report().await?;
    report.welcome().await?;
    rig.keep(report, kept());
    // It asks to go on from where it is.
    let mut config = rig.control_plane.config().await?;
    let Some(Kind::Hello(hello)) = config.next().await?.kind else {
        return Err("not Hello".into());
    };
    assert_eq!((&*hello.epoch, hello.revision), ("epoch-1", 10));
    config.welcome("epoch-1", true).await?;
    let kept = tokio::time::timeout(Duration::from_secs(60), load).await???;
    assert!(kept > 150, "{kept}");
    let bodies: std::collections::BTreeSet<_> = rig.seen().into_iter().map(|c| c.body).collect();
    assert!(bodies.len() >= kept, "{} of {kept}", bodies.len());
    Ok(())
}

#[tokio::test]
async fn what_is_under_way_is_finished_at_shutdown() -> Result<(), Failure> {
    let (mut rig, mut report) = Rig::start_silent(Limits::default()).await?;
    let address = rig.address;
    let posted = tokio::spawn(async move {
        let signature = sign(BODY);
        let path = format!("/c/{TOKEN}");
        super::rig::request(address, "POST", &path, &headers(&signature), BODY).await
    });
    let batch = report.batch().await?;
    rig.shutdown.cancel();
    loop {
        if let Some(Kind::Ready(ready)) = rig.config.next().await?.kind {
            assert!(!ready.ready);
            break;
        }
    }
    report.answer(&batch, &kept()).await?;
    assert_eq!(soon(posted).await???.status, 202);
    soon(&mut rig.task).await???;
    Ok(())
}

// Risk 45: the report stream knows of a newer plan before the config stream has brought it.
#[tokio::test]
async fn a_plan_known_to_be_old_does_not_decide_that_nobody_wants_a_callback() -> Result<(), Failure>
{
    let (rig, mut report) = Rig::start_silent(Limits::default()).await?;
    let signature = sign(BODY);
    let mut ping = headers(&signature);
    ping[1] = ("x-event", "ping");
    let answer = rig.post(TOKEN, &ping, BODY).await?;
    assert_eq!(answer.header("hookplane-receipt"), Some("not-kept"));
    // Its plan is at 10. The answer after it says that the news was read.
    let plan = |revision| v1::report_response::Kind::Plan(v1::ReportPlan { revision });
    report.push(plan(11)).await?;
    let (answer, _) = tokio::join!(rig.push(BODY), async {
        let batch = report.batch().await?;
        report.answer(&batch, &kept()).await
    });
    assert_eq!(answer?.status, 202);
    let (answer, _) = tokio::join!(rig.post(TOKEN, &ping, BODY), async {
        let batch = report.batch().await?;
        let sent = &batch.callbacks[0];
        // A replica that lags is not to decide by itself either.
        assert_eq!((sent.plan_revision, sent.known_revision), (10, 11));
        report
            .answer(&batch, &super::rig::answer(v1::AnswerKind::NotKept))
            .await
    });
    assert_eq!(answer?.header("hookplane-receipt"), Some("not-kept"));
    Ok(())
}
