//! Two replicas under a real listener: one dies, freezes, drains or lags, and nobody who posts notices.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::plain::signed;
use super::replicas::Replicas;
use super::rig::{eventually, post};
use crate::fake_control_plane::Failure;

// Risk 11: the provider gives up sooner than we answer. Kill the replica that holds the batch.
#[tokio::test]
async fn a_replica_killed_with_callbacks_in_hand_costs_none_of_them() -> Result<(), Failure> {
    let mut all = Replicas::start(60).await?;
    for replica in &all.replicas {
        replica.log.freeze();
    }
    let posts = all.post_all(0..40);
    let holder = all.holder().await?;
    let other = 1 - holder;
    all.replicas[other].log.thaw();
    drop(all.replicas.remove(holder));
    posts.assert_all_ok().await?;
    all.assert_kept_once(0..40).await?;
    // And the one that is left serves on.
    all.post_all(40..60).assert_all_ok().await?;
    all.assert_kept_once(0..60).await
}

// Risk 11: or freeze it, sockets and all, and let it go on once the other has kept everything.
#[tokio::test]
async fn a_replica_frozen_with_callbacks_in_hand_keeps_nothing_twice_when_it_thaws()
-> Result<(), Failure> {
    let all = Replicas::start(6).await?;
    for replica in &all.replicas {
        replica.log.freeze();
    }
    let posts = all.post_all(0..40);
    let holder = all.holder().await?;
    let (frozen, other) = (&all.replicas[holder], &all.replicas[1 - holder]);
    frozen.proxy.freeze();
    other.log.thaw();
    posts.assert_all_ok().await?;
    all.assert_kept_once(0..40).await?;
    let before = frozen.log.held();
    frozen.log.thaw();
    frozen.proxy.thaw();
    // It has done what it had in hand once the listener has had its answers: by then it takes part again.
    all.post_all(40..80).assert_all_ok().await?;
    all.assert_kept_once(0..80).await?;
    assert!(before > 0);
    Ok(())
}

// Risk 9: every await on a dependency has the request's deadline, with two replicas as with one.
#[tokio::test]
async fn with_the_log_frozen_behind_both_replicas_it_is_503_on_time() -> Result<(), Failure> {
    const PATIENCE_SECONDS: u32 = 4;
    let all = Replicas::start(PATIENCE_SECONDS).await?;
    for replica in &all.replicas {
        replica.log.freeze();
    }
    let started = Instant::now();
    let statuses = all.post_all(0..8).statuses().await?;
    let took = started.elapsed();
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    assert!(
        took < Duration::from_secs(PATIENCE_SECONDS.into()),
        "{took:?}"
    );
    assert!(
        all.replicas.iter().all(|replica| replica.log.held() > 0),
        "the other one was tried as well"
    );
    Ok(())
}

// Risk 21: age alone must not end a stream. Age out more than 100 under load.
#[tokio::test]
async fn a_hundred_streams_that_age_out_under_load_lose_nothing() -> Result<(), Failure> {
    const STREAMS: usize = 100;
    const AT_A_TIME: usize = 20;
    let age = Duration::from_millis(20)..Duration::from_millis(120);
    let all = Replicas::start_with(60, age).await?;
    let drained = || -> usize { all.replicas.iter().map(|r| r.proxy.accepted()).sum() };
    let mut posted = 0;
    // Each stream is a connection of its own.
    while drained() < STREAMS + 3 {
        let next = posted + AT_A_TIME;
        all.post_all(posted..next).assert_all_ok().await?;
        posted = next;
    }
    all.assert_kept_once(0..posted).await
}

// Risk 21: the same when a replica is told to end.
#[tokio::test]
async fn a_replica_that_shuts_down_under_load_loses_nothing() -> Result<(), Failure> {
    let all = Replicas::start(60).await?;
    let mut posted = 0;
    for round in 0..20 {
        if round == 5 {
            all.replicas[0].stop();
        }
        all.post_all(posted..posted + 20).assert_all_ok().await?;
        posted += 20;
    }
    eventually(async || Ok((all.replicas[0].proxy.open() == 0).then_some(()))).await?;
    all.post_all(posted..posted + 20).assert_all_ok().await?;
    all.assert_kept_once(0..posted + 20).await
}

// Risk 45: a stale plan answers 2xx and drops what a new webhook wanted; here because its stream is half-open and nobody has noticed yet.
#[tokio::test]
async fn an_edit_during_load_misses_nothing_while_the_config_stream_is_half_open()
-> Result<(), Failure> {
    let all = Replicas::start(10).await?;
    all.rig.delete_webhook("code", "all").await?;
    let url = &all.url;
    let receipt = async |n: usize| -> Result<String, Failure> {
        let body = format!("{{\"n\":{n}}}");
        let headers = signed(&format!("d-{n}"), body.as_bytes());
        let answer = post(url, headers, Bytes::from(body)).await?;
        assert_eq!(answer.status, 200);
        Ok(answer.receipt().to_owned())
    };
    let mut n = 0;
    while receipt(n).await? != "not-kept" {
        n += 1;
    }
    let before = n;
    // The replica that has two of the listener's connections has its configuration.
    let of_config = all
        .replicas
        .iter()
        .position(|replica| replica.proxy.open() == 2)
        .ok_or("one has two connections")?;
    all.replicas[of_config].proxy.freeze();
    all.rig.webhook("code", "new", "").await?;
    // The other replica tells the listener over its report stream; that takes the blink of an eye, the config stream's end 8 s.
    let mut missed = 0;
    loop {
        n += 1;
        if receipt(n).await? != "not-kept" {
            break;
        }
        missed += 1;
        assert!(missed < 50, "a plan known to be old still decides");
    }
    let first = n;
    for _ in 0..30 {
        n += 1;
        assert_eq!(receipt(n).await?, "synced");
    }
    assert_eq!(
        all.rig.deliveries("code/new").await?.len(),
        n + 1 - first,
        "{before}"
    );
    Ok(())
}
