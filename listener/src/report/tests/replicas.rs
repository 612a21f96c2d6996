//! Two replicas: what one doesn't do, the other does.

use super::*;

/// A listener with a stream to each of two replicas.
struct Pair {
    fakes: [FakeControlPlane; 2],
    streams: [ReportStream; 2],
    running: Running,
}

impl Pair {
    async fn start() -> Result<Self, Failure> {
        let mut fakes = [FakeControlPlane::start()?, FakeControlPlane::start()?];
        let running = start_at(&[&fakes[0], &fakes[1]])?;
        let streams = [
            opened_as(&mut fakes[0], "a").await?,
            opened_as(&mut fakes[1], "b").await?,
        ];
        Ok(Self {
            fakes,
            streams,
            running,
        })
    }

    /// The next batch, and on which stream it came.
    async fn batch(&mut self) -> Result<(usize, v1::ReportBatch), Failure> {
        let [first, second] = &mut self.streams;
        tokio::select! {
            batch = first.batch() => Ok((0, batch?)),
            batch = second.batch() => Ok((1, batch?)),
        }
    }
}

fn retry_later() -> v1::CallbackAnswer {
    let mut later = kept();
    later.kind = v1::AnswerKind::RetryLater.into();
    later
}

#[tokio::test]
async fn two_streams_lead_to_two_replicas_and_batches_fill_one_of_them() -> Result<(), Failure> {
    let mut pair = Pair::start().await?;
    let reported = pair.running.report("a", BUDGET);
    let (at, batch) = pair.batch().await?;
    let second = pair.running.report("b", BUDGET);
    let (again_at, next) = pair.batch().await?;
    assert_eq!(at, again_at);
    pair.streams[at].answer(&batch, &kept()).await?;
    pair.streams[at].answer(&next, &kept()).await?;
    assert_eq!(soon(reported).await??, Ok(kept_answer()));
    assert_eq!(soon(second).await??, Ok(kept_answer()));
    Ok(())
}

// Risk 11: the replica that holds the batch dies.
#[tokio::test]
async fn a_batch_of_a_dead_replica_goes_to_the_other_at_once() -> Result<(), Failure> {
    let mut pair = Pair::start().await?;
    let reported = pair.running.report("a", BUDGET);
    let (at, batch) = pair.batch().await?;
    let other = 1 - at;
    // All of it: its sockets close, and nothing listens there any more.
    let spare = FakeControlPlane::start()?;
    drop(std::mem::replace(&mut pair.fakes[at], spare));
    let again = pair.streams[other].batch().await?;
    assert_eq!(again.callbacks[0].request_id, batch.callbacks[0].request_id);
    pair.streams[other].answer(&again, &kept()).await?;
    assert_eq!(soon(reported).await??, Ok(kept_answer()));
    // What comes later goes there too.
    let reported = pair.running.report("b", BUDGET);
    let batch = pair.streams[other].batch().await?;
    pair.streams[other].answer(&batch, &kept()).await?;
    assert_eq!(soon(reported).await??, Ok(kept_answer()));
    Ok(())
}

// Risk 11: or it freezes, and its sockets stay open.
#[tokio::test]
async fn a_batch_of_a_silent_replica_goes_to_the_other_within_the_budget() -> Result<(), Failure> {
    let mut pair = Pair::start().await?;
    let reported = pair.running.report("a", Duration::from_secs(3));
    let (at, batch) = pair.batch().await?;
    let other = 1 - at;
    let again = pair.streams[other].batch().await?;
    assert_eq!(again.callbacks[0].request_id, batch.callbacks[0].request_id);
    assert!(
        again.callbacks[0].budget_milliseconds < batch.callbacks[0].budget_milliseconds,
        "of the same budget"
    );
    pair.streams[other].answer(&again, &kept()).await?;
    assert_eq!(soon(reported).await??, Ok(kept_answer()));
    // Awake again, it answers what nobody waits for; and is asked again.
    pair.streams[at].answer(&batch, &kept()).await?;
    let reported = pair.running.report("b", BUDGET);
    let (at, batch) = pair.batch().await?;
    pair.streams[at].answer(&batch, &kept()).await?;
    assert_eq!(soon(reported).await??, Ok(kept_answer()));
    Ok(())
}

#[tokio::test]
async fn what_one_replica_turns_back_the_other_gets_at_once() -> Result<(), Failure> {
    let mut pair = Pair::start().await?;
    let reported = pair.running.report("a", BUDGET);
    let (at, batch) = pair.batch().await?;
    pair.streams[at].answer(&batch, &retry_later()).await?;
    let again = pair.streams[1 - at].batch().await?;
    assert_eq!(again.callbacks[0].request_id, batch.callbacks[0].request_id);
    pair.streams[1 - at].answer(&again, &kept()).await?;
    assert_eq!(soon(reported).await??, Ok(kept_answer()));
    Ok(())
}

// Risk 21: a stream that ends says so first, and loses nothing.
#[tokio::test]
async fn a_drained_stream_is_answered_to_its_end_while_another_takes_over() -> Result<(), Failure> {
    let mut pair = Pair::start().await?;
    let held = pair.running.report("a", BUDGET);
    let (at, batch) = pair.batch().await?;
    let drain = v1::ReportDrain { after_seconds: 5 };
    pair.streams[at]
        .push(v1::report_response::Kind::Drain(drain))
        .await?;
    // Another one to the same replica, and our side of the old one stays open while something is on it.
    let new = opened_as(&mut pair.fakes[at], ["a", "b"][at]).await?;
    let mut old = std::mem::replace(&mut pair.streams[at], new);
    let next = pair.running.report("b", BUDGET);
    let (next_at, next_batch) = pair.batch().await?;
    pair.streams[next_at].answer(&next_batch, &kept()).await?;
    assert_eq!(soon(next).await??, Ok(kept_answer()));
    old.answer(&batch, &kept()).await?;
    assert_eq!(soon(held).await??, Ok(kept_answer()));
    assert_eq!(soon(old.next_or_end()).await?, None, "then it is ended");
    Ok(())
}

#[tokio::test]
async fn two_addresses_of_one_replica_serve_while_another_is_looked_for() -> Result<(), Failure> {
    let mut fakes = [FakeControlPlane::start()?, FakeControlPlane::start()?];
    let running = start_at(&[&fakes[0], &fakes[1]])?;
    let mut streams = [
        opened_as(&mut fakes[0], "same").await?,
        opened_as(&mut fakes[1], "same").await?,
    ];
    // Both serve; and one of the places looks again, and is led elsewhere, as behind a balancer.
    let [first, second] = &mut fakes;
    let (at, found) = tokio::select! {
        stream = opened_as(first, "another") => (0, stream?),
        stream = opened_as(second, "another") => (1, stream?),
    };
    assert_eq!(
        soon(streams[at].next_or_end()).await?,
        None,
        "the one it replaces is ended"
    );
    streams[at] = found;
    let reported = running.report("a", BUDGET);
    let [first, second] = &mut streams;
    let (at, batch) = tokio::select! {
        batch = first.batch() => (0, batch?),
        batch = second.batch() => (1, batch?),
    };
    streams[at].answer(&batch, &kept()).await?;
    assert_eq!(soon(reported).await??, Ok(kept_answer()));
    Ok(())
}
