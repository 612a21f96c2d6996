//! The config client against a scripted control plane. What needs a compiled plan is in the integration tests.

use v1::stream_config_response::Kind as Push;

use super::*;
use crate::Limits;
use crate::fake_control_plane::{ConfigStream, Failure, FakeControlPlane, soon, until};
use crate::testing::{Fixed, config};

const NOW_MS: i64 = 1_700_000_000_000;

struct Running {
    state: Arc<State>,
    shutdown: CancellationToken,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start(control_plane: &FakeControlPlane) -> Result<Running, Failure> {
    let config = config(&control_plane.url(), Limits::default());
    let (state, _reports) = State::new(&config, Arc::new(Fixed(NOW_MS)));
    let (shutdown, stop) = (CancellationToken::new(), CancellationToken::new());
    let peer = Peer::new(&config)?;
    let task = tokio::spawn(run(state.clone(), peer, shutdown.clone(), stop.clone()));
    Ok(Running {
        state,
        shutdown,
        stop,
        task,
    })
}

async fn hello(stream: &mut ConfigStream) -> Result<v1::ConfigHello, Failure> {
    match stream.next().await?.kind {
        Some(Kind::Hello(hello)) => Ok(hello),
        other => Err(format!("not Hello: {other:?}").into()),
    }
}

/// All of an empty list.
fn list(nonce: u64, revision: u64) -> Push {
    Push::ListChunk(v1::ConfigListChunk {
        resources: Vec::new(),
        end: Some(v1::ConfigListEnd {
            nonce,
            revision,
            count: 0,
            digest: 0,
            proof: Bytes::new(),
        }),
    })
}

#[tokio::test]
async fn the_first_message_says_who_asks_and_that_it_has_nothing() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let _running = start(&control_plane)?;
    let mut stream = control_plane.config().await?;
    assert_eq!(stream.authorization, "Bearer t0ken");
    let hello = hello(&mut stream).await?;
    assert_eq!((&*hello.listener, &*hello.pool), ("listener-1", "default"));
    assert_eq!((&*hello.epoch, hello.revision, hello.digest), ("", 0, 0));
    assert_eq!(hello.boot.len(), 32);
    Ok(())
}

#[tokio::test]
async fn a_lost_stream_is_opened_again_by_the_same_boot() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let mut stream = control_plane.config().await?;
    let first = hello(&mut stream).await?;
    stream.welcome("epoch-1", false).await?;
    until(|| !running.state.link.is_down()).await?;
    drop(stream);
    until(|| running.state.link.is_down()).await?;
    let mut stream = control_plane.config().await?;
    assert_eq!(hello(&mut stream).await?.boot, first.boot);
    Ok(())
}

#[tokio::test]
async fn a_list_that_is_not_whole_or_no_plan_of_ours_ends_the_stream() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;

    let mut stream = control_plane.config().await?;
    hello(&mut stream).await?;
    stream.welcome("epoch-1", false).await?;
    let end = v1::ConfigListEnd {
        nonce: 1,
        revision: 7,
        count: 3,
        digest: 0,
        proof: Bytes::new(),
    };
    let chunk = v1::ConfigListChunk {
        resources: Vec::new(),
        end: Some(end),
    };
    stream.push(Push::ListChunk(chunk)).await?;
    assert!(soon(stream.next_or_end()).await?.is_none());

    // Resuming needs something to resume from.
    let mut stream = control_plane.config().await?;
    hello(&mut stream).await?;
    stream.welcome("epoch-1", true).await?;
    assert!(soon(stream.next_or_end()).await?.is_none());

    let mut stream = control_plane.config().await?;
    hello(&mut stream).await?;
    stream.welcome("epoch-1", false).await?;
    stream.push(Push::Delta(v1::ConfigDelta::default())).await?;
    assert!(soon(stream.next_or_end()).await?.is_none());
    assert!(!running.state.link.has_plan());
    Ok(())
}

