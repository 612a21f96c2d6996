//! What the provider hears when the log does not do its part.

use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::postgres::PostgresOptions;
use hookplane_proto::v1;
use hookplane_proto::v1::AnswerKind;
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::log_suite::backends::open_postgres;
use tokio::time::Instant;

use super::gated::Gated;
use super::plain::signed;
use super::report::{Reporting, callback};
use super::rig::{Rig, callback_url, post, revision};
use crate::fake_control_plane::{Failure, eventually, soon, until};

/// A callback URL that a real listener serves, with a webhook that wants all.
async fn serving(rig: &mut Rig) -> Result<(String, super::rig::Listening), Failure> {
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let listening = rig.listen().await?;
    Ok((callback_url(&group), listening))
}

#[tokio::test]
async fn a_callback_goes_all_the_way() -> Result<(), Failure> {
    let mut rig = Rig::start().await?;
    rig.patience(60).await?;
    let (url, _listening) = serving(&mut rig).await?;
    let body = &br#"{"n":1}"#[..];
    let answer = post(&url, signed("d-1", body), body.into()).await?;
    assert_eq!(
        (answer.status, answer.receipt()),
        (200, rig.backends.receipt())
    );
    let event = &rig.events_of("code").await?[0];
    assert_eq!(answer.header("hookplane-event-id"), Some(event.id.as_str()));
    let again = post(&url, signed("d-1", body), body.into()).await?;
    assert_eq!((again.status, again.receipt()), (200, "duplicate"));
    // A suspected replay that the group refuses is refused as that, not as an unknown URL.
    rig.update_group("code", |spec| spec.refuse_suspected_replays = true)
        .await?;
    let replayed = post(&url, signed("d-2", body), body.into()).await?;
    assert_eq!(replayed.status, 401);
    let refusals = eventually(async || {
        let list = rig
            .events()
            .list_refusals(v1::ListRefusalsRequest {
                parent: "orgs/acme/groups/code".to_owned(),
                page_size: 0,
                not_kept: false,
            })
            .await?
            .into_inner()
            .refusals;
        Ok(Some(list).filter(|list| !list.is_empty()))
    })
    .await?;
    assert!(refusals[0].reason.contains("replay"), "{refusals:?}");
    Ok(())
}

// Risk 9: every await on a dependency has the request's deadline.
#[tokio::test]
async fn a_frozen_log_is_503_within_the_providers_patience() -> Result<(), Failure> {
    // Two seconds are between our answer and the end of it.
    const PATIENCE_SECONDS: u32 = 10;
    let mut rig = Rig::start_with(|log| {
        let gated = Gated::over(log);
        gated.freeze();
        gated
    })
    .await?;
    rig.patience(PATIENCE_SECONDS).await?;
    let (url, _listening) = serving(&mut rig).await?;
    let body = &b"{}"[..];
    let started = Instant::now();
    let answer = post(&url, signed("d-1", body), body.into()).await?;
    let took = started.elapsed();
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert!(
        took < Duration::from_secs(PATIENCE_SECONDS.into()),
        "{took:?}"
    );
    assert!(rig.events_of("code").await?.is_empty());
    Ok(())
}

// Risk 9: and the control plane by itself, whoever has given up waiting by then.
#[tokio::test]
async fn a_report_over_a_frozen_log_is_answered_when_its_budget_is_over() -> Result<(), Failure> {
    let rig = Rig::start_with(|log| {
        let gated = Gated::over(log);
        gated.freeze();
        gated
    })
    .await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let mut late = callback(&group, "d-1", b"{}");
    late.budget_milliseconds = 300;
    let answer = stream.report(late).await?;
    assert_eq!(answer.kind(), AnswerKind::RetryLater, "{}", answer.reason);
    Ok(())
}

