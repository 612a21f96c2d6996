//! The report client against a scripted control plane.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::Limits;
use crate::connect::Peer;
use crate::fake_control_plane::{Failure, FakeControlPlane, ReportStream, soon, until};
use crate::refusals::Count;
use crate::state::State;
use crate::testing::{Fixed, config};

const BUDGET: Duration = Duration::from_secs(10);

struct Running {
    state: Arc<State>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start(control_plane: &FakeControlPlane) -> Result<Running, Failure> {
    start_at(&[control_plane])
}

fn start_at(replicas: &[&FakeControlPlane]) -> Result<Running, Failure> {
    let mut config = config("", Limits::default());
    config.control_planes = replicas.iter().map(|replica| replica.url()).collect();
    let (state, reports) = State::new(&config, Arc::new(Fixed(0)));
    let stop = CancellationToken::new();
    let peer = Peer::new(&config)?;
    let task = tokio::spawn(run(state.clone(), peer, reports, stop.clone()));
    Ok(Running { state, stop, task })
}

type Reported = tokio::task::JoinHandle<Result<Answer, Unanswered>>;

impl Running {
    fn report(&self, name: &str, budget: Duration) -> Reported {
        let callback = v1::ReportedCallback {
            request_id: Bytes::copy_from_slice(name.as_bytes()),
            ..Default::default()
        };
        let state = self.state.clone();
        let share = Share::none(&state.buffers);
        let deadline = Instant::now() + budget;
        tokio::spawn(async move { state.reporter.report(callback, deadline, share).await })
    }
}

fn kept() -> v1::CallbackAnswer {
    v1::CallbackAnswer {
        kind: v1::AnswerKind::Kept.into(),
        event_id: "e1".to_owned(),
        receipt: v1::Receipt::Synced.into(),
        ..Default::default()
    }
}

fn kept_answer() -> Answer {
    Answer::Kept {
        receipt: Receipt::Synced,
        event_id: "e1".to_owned(),
    }
}

async fn opened(control_plane: &mut FakeControlPlane) -> Result<ReportStream, Failure> {
    opened_as(control_plane, "").await
}

async fn opened_as(
    control_plane: &mut FakeControlPlane,
    replica: &str,
) -> Result<ReportStream, Failure> {
    let mut stream = control_plane.report().await?;
    assert_eq!(stream.authorization, "Bearer t0ken");
    let hello = stream.next().await?;
    let Some(v1::report_request::Kind::Hello(hello)) = hello.kind else {
        return Err("the first message is not Hello".into());
    };
    assert_eq!((&*hello.listener, &*hello.pool), ("listener-1", "default"));
    stream.welcome_of(replica).await?;
    Ok(stream)
}

#[tokio::test]
async fn a_callback_is_answered_with_what_the_control_plane_said_of_it() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let mut stream = opened(&mut control_plane).await?;
    let reported = running.report("a", BUDGET);
    let batch = stream.batch().await?;
    assert_eq!(&batch.callbacks[0].request_id[..], b"a");
    stream.answer(&batch, &kept()).await?;
    assert_eq!(soon(reported).await??, Ok(kept_answer()));
    Ok(())
}

#[tokio::test]
async fn many_batches_are_in_flight_and_answers_come_in_any_order() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let mut stream = opened(&mut control_plane).await?;
    let first = running.report("a", BUDGET);
    let batch_a = stream.batch().await?;
    let second = running.report("b", BUDGET);
    let batch_b = stream.batch().await?;
    stream.answer(&batch_b, &kept()).await?;
    assert_eq!(soon(second).await??, Ok(kept_answer()));
    stream.answer(&batch_a, &kept()).await?;
    assert_eq!(soon(first).await??, Ok(kept_answer()));
    Ok(())
}

// Each would cost a second, until the next look at everything.
#[tokio::test]
async fn words_of_a_newer_control_plane_hold_up_nothing() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let mut stream = opened(&mut control_plane).await?;
    let reported = running.report("a", BUDGET);
    let batch = stream.batch().await?;
    for _ in 0..200 {
        stream.say(v1::ReportResponse { kind: None }).await?;
    }
    stream.answer(&batch, &kept()).await?;
    assert_eq!(soon(reported).await??, Ok(kept_answer()));
    Ok(())
}

// Risk 9: a frozen dependency. Risk 1: no answer is no promise.
#[tokio::test]
async fn a_silent_control_plane_costs_the_budget_and_no_more() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let mut stream = opened(&mut control_plane).await?;
    let began = Instant::now();
    let reported = running.report("a", Duration::from_millis(200));
    stream.batch().await?;
    assert_eq!(soon(reported).await??, Err(Unanswered::TooLate));
    assert!(began.elapsed() < Duration::from_secs(5));
    Ok(())
}

// Risk 11: the control plane dies with a batch.
#[tokio::test]
async fn a_crash_of_the_control_plane_is_survived_within_the_budget() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let address = control_plane.address;
    let running = start(&control_plane)?;
    let mut stream = opened(&mut control_plane).await?;
    let reported = running.report("a", BUDGET);
    let first = stream.batch().await?;
    drop(control_plane);
    drop(stream);
    let mut restarted = None;
    until(|| {
        restarted = FakeControlPlane::start_at(address).ok();
        restarted.is_some()
    })
    .await?;
    let mut control_plane = restarted.ok_or("it started")?;
    let mut stream = opened(&mut control_plane).await?;
    let again = stream.batch().await?;
    assert_eq!(again.callbacks[0].request_id, first.callbacks[0].request_id);
    stream.answer(&again, &kept()).await?;
    assert_eq!(soon(reported).await??, Ok(kept_answer()));
    Ok(())
}