// Risk 44: our own clock is off.
#[tokio::test]
async fn a_clock_that_is_off_by_more_than_30_s_is_noticed_and_so_is_its_mending()
-> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let stream = control_plane.config().await?;
    stream.welcome("epoch-1", false).await?;
    let heartbeat = |seconds_off: i64| {
        Push::Heartbeat(v1::ConfigHeartbeat {
            revision: 1,
            time: Some(prost_types::Timestamp {
                seconds: NOW_MS / 1000 + seconds_off,
                nanos: 0,
            }),
        })
    };
    for off in [31, -31] {
        stream.push(heartbeat(off)).await?;
        until(|| running.state.link.clock_off()).await?;
        stream.push(heartbeat(29)).await?;
        until(|| !running.state.link.clock_off()).await?;
    }
    Ok(())
}

// Risk 20: a stream whose connection answers pings and that brings nothing.
#[tokio::test]
async fn a_stream_that_has_fallen_silent_is_left() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let mut stream = control_plane.config().await?;
    hello(&mut stream).await?;
    stream.welcome("epoch-1", false).await?;
    until(|| !running.state.link.is_down()).await?;
    // The server goes on answering HTTP/2 pings; nothing else comes.
    let mut next = control_plane.config().await?;
    hello(&mut next).await?;
    assert!(running.state.link.is_down());
    Ok(())
}

// Risk 25: older state is never taken for newer.
#[tokio::test]
async fn an_older_list_of_the_same_epoch_ends_the_stream_and_one_of_another_is_taken()
-> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let mut stream = control_plane.config().await?;
    hello(&mut stream).await?;
    stream.welcome("epoch-1", false).await?;
    stream.push(list(1, 9)).await?;
    until(|| running.state.plan.load().revision() == 9).await?;
    stream.push(list(2, 8)).await?;
    let mut stream = control_plane.config().await?;
    let said = hello(&mut stream).await?;
    assert_eq!(
        (&*said.epoch, said.revision),
        ("epoch-1", 9),
        "it has what it had"
    );
    stream.welcome("epoch-2", false).await?;
    stream.push(list(1, 3)).await?;
    until(|| running.state.plan.load().revision() == 3).await?;
    Ok(())
}

// Risk 29: the control plane spreads listeners by draining.
#[tokio::test]
async fn a_drained_stream_is_opened_anew() -> Result<(), Failure> {
    let mut control_plane = FakeControlPlane::start()?;
    let _running = start(&control_plane)?;
    let mut stream = control_plane.config().await?;
    hello(&mut stream).await?;
    stream.welcome("epoch-1", false).await?;
    let drain = v1::ConfigDrain { after_seconds: 0 };
    stream.push(Push::Drain(drain)).await?;
    let mut next = control_plane.config().await?;
    hello(&mut next).await?;
    Ok(())
}

// Risk 27: ready before the first list, or before anything can be kept.
#[tokio::test]
async fn it_is_ready_with_a_plan_and_a_report_stream_and_says_when_it_leaves() -> Result<(), Failure>
{
    let mut control_plane = FakeControlPlane::start()?;
    let running = start(&control_plane)?;
    let mut stream = control_plane.config().await?;
    hello(&mut stream).await?;
    stream.welcome("epoch-1", false).await?;
    stream.push(list(1, 9)).await?;
    let answer = stream.next().await?.kind;
    assert!(
        matches!(&answer, Some(Kind::Ack(ack)) if ack.nonce == 1),
        "it says something else first: {answer:?}"
    );
    stream.push(list(2, 10)).await?;
    let answer = stream.next().await?.kind;
    assert!(
        matches!(&answer, Some(Kind::Ack(ack)) if ack.nonce == 2),
        "with a plan alone it is not ready: {answer:?}"
    );
    running.state.link.reporting_connected();
    let ready = |ready| Some(Kind::Ready(v1::ConfigReady { ready }));
    assert_eq!(stream.next().await?.kind, ready(true));
    running.shutdown.cancel();
    assert_eq!(stream.next().await?.kind, ready(false));
    running.stop.cancel();
    assert!(soon(stream.next_or_end()).await?.is_none());
    drop(stream);
    soon(running.task).await??;
    Ok(())
}
