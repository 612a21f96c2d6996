//! Two replicas under a real listener: one dies, freezes, drains or lags, and nobody who posts notices.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::plain::signed;
use super::replicas::{Replica, Replicas};
use super::rig::post;
use crate::fake_control_plane::{Failure, eventually};

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
    let all = Replicas::start(12).await?;
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
    const PATIENCE_SECONDS: u32 = 10;
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

/// What one callback is answered.
async fn receipt(url: &str, n: usize) -> Result<String, Failure> {
    let body = format!("{{\"n\":{n}}}");
    let headers = signed(&format!("d-{n}"), body.as_bytes());
    let answer = post(url, headers, Bytes::from(body)).await?;
    assert_eq!(answer.status, 200);
    Ok(answer.receipt().to_owned())
}

/// How a replica that has the listener's configuration keeps what is new from it.
enum Hides {
    /// Its connections are half-open, and nobody has noticed yet.
    Frozen,
    /// It hasn't heard of it itself. It speaks, so nobody will notice, and takes reports as well.
    Lags,
}

/// A webhook is made that only the other replica can tell of. What comes before that word is as if it came before the webhook; from the first
/// callback that isn't decided by the old plan, not one is missed.
async fn misses_nothing_after_the_others_word(hides: Hides) -> Result<(), Failure> {
    let all = Replicas::start(10).await?;
    all.rig.delete_webhook("code", "all").await?;
    let url = &all.url;
    let mut n = 0;
    while receipt(url, n).await? != "not-kept" {
        n += 1;
    }
    // The replica that has two of the listener's connections has its configuration.
    let replicas = &all.replicas;
    let of_config = eventually(async || {
        let two = |replica: &Replica| replica.proxy.open() == 2;
        Ok(replicas.iter().position(two))
    })
    .await?;
    match hides {
        Hides::Frozen => replicas[of_config].proxy.freeze(),
        Hides::Lags => replicas[of_config].lag(),
    }
    all.rig.webhook("code", "new", "").await?;
    let first = eventually(async || {
        n += 1;
        Ok((receipt(url, n).await? != "not-kept").then_some(n))
    })
    .await?;
    for n in first + 1..=first + 30 {
        assert_eq!(receipt(url, n).await?, all.rig.backends.receipt());
    }
    assert_eq!(all.rig.deliveries("code/new").await?.len(), 31);
    Ok(())
}

// Risk 45: a stale plan answers 2xx and drops what a new webhook wanted; here because its stream is half-open and nobody has noticed yet.
#[tokio::test]
async fn an_edit_during_load_misses_nothing_while_the_config_stream_is_half_open()
-> Result<(), Failure> {
    misses_nothing_after_the_others_word(Hides::Frozen).await
}

// Risk 45: and here without an end, until the replica's watch is mended.
#[tokio::test]
async fn an_edit_during_load_misses_nothing_while_the_config_streams_replica_lags()
-> Result<(), Failure> {
    misses_nothing_after_the_others_word(Hides::Lags).await
}

super::backends::on_cluster!(
    a_replica_killed_with_callbacks_in_hand_costs_none_of_them,
    a_replica_frozen_with_callbacks_in_hand_keeps_nothing_twice_when_it_thaws,
    with_the_log_frozen_behind_both_replicas_it_is_503_on_time,
    a_hundred_streams_that_age_out_under_load_lose_nothing,
    a_replica_that_shuts_down_under_load_loses_nothing,
    an_edit_during_load_misses_nothing_while_the_config_stream_is_half_open,
    an_edit_during_load_misses_nothing_while_the_config_streams_replica_lags,
);
