use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::sync::oneshot::{self, Receiver};

use super::*;
use crate::body::{Buffers, Share};
use crate::respond::Receipt;

const BUDGET: Duration = Duration::from_secs(4);

fn pending(name: &str, body_bytes: usize, now: Instant) -> (Pending, Receiver<Answer>) {
    let (answer, answered) = oneshot::channel();
    let callback = v1::ReportedCallback {
        request_id: Bytes::copy_from_slice(name.as_bytes()),
        body: Bytes::from(vec![0; body_bytes]),
        ..Default::default()
    };
    let share = Share::none(&Arc::new(Buffers::new(0)));
    let pending = Pending::new(callback, now + BUDGET, answer, share);
    (pending, answered)
}

/// With one stream.
fn outbox(credit_callbacks: u32, credit_bytes: u64) -> (Outbox, StreamId) {
    let mut outbox = Outbox::new();
    let stream = open(&mut outbox, credit_callbacks, credit_bytes);
    (outbox, stream)
}

fn open(outbox: &mut Outbox, credit_callbacks: u32, credit_bytes: u64) -> StreamId {
    outbox.open(&v1::ReportWelcome {
        credit_callbacks,
        credit_bytes,
        ..Default::default()
    })
}

/// As the control plane reads it.
fn sent(outbox: &mut Outbox, stream: StreamId, now: Instant) -> Option<v1::ReportBatch> {
    assert!(outbox.can_send(stream) || outbox.next_batch(stream, now).is_none());
    let batch = outbox.next_batch(stream, now)?;
    v1::ReportBatch::decode(&batch.encode_to_vec()[..]).ok()
}

fn count(batch: Option<v1::ReportBatch>) -> Option<usize> {
    batch.map(|batch| batch.callbacks.len())
}

fn fill(outbox: &mut Outbox, count: usize, bytes: usize, now: Instant) -> Vec<Receiver<Answer>> {
    let mut receivers = Vec::new();
    for n in 0..count {
        let (next, answered) = pending(&n.to_string(), bytes, now);
        outbox.push(next);
        receivers.push(answered);
    }
    receivers
}

fn names(batch: &v1::ReportBatch) -> Vec<String> {
    let name = |c: &v1::ReportedCallback| String::from_utf8_lossy(&c.request_id).into_owned();
    batch.callbacks.iter().map(name).collect()
}

fn kept(batch_id: u64, count: usize) -> v1::ReportBatchAnswer {
    let answer = v1::CallbackAnswer {
        kind: v1::AnswerKind::Kept.into(),
        event_id: "e".to_owned(),
        receipt: v1::Receipt::Synced.into(),
        ..Default::default()
    };
    v1::ReportBatchAnswer {
        batch_id,
        callbacks: vec![answer; count],
    }
}

fn later(batch_id: u64, count: usize) -> v1::ReportBatchAnswer {
    let mut answer = kept(batch_id, count);
    for one in &mut answer.callbacks {
        one.kind = v1::AnswerKind::RetryLater.into();
    }
    answer
}

fn is_answered(answered: &mut Receiver<Answer>) -> bool {
    matches!(answered.try_recv(), Ok(Answer::Kept { .. }))
}

#[test]
fn nothing_is_sent_without_a_stream() {
    let now = Instant::now();
    let mut outbox = Outbox::new();
    let _receivers = fill(&mut outbox, 1, 10, now);
    assert!(!outbox.can_send(1));
    assert_eq!(outbox.next_batch(1, now), None);
}

#[test]
fn a_batch_is_bounded_in_callbacks_and_in_bytes() -> Result<(), &'static str> {
    let now = Instant::now();
    let (mut outbox, stream) = outbox(0, 0);
    let _receivers = fill(&mut outbox, 300, 10, now);
    let first = sent(&mut outbox, stream, now).ok_or("a batch")?;
    assert_eq!(first.callbacks.len(), MAX_BATCH_CALLBACKS);
    assert_eq!(first.callbacks[0].budget_milliseconds, 4000);
    assert_eq!(count(sent(&mut outbox, stream, now)), Some(44));

    let _receivers = fill(&mut outbox, 3, 3 * 1024 * 1024, now);
    assert_eq!(count(sent(&mut outbox, stream, now)), Some(1));
    Ok(())
}