#[tokio::test]
async fn retry_later_is_retried() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let mut stream = opened(&mut control_plane).await?;
    let reported = running.report("a", BUDGET);
    let batch = stream.batch().await?;
    let mut later = kept();
    later.kind = v1::AnswerKind::RetryLater.into();
    stream.answer(&batch, &later).await?;
    let again = stream.batch().await?;
    stream.answer(&again, &kept()).await?;
    assert_eq!(soon(reported).await??, Ok(kept_answer()));
    Ok(())
}

#[tokio::test]
async fn what_does_not_fit_is_turned_away_at_once() -> Result<(), Failure> {
    let config = config("http://127.0.0.1:1", Limits::default());
    // Nobody takes anything out of this queue.
    let (state, _reports) = State::new(&config, Arc::new(Fixed(0)));
    for _ in 0..QUEUE {
        let share = Share::none(&state.buffers);
        let nothing = v1::ReportedCallback::default();
        let now = Instant::now();
        let answer = state.reporter.report(nothing, now, share).await;
        assert_eq!(answer, Err(Unanswered::TooLate));
    }
    let share = Share::none(&state.buffers);
    let nothing = v1::ReportedCallback::default();
    let much_later = Instant::now() + Duration::from_secs(3600);
    let answer = soon(state.reporter.report(nothing, much_later, share)).await?;
    assert_eq!(answer, Err(Unanswered::Full));
    Ok(())
}

#[tokio::test]
async fn counters_go_up_and_the_last_ones_before_the_end() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let mut stream = opened(&mut control_plane).await?;
    let mut watch = running.state.link.watch_reporting();
    soon(watch.wait_for(|connected| *connected)).await??;
    running.state.refusals.not_kept("g1", Count::NotMatched);
    running.stop.cancel();
    let Some(v1::report_request::Kind::Counters(sent)) = stream.next().await?.kind else {
        return Err("not the counters".into());
    };
    assert_eq!(sent.groups[0].not_matched, 1);
    assert!(soon(stream.next_or_end()).await?.is_none());
    drop(stream);
    soon(running.task).await??;
    Ok(())
}

#[tokio::test]
async fn credit_that_is_said_again_is_obeyed() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let mut stream = opened(&mut control_plane).await?;
    let credit = |callbacks| {
        v1::report_response::Kind::Credit(v1::ReportCredit {
            callbacks,
            bytes: 1_000_000,
        })
    };
    stream.push(credit(1)).await?;
    // Answered after the credit was read: they come in order.
    let reported = running.report("a", BUDGET);
    let batch = stream.batch().await?;
    stream.answer(&batch, &kept()).await?;
    soon(reported).await??.map_err(|_| "kept")?;
    let reported: Vec<_> = (0..3)
        .map(|n| running.report(&n.to_string(), BUDGET))
        .collect();
    let one = stream.batch().await?;
    assert_eq!(one.callbacks.len(), 1);
    stream.push(credit(10)).await?;
    let two = stream.batch().await?;
    assert_eq!(two.callbacks.len(), 2, "more credit, without an answer");
    stream.answer(&one, &kept()).await?;
    stream.answer(&two, &kept()).await?;
    for reported in reported {
        assert_eq!(soon(reported).await??, Ok(kept_answer()));
    }
    Ok(())
}

#[tokio::test]
async fn counters_of_a_lost_stream_go_up_again_under_their_number() -> Result<(), Failure> {
    use v1::report_request::Kind;
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let mut stream = opened(&mut control_plane).await?;
    running.state.refusals.not_kept("g1", Count::NotRegistered);
    let Some(Kind::Counters(sent)) = stream.next().await?.kind else {
        return Err("not the counters".into());
    };
    // Lost before it is noted; meanwhile more is counted.
    running.state.refusals.not_kept("g1", Count::NotRegistered);
    drop(stream);
    let mut stream = opened(&mut control_plane).await?;
    let again = stream.next().await?.kind;
    assert_eq!(again, Some(Kind::Counters(sent)));
    stream.note(again).await?;
    let Some(Kind::Counters(more)) = stream.next().await?.kind else {
        return Err("not the counters".into());
    };
    assert_eq!((more.sequence, more.groups[0].not_registered), (2, 1));
    Ok(())
}

#[test]
fn only_what_is_certain_is_an_answer() {
    let said = |kind: v1::AnswerKind| {
        let mut answer = kept();
        answer.kind = kind.into();
        answer.receipt = 0;
        Answer::from_wire(answer)
    };
    assert_eq!(said(v1::AnswerKind::RetryLater), None);
    assert_eq!(said(v1::AnswerKind::Unspecified), None);
    assert_eq!(said(v1::AnswerKind::NotKept), Some(Answer::NotKept));
    let unknown = v1::CallbackAnswer {
        kind: 99,
        ..Default::default()
    };
    assert_eq!(Answer::from_wire(unknown), None);
    let Some(Answer::Kept { receipt, .. }) = said(v1::AnswerKind::Kept) else {
        panic!("kept is an answer");
    };
    assert_eq!(
        receipt,
        Receipt::Degraded,
        "of what we don't know, the least"
    );
}

mod replicas;
