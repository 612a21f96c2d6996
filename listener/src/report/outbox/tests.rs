use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot::Receiver;

use super::*;
use crate::body::Buffers;
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

fn outbox(credit_callbacks: u32, credit_bytes: u64) -> Outbox {
    let mut outbox = Outbox::new();
    outbox.welcome(v1::ReportWelcome {
        credit_callbacks,
        credit_bytes,
    });
    outbox
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

#[test]
fn nothing_is_sent_before_the_control_plane_says_welcome() {
    let now = Instant::now();
    let mut outbox = Outbox::new();
    let _receivers = fill(&mut outbox, 1, 10, now);
    assert!(!outbox.can_send());
    assert_eq!(outbox.next_batch(now), None);
}

#[test]
fn a_batch_is_bounded_in_callbacks_and_in_bytes() -> Result<(), &'static str> {
    let now = Instant::now();
    let mut outbox = outbox(0, 0);
    let _receivers = fill(&mut outbox, 300, 10, now);
    let first = outbox.next_batch(now).ok_or("a batch")?;
    assert_eq!(first.callbacks.len(), MAX_BATCH_CALLBACKS);
    assert_eq!(first.callbacks[0].budget_milliseconds, 4000);
    assert_eq!(outbox.next_batch(now).map(|b| b.callbacks.len()), Some(44));

    let _receivers = fill(&mut outbox, 3, 3 * 1024 * 1024, now);
    assert_eq!(outbox.next_batch(now).map(|b| b.callbacks.len()), Some(1));
    Ok(())
}

#[test]
fn no_more_is_in_flight_than_the_control_plane_gave_credit_for() -> Result<(), &'static str> {
    let now = Instant::now();
    let mut outbox = outbox(2, 1_000_000);
    let _receivers = fill(&mut outbox, 3, 10, now);
    let batch = outbox.next_batch(now).ok_or("a batch")?;
    assert_eq!(batch.callbacks.len(), 2);
    assert!(!outbox.can_send());
    outbox.answered(kept(batch.batch_id, 2), now);
    assert!(outbox.can_send());
    assert_eq!(outbox.next_batch(now).map(|b| b.callbacks.len()), Some(1));
    Ok(())
}

#[test]
fn a_callback_larger_than_all_credit_goes_alone() {
    let now = Instant::now();
    let mut outbox = outbox(10, 1000);
    let _receivers = fill(&mut outbox, 2, 5000, now);
    assert_eq!(outbox.next_batch(now).map(|b| b.callbacks.len()), Some(1));
    assert_eq!(outbox.next_batch(now), None);
}

#[tokio::test]
async fn each_callback_gets_its_own_answer() -> Result<(), Box<dyn std::error::Error>> {
    let now = Instant::now();
    let mut outbox = outbox(0, 0);
    let mut receivers = fill(&mut outbox, 2, 10, now);
    let batch = outbox.next_batch(now).ok_or("a batch")?;
    let mut answer = kept(batch.batch_id, 2);
    answer.callbacks[1].kind = v1::AnswerKind::Refused.into();
    answer.callbacks[1].reason = "group deleted".to_owned();
    outbox.answered(answer, now);
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
    let mut outbox = outbox(2, 1_000_000);
    let _receivers = fill(&mut outbox, 3, 10, now);
    let batch = outbox.next_batch(now).ok_or("a batch")?;
    outbox.lost();
    assert_eq!(outbox.next_batch(now), None, "no stream");
    outbox.welcome(v1::ReportWelcome::default());
    // An answer of the old stream says nothing any more.
    outbox.answered(kept(batch.batch_id, 2), now);
    let again = outbox
        .next_batch(now + Duration::from_secs(1))
        .ok_or("again")?;
    assert_eq!(names(&again), ["0", "1", "2"]);
    assert_ne!(again.batch_id, batch.batch_id);
    assert_eq!(again.callbacks[0].budget_milliseconds, 3000);
    Ok(())
}

#[test]
fn what_nobody_waits_for_is_not_sent() -> Result<(), &'static str> {
    let now = Instant::now();
    let mut outbox = outbox(0, 0);
    let mut receivers = fill(&mut outbox, 3, 10, now);
    receivers.remove(1);
    let batch = outbox.next_batch(now).ok_or("a batch")?;
    assert_eq!(names(&batch), ["0", "2"]);
    let _receivers = fill(&mut outbox, 1, 10, now);
    assert_eq!(outbox.next_batch(now + BUDGET), None);
    Ok(())
}

#[test]
fn retry_later_and_silence_go_again_while_the_budget_lasts() -> Result<(), &'static str> {
    let now = Instant::now();
    let mut outbox = outbox(0, 0);
    let _receivers = fill(&mut outbox, 2, 10, now);
    let batch = outbox.next_batch(now).ok_or("a batch")?;
    // One answer for two callbacks, and it says later.
    let mut answer = kept(batch.batch_id, 1);
    answer.callbacks[0].kind = v1::AnswerKind::RetryLater.into();
    outbox.answered(answer, now);
    assert_eq!(outbox.next_batch(now), None);
    let due = outbox.due().ok_or("due")?;
    assert!(due <= now + Duration::from_millis(100));
    let later = now + Duration::from_millis(100);
    outbox.take_due(later);
    let again = outbox.next_batch(later).ok_or("again")?;
    assert_eq!(again.callbacks.len(), 2);
    Ok(())
}

#[test]
fn a_retry_that_does_not_fit_the_budget_is_given_up_at_once() -> Result<(), &'static str> {
    let now = Instant::now();
    let mut outbox = outbox(0, 0);
    let mut receivers = fill(&mut outbox, 1, 10, now);
    let batch = outbox.next_batch(now).ok_or("a batch")?;
    let mut answer = kept(batch.batch_id, 1);
    answer.callbacks[0].kind = v1::AnswerKind::RetryLater.into();
    outbox.answered(answer, now + BUDGET);
    assert_eq!(outbox.due(), None);
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
    let mut outbox = outbox(1024, u64::MAX);
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
    let batch = outbox.next_batch(now).ok_or("a batch")?;
    assert!(batch.encoded_len() as u64 <= MAX_BATCH_BYTES);
    assert!(batch.callbacks.len() > 1);
    Ok(())
}

#[test]
fn verdicts_that_fit_no_message_are_left_to_the_control_plane() {
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
    let share = Share::none(&Arc::new(Buffers::new(0)));
    let pending = Pending::new(callback, Instant::now() + BUDGET, answer, share);
    assert_eq!(pending.callback.plan_revision, 0);
    assert!(pending.callback.events.iter().all(|e| e.matches.is_empty()));
    assert!(pending.bytes < MAX_CALLBACK_BYTES);
}