#[test]
fn no_more_is_in_flight_than_the_control_plane_gave_credit_for() -> Result<(), &'static str> {
    let now = Instant::now();
    let (mut outbox, stream) = outbox(2, 1_000_000);
    let _receivers = fill(&mut outbox, 5, 10, now);
    let batch = sent(&mut outbox, stream, now).ok_or("a batch")?;
    assert_eq!(batch.callbacks.len(), 2);
    assert!(!outbox.can_send(stream));
    // It says so again while the stream runs: less, then more.
    let credit = |callbacks| v1::ReportCredit {
        callbacks,
        bytes: 1_000_000,
    };
    outbox.credit(stream, credit(1));
    outbox.answered(stream, kept(batch.batch_id, 2), now);
    let batch = sent(&mut outbox, stream, now).ok_or("a batch")?;
    assert_eq!(batch.callbacks.len(), 1);
    assert!(!outbox.can_send(stream));
    outbox.credit(stream, credit(3));
    assert_eq!(count(sent(&mut outbox, stream, now)), Some(2));
    Ok(())
}

#[test]
fn a_callback_larger_than_all_credit_goes_alone() {
    let now = Instant::now();
    let (mut outbox, stream) = outbox(10, 1000);
    let _receivers = fill(&mut outbox, 2, 5000, now);
    assert_eq!(count(sent(&mut outbox, stream, now)), Some(1));
    assert_eq!(outbox.next_batch(stream, now), None);
}

#[tokio::test]
async fn each_callback_gets_its_own_answer() -> Result<(), Box<dyn std::error::Error>> {
    let now = Instant::now();
    let (mut outbox, stream) = outbox(0, 0);
    let mut receivers = fill(&mut outbox, 2, 10, now);
    let batch = sent(&mut outbox, stream, now).ok_or("a batch")?;
    let mut answer = kept(batch.batch_id, 2);
    answer.callbacks[1].kind = v1::AnswerKind::Refused.into();
    answer.callbacks[1].reason = "group deleted".to_owned();
    outbox.answered(stream, answer, now);
    let refused = receivers.pop().ok_or("two")?.await?;
    assert_eq!(refused, Answer::GroupGone("group deleted".to_owned()));
    let (receipt, event_id) = (Receipt::Synced, "e".to_owned());
    let first = receivers.pop().ok_or("one")?.await?;
    assert_eq!(first, Answer::Kept { receipt, event_id });
    Ok(())
}

// Risk 11: the batch is sent again, under the same ids, in the same order.
#[test]
fn what_was_in_flight_when_the_stream_was_lost_goes_first_on_the_next() -> Result<(), &'static str>
{
    let now = Instant::now();
    let (mut outbox, stream) = outbox(2, 1_000_000);
    let _receivers = fill(&mut outbox, 3, 10, now);
    let batch = sent(&mut outbox, stream, now).ok_or("a batch")?;
    outbox.lost(stream, now);
    assert_eq!(outbox.next_batch(stream, now), None, "no stream");
    let next = open(&mut outbox, 0, 0);
    // An answer of the old stream says nothing any more.
    outbox.answered(stream, kept(batch.batch_id, 2), now);
    let again = sent(&mut outbox, next, now + Duration::from_secs(1)).ok_or("again")?;
    assert_eq!(names(&again), ["0", "1", "2"]);
    assert_ne!(again.batch_id, batch.batch_id);
    assert_eq!(again.callbacks[0].budget_milliseconds, 3000);
    Ok(())
}

// Risk 11: with another replica there, at once on that one.
#[test]
fn what_a_lost_stream_had_goes_on_the_other_at_once() -> Result<(), &'static str> {
    let now = Instant::now();
    let (mut outbox, first) = outbox(0, 0);
    let second = open(&mut outbox, 0, 0);
    let mut receivers = fill(&mut outbox, 2, 10, now);
    assert_eq!(count(sent(&mut outbox, first, now)), Some(2));
    assert!(!outbox.can_send(second), "in one place");
    outbox.lost(first, now);
    let again = sent(&mut outbox, second, now).ok_or("at once")?;
    assert_eq!(names(&again), ["0", "1"]);
    outbox.answered(second, kept(again.batch_id, 2), now);
    assert!(receivers.iter_mut().all(is_answered));
    assert!(outbox.held.is_empty());
    Ok(())
}