// Promise 8: one that lets its callback wait for a change until there is no time left has nobody's credit lowered by that.
#[tokio::test]
async fn a_log_that_was_left_no_time_costs_no_credit() -> Result<(), Failure> {
    let rig = Rig::start_with(|log| {
        let gated = Gated::over(log);
        gated.freeze();
        gated
    })
    .await?;
    let group = rig.group("code", |_| {}).await?;
    let webhook = rig.webhook("code", "all", "").await?;
    // A few streams have as much as any may: so many share it that a part less is seen.
    let mut streams = Vec::new();
    for _ in 0..32 {
        streams.push(Reporting::connect(&rig, "").await?);
    }
    let mut stream = streams.pop().ok_or("a stream")?;
    let full = stream.welcome.credit_callbacks;
    let mut late = callback(&group, "d-1", b"{}");
    late.known_revision = revision(&webhook.metadata) + 1;
    late.budget_milliseconds = 2_000;
    let began = Instant::now();
    let answer = tokio::join!(stream.report(late), async {
        until(|| began.elapsed() > Duration::from_millis(1_500)).await?;
        rig.webhook("code", "more", "").await
    });
    assert_eq!(answer.0?.kind(), AnswerKind::RetryLater);
    answer.1?;
    let after = Reporting::connect(&rig, "").await?;
    let credit = after.welcome.credit_callbacks;
    assert!(credit > full / 4 * 3, "{credit} of {full}");
    // One that had its time is.
    let mut frozen = callback(&group, "d-2", b"{}");
    frozen.budget_milliseconds = 1_500;
    let answer = stream.report(frozen).await?;
    assert_eq!(answer.kind(), AnswerKind::RetryLater, "{}", answer.reason);
    let lowered = Reporting::connect(&rig, "").await?.welcome.credit_callbacks;
    assert!(lowered < full / 4 * 3, "{lowered} of {full}");
    Ok(())
}

// Risk 1: 200 answered, event lost.
#[tokio::test]
async fn with_the_log_stopped_not_one_of_a_thousand_posts_is_2xx() -> Result<(), Failure> {
    let mut rig = Rig::start().await?;
    let (url, _listening) = serving(&mut rig).await?;
    soon(rig.log.close()).await?;
    assert_all_503(&url, 100, 10).await
}

// Risk 1, of a PostgreSQL that stops without a word, and of one that is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_postgres_frozen_or_gone_not_one_of_a_thousand_posts_is_2xx() -> Result<(), Failure> {
    let mut postgres = Postgres::start_pair();
    let options = PostgresOptions {
        url: postgres.database("d"),
        ..PostgresOptions::default()
    };
    let log = open_postgres(options, Arc::default()).await?;
    let mut rig = Rig::start_with(|_| log).await?;
    rig.patience(3).await?;
    let (url, _listening) = serving(&mut rig).await?;
    let body = &b"{}"[..];
    let before = eventually(async || {
        let answer = post(&url, signed("before", body), body.into()).await?;
        Ok((answer.status == 200).then_some(answer))
    });
    let receipt = before.await?.receipt().to_owned();
    // It may have been kept after its 503.
    assert!(
        ["replicated", "duplicate"].contains(&&*receipt),
        "{receipt}"
    );
    let primary = postgres.primary();
    postgres.freeze(primary);
    assert_all_503(&url, 250, 2).await?;
    postgres.kill(primary);
    assert_all_503(&url, 250, 2).await?;
    postgres.restart(primary);
    eventually(async || {
        let answer = post(&url, signed("after", body), body.into()).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await
}

/// So many at a time, so many after each other.
async fn assert_all_503(url: &str, senders: usize, each: usize) -> Result<(), Failure> {
    let senders_of: Vec<_> = (0..senders)
        .map(|sender| {
            let url = url.to_owned();
            tokio::task::spawn_blocking(move || {
                (0..each)
                    .map(|n| {
                        let headers = signed(&format!("d-{sender}-{n}"), b"{}");
                        let answer = hookplane_tests::http::post(&url, &headers, b"{}");
                        answer.map(|answer| answer.status)
                    })
                    .collect::<Result<Vec<u16>, _>>()
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for sender in senders_of {
        statuses.extend(soon(sender).await???);
    }
    assert_eq!(statuses.len(), senders * each);
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    Ok(())
}

super::backends::on_cluster!(
    a_callback_goes_all_the_way,
    a_frozen_log_is_503_within_the_providers_patience,
    with_the_log_stopped_not_one_of_a_thousand_posts_is_2xx,
);