// Risk 11: a replica that holds a batch and says nothing.
#[test]
fn without_an_answer_after_a_third_of_the_budget_the_other_stream_gets_it_as_well()
-> Result<(), &'static str> {
    let now = Instant::now();
    let (mut outbox, first) = outbox(0, 0);
    let second = open(&mut outbox, 0, 0);
    let mut receivers = fill(&mut outbox, 1, 10, now);
    let batch = sent(&mut outbox, first, now).ok_or("a batch")?;
    let third = outbox.due(now).ok_or("something is due")?;
    assert!(third > now + BUDGET / 4 && third <= now + BUDGET / 3);
    outbox.tick(third);
    let again = sent(&mut outbox, second, third).ok_or("on the other")?;
    assert_eq!(again.callbacks[0].request_id, batch.callbacks[0].request_id);
    // What is new avoids the silent one.
    receivers.extend(fill(&mut outbox, 1, 10, third));
    assert!(!outbox.can_send(first));
    let new = sent(&mut outbox, second, third).ok_or("a batch")?;
    // The first answer counts, whichever it is; the other says nothing, least of all about another callback.
    outbox.answered(first, kept(batch.batch_id, 1), third);
    assert!(is_answered(&mut receivers[0]));
    outbox.answered(second, kept(again.batch_id, 1), third);
    assert!(!is_answered(&mut receivers[1]));
    outbox.answered(second, kept(new.batch_id, 1), third);
    assert!(is_answered(&mut receivers[1]));
    assert!(outbox.held.is_empty());
    Ok(())
}

#[test]
fn what_nobody_answers_in_time_leaves_and_frees_its_room() -> Result<(), &'static str> {
    let now = Instant::now();
    let (mut outbox, _) = outbox(0, 0);
    let mut receivers = fill(&mut outbox, 1, 10, now);
    let first = outbox.carriers[0].id;
    sent(&mut outbox, first, now).ok_or("a batch")?;
    let mut at = now;
    while let Some(due) = outbox.due(at) {
        assert!(due > at, "time goes on");
        at = due;
        outbox.tick(at);
        assert!(at <= now + BUDGET + Duration::from_secs(1));
    }
    assert!(outbox.held.is_empty());
    let closed = oneshot::error::TryRecvError::Closed;
    assert_eq!(receivers[0].try_recv(), Err(closed));
    Ok(())
}

// Risk 21: a stream that drains loses nothing, and holds up nothing.
#[test]
fn a_retiring_stream_takes_nothing_new_and_is_answered_for_what_it_has() -> Result<(), &'static str>
{
    let now = Instant::now();
    let (mut outbox, old) = outbox(0, 0);
    let mut receivers = fill(&mut outbox, 1, 10, now);
    let batch = sent(&mut outbox, old, now).ok_or("a batch")?;
    outbox.retire(old);
    assert!(!outbox.is_settled(old));
    receivers.extend(fill(&mut outbox, 1, 10, now));
    assert!(!outbox.can_send(old));
    let new = open(&mut outbox, 0, 0);
    assert_eq!(count(sent(&mut outbox, new, now)), Some(1));
    outbox.answered(old, kept(batch.batch_id, 1), now);
    assert!(is_answered(&mut receivers[0]));
    assert!(outbox.is_settled(old));
    Ok(())
}

#[test]
fn what_nobody_waits_for_is_not_sent() -> Result<(), &'static str> {
    let now = Instant::now();
    let (mut outbox, stream) = outbox(0, 0);
    let mut receivers = fill(&mut outbox, 3, 10, now);
    receivers.remove(1);
    let batch = sent(&mut outbox, stream, now).ok_or("a batch")?;
    assert_eq!(names(&batch), ["0", "2"]);
    let _receivers = fill(&mut outbox, 1, 10, now);
    assert_eq!(outbox.next_batch(stream, now + BUDGET), None);
    Ok(())
}

#[test]
fn retry_later_and_silence_go_again_while_the_budget_lasts() -> Result<(), &'static str> {
    let now = Instant::now();
    let (mut outbox, stream) = outbox(0, 0);
    let _receivers = fill(&mut outbox, 2, 10, now);
    let batch = sent(&mut outbox, stream, now).ok_or("a batch")?;
    // One answer for two callbacks, and it says later.
    outbox.answered(stream, later(batch.batch_id, 1), now);
    assert_eq!(outbox.next_batch(stream, now), None);
    let due = outbox.due(now).ok_or("due")?;
    assert!(due <= now + Duration::from_millis(100));
    let at = now + Duration::from_millis(100);
    outbox.tick(at);
    assert_eq!(count(sent(&mut outbox, stream, at)), Some(2));
    Ok(())
}

#[test]
fn retry_later_goes_to_the_other_replica_at_once_and_with_jitter_after_that()
-> Result<(), &'static str> {
    let now = Instant::now();
    let (mut outbox, first) = outbox(0, 0);
    let second = open(&mut outbox, 0, 0);
    let mut receivers = fill(&mut outbox, 1, 10, now);
    let batch = sent(&mut outbox, first, now).ok_or("a batch")?;
    outbox.answered(first, later(batch.batch_id, 1), now);
    assert!(!outbox.can_send(first));
    let batch = sent(&mut outbox, second, now).ok_or("on the other")?;
    outbox.answered(second, later(batch.batch_id, 1), now);
    assert!(
        !outbox.can_send(first) && !outbox.can_send(second),
        "a wait"
    );
    let at = now + Duration::from_millis(200);
    outbox.tick(at);
    let stream = [first, second].into_iter().find(|s| outbox.can_send(*s));
    let stream = stream.ok_or("again")?;
    let batch = sent(&mut outbox, stream, at).ok_or("a batch")?;
    outbox.answered(stream, kept(batch.batch_id, 1), at);
    assert!(is_answered(&mut receivers[0]));
    Ok(())
}

#[test]
fn a_retry_that_does_not_fit_the_budget_is_given_up_at_once() -> Result<(), &'static str> {
    let now = Instant::now();
    let (mut outbox, stream) = outbox(0, 0);
    let mut receivers = fill(&mut outbox, 1, 10, now);
    let batch = sent(&mut outbox, stream, now).ok_or("a batch")?;
    outbox.answered(stream, later(batch.batch_id, 1), now + BUDGET);
    assert!(outbox.held.is_empty());
    let closed = oneshot::error::TryRecvError::Closed;
    assert_eq!(receivers[0].try_recv(), Err(closed));
    Ok(())
}

fn verdicts(count: usize, reason: usize) -> Vec<v1::ReportedMatch> {
    let of = v1::ReportedMatch {
        webhook_uid: "w".to_owned(),
        reason: "x".repeat(reason),
        ..Default::default()
    };
    vec![of; count]
}

// Risk 31: the message limit counts verdicts as well as bodies.
#[test]
fn a_batch_is_bounded_by_what_is_sent_and_not_by_bodies_alone() -> Result<(), &'static str> {
    let now = Instant::now();
    let (mut outbox, stream) = outbox(1024, u64::MAX);
    let mut receivers = Vec::new();
    for n in 0..20 {
        let (answer, answered) = oneshot::channel();
        let event = v1::ReportedEvent {
            matches: verdicts(1_000, 1_000),
            ..Default::default()
        };
        let callback = v1::ReportedCallback {
            request_id: Bytes::from(n.to_string()),
            events: vec![event],
            ..Default::default()
        };
        let share = Share::none(&Arc::new(Buffers::new(0)));
        outbox.push(Pending::new(callback, now + BUDGET, answer, share));
        receivers.push(answered);
    }
    let batch = sent(&mut outbox, stream, now).ok_or("a batch")?;
    assert!(batch.encoded_len() as u64 <= MAX_BATCH_BYTES);
    assert!(batch.callbacks.len() > 1);
    Ok(())
}

#[test]
fn verdicts_that_fit_no_message_are_left_to_the_control_plane() -> Result<(), prost::DecodeError> {
    let (answer, _answered) = oneshot::channel();
    let event = v1::ReportedEvent {
        registered: true,
        matches: verdicts(1_000, 1_000),
        ..Default::default()
    };
    let callback = v1::ReportedCallback {
        plan_revision: 9,
        events: vec![event; 60],
        ..Default::default()
    };
    let now = Instant::now();
    let share = Share::none(&Arc::new(Buffers::new(0)));
    let pending = Pending::new(callback, now + BUDGET, answer, share);
    let sent = pending.to_send(now).encode_to_vec();
    let sent = v1::ReportedCallback::decode(&sent[..])?;
    assert_eq!(sent.plan_revision, 0);
    assert!(sent.events.iter().all(|e| e.matches.is_empty()));
    assert!(pending.bytes() < crate::report::pending::MAX_CALLBACK_BYTES);
    Ok(())
}
