//! One request: the events of some leases mapped and sent, and what becomes of each.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use hookplane_proto::v1;
use hookplane_rules::time::to_wire;
use tokio::time::Instant;
use v1::AttemptOutcome;

use super::breaker::Breaker;
use super::turns::Weight;
use super::{backoff, share};
use crate::aside;
use crate::context::Context;
use crate::dispatch::endpoints::Endpoint;
use crate::dispatch::sink::{Job, Outcome, Sink, Verdict};
use crate::dispatch::target::Resolved;
use crate::log::{Lease, Settle, Settlement};
use crate::mapping::{NoRecord, Record};

/// For what a sink does besides its one request.
const MARGIN: Duration = Duration::from_secs(5);
/// Requests that a sink may make one after the other for one batch.
const REQUESTS_OF_A_BATCH: u32 = 6;
/// For leasing before, and settling after it.
const LEASE_MARGIN: Duration = Duration::from_secs(15);
/// Of that, for mapping: then what is mapped is sent, and the rest comes again.
const MAPPING: Duration = Duration::from_secs(6);
/// Of that, until sending has to begin, or nothing is sent: the lease would run out meanwhile.
const BEGINNING: Duration = Duration::from_secs(12);
/// Of the records of one request. The first may be larger.
const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;
/// Of what is told of an attempt.
const MAX_REASON_BYTES: usize = 2_048;
/// A longer wait is not somebody's wish.
const LONGEST_WISH: Duration = Duration::from_secs(24 * 60 * 60);
/// What broke off isn't begun again at once: it may well do so again.
pub(super) const BROKEN_OFF: Duration = Duration::from_secs(60);
/// What a destination waits whose mappings can't be read.
const UNREADABLE: Duration = Duration::from_secs(5);

/// What is sent by one call of the sink.
pub(super) struct Attempt {
    pub(super) context: Context,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) resolved: Arc<Resolved>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) leases: Vec<Lease>,
    /// Of their events, and of what is made of them.
    pub(super) weight: Weight,
    /// When the log was asked for them.
    pub(super) since: Instant,
}

/// What came of one.
pub(super) struct Flown {
    pub(super) settles: Vec<Settle>,
    /// Bytes of the largest record. 0 where nothing was mapped.
    pub(super) largest_record: usize,
}

/// How long a call of the sink may take.
fn longest(resolved: &Resolved, sink: &dyn Sink) -> Duration {
    let requests = if sink.batch() > 1 {
        REQUESTS_OF_A_BATCH
    } else {
        1
    };
    resolved.limits.timeout * requests + MARGIN
}

/// How long a lease lasts: longer than the attempt, so that nobody else begins with it meanwhile.
pub(super) fn lease_time(resolved: &Resolved, sink: &dyn Sink) -> Duration {
    longest(resolved, sink) + LEASE_MARGIN
}

impl Attempt {
    /// All of it. What is settled is told, not done.
    pub(super) async fn run(mut self) -> Flown {
        let most = self.resolved.limits.max_attempts;
        let mut flown = Flown {
            settles: Vec::with_capacity(self.leases.len()),
            largest_record: 0,
        };
        let leases = std::mem::take(&mut self.leases);
        let jobs = self.jobs(leases, &mut flown).await;
        if jobs.is_empty() {
            self.endpoint.breaker(|breaker| breaker.no_probe());
            return flown;
        }
        let start = self.context.clock.now();
        let began = Instant::now();
        let longest = longest(&self.resolved, &*self.sink);
        let mut outcomes = tokio::time::timeout(longest, self.sink.deliver(&jobs))
            .await
            .unwrap_or_default();
        outcomes.resize_with(jobs.len(), || Outcome {
            verdict: Verdict::Retry { after: None },
            status: None,
            reason: format!("no end within {} s", longest.as_secs()),
            excerpt: String::new(),
        });
        for outcome in &mut outcomes {
            outcome.reason = clipped(&outcome.reason);
        }
        let latency = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
        note(&self.context, &self.endpoint, &self.resolved, &outcomes);
        for (job, outcome) in jobs.into_iter().zip(outcomes) {
            let delivery = &job.lease.delivery;
            let last = delivery.attempts >= most;
            let (settlement, came) = decided(&outcome, delivery.attempts, last);
            let attempt = came.map(|came| v1::Attempt {
                number: delivery.attempts,
                start_time: Some(to_wire(start)),
                latency_milliseconds: latency,
                outcome: came.into(),
                status: outcome.status.map_or(0, u32::from),
                reason: outcome.reason,
                excerpt: outcome.excerpt,
                mapping_version: delivery.mapping_version,
            });
            flown
                .settles
                .push(settle(job.lease.token, settlement, attempt));
        }
        flown
    }

    /// What is sent: the leases with their records. What becomes of the others is added to what is settled.
    async fn jobs(&mut self, leases: Vec<Lease>, flown: &mut Flown) -> Vec<Job> {
        let most = self.resolved.limits.max_attempts;
        let mut jobs = Vec::with_capacity(leases.len());
        let of_events: usize = leases.iter().map(|lease| lease.event.body.len()).sum();
        let mut bytes = 0;
        let settles = &mut flown.settles;
        let mut leases = leases.into_iter();
        for lease in leases.by_ref() {
            // Attempts that never came to an end count, too: a process that dies of them dies of no more than these.
            if lease.delivery.attempts > most {
                let reason = format!(
                    "{} attempts were begun, and the last didn't end",
                    lease.delivery.attempts - 1
                );
                settles.push(settle(lease.token, give_up(reason), None));
                continue;
            }
            if !jobs.is_empty() && self.since.elapsed() > MAPPING {
                settles.push(not_now(lease));
                break;
            }
            let mappings = &self.context.mappings;
            let mapping = mappings.record(&aside::DELIVERIES, &lease.delivery, &lease.event);
            match AssertUnwindSafe(mapping).catch_unwind().await {
                Ok(Ok(record)) => {
                    let of_record = record.as_ref().map_or(0, Record::weight);
                    flown.largest_record = flown.largest_record.max(of_record);
                    bytes += of_record;
                    if !jobs.is_empty() && bytes > MAX_RECORD_BYTES {
                        settles.push(not_now(lease));
                        break;
                    }
                    jobs.push(Job {
                        lease,
                        record,
                        webhook: self.resolved.webhook.clone(),
                    });
                    if !self.weight.cover(of_events + bytes) {
                        break;
                    }
                }
                Ok(Err(NoRecord::Hold(reason))) => settles.push(held(&self.context, lease, reason)),
                // Those it was leased with go without it.
                Err(_) => settles.push(broken_off(lease.token, "mapping it broke off")),
                // That the store can't be asked is nobody's attempt, and asking for each would outlast the leases.
                Ok(Err(NoRecord::Store(error))) => {
                    self.unreadable(&error);
                    settles.push(not_now(lease));
                    settles.extend(jobs.drain(..).map(|job| not_now(job.lease)));
                    break;
                }
            }
        }
        settles.extend(leases.map(not_now));
        if self.since.elapsed() > BEGINNING {
            settles.extend(jobs.drain(..).map(|job| not_now(job.lease)));
        }
        jobs
    }

    fn unreadable(&self, error: &crate::store::StoreError) {
        let now = self.context.clock.now();
        let reason = "a mapping can't be read";
        if self
            .endpoint
            .breaker(|breaker| breaker.pause(now, UNREADABLE, reason))
        {
            let destination = &*self.resolved.shown;
            tracing::warn!(destination, %error, "a mapping can't be read: what is for it is tried again");
        }
    }
}

/// Some of it is what servers say: a certificate may have a thousand names. Kept with each attempt, and printed.
fn clipped(reason: &str) -> String {
    let end = reason.floor_char_boundary(MAX_REASON_BYTES);
    reason[..end].replace(char::is_control, " ")
}

fn settle(token: String, settlement: Settlement, attempt: Option<v1::Attempt>) -> Settle {
    Settle {
        token,
        settlement,
        attempt,
    }
}

fn give_up(reason: String) -> Settlement {
    Settlement::Nack {
        delay: None,
        reason,
        give_up: true,
    }
}

/// A fault of ours, and an attempt all the same, or it would be repeated for ever.
pub(in crate::dispatch) fn broken_off(token: String, reason: &str) -> Settle {
    tracing::error!(
        reason,
        "an attempt to deliver broke off: please report this as a bug"
    );
    let again = Settlement::Nack {
        delay: Some(BROKEN_OFF),
        reason: reason.to_owned(),
        give_up: false,
    };
    settle(token, again, None)
}

/// Given back, uncounted.
fn not_now(lease: Lease) -> Settle {
    settle(lease.token, Settlement::Return, None)
}

fn held(context: &Context, lease: Lease, reason: String) -> Settle {
    let attempt = v1::Attempt {
        number: lease.delivery.attempts,
        start_time: Some(to_wire(context.clock.now())),
        outcome: AttemptOutcome::Held.into(),
        reason: reason.clone(),
        mapping_version: lease.delivery.mapping_version,
        ..Default::default()
    };
    settle(lease.token, Settlement::Hold { reason }, Some(attempt))
}

/// What the log is told, and what is remembered as an attempt.
fn decided(outcome: &Outcome, attempts: u32, last: bool) -> (Settlement, Option<AttemptOutcome>) {
    let reason = outcome.reason.clone();
    match &outcome.verdict {
        Verdict::Done => (Settlement::Ack, Some(AttemptOutcome::Delivered)),
        Verdict::GiveUp => (give_up(reason), Some(AttemptOutcome::GaveUp)),
        Verdict::Retry { .. } if last => (
            give_up(format!("{reason}; it was attempt {attempts}, the last")),
            Some(AttemptOutcome::GaveUp),
        ),
        Verdict::Retry { after } => {
            let wish = after.unwrap_or_default().min(LONGEST_WISH);
            let wait = backoff::after(attempts, share()).max(wish);
            let again = Settlement::Nack {
                delay: Some(wait),
                reason,
                give_up: false,
            };
            (again, Some(AttemptOutcome::Retry))
        }
        Verdict::Pause { .. } => (Settlement::Return, None),
    }
}

/// What the outcomes say of the destination. What it refuses for good says that it is there.
fn note(context: &Context, endpoint: &Endpoint, resolved: &Resolved, outcomes: &[Outcome]) {
    let now = context.clock.now();
    let destination = &*resolved.shown;
    let done = outcomes
        .iter()
        .filter(|o| o.verdict == Verdict::Done)
        .count() as u64;
    let paused = outcomes.iter().filter_map(|outcome| match outcome.verdict {
        Verdict::Pause { time } => Some((time, &*outcome.reason)),
        _ => None,
    });
    let paused = paused.max_by_key(|(time, _)| *time);
    let returned = outcomes
        .iter()
        .filter(|o| matches!(o.verdict, Verdict::Pause { .. }))
        .count() as u64;
    endpoint.count(done, outcomes.len() as u64 - done - returned);
    context.metrics.attempted(outcomes);
    if let Some((time, reason)) = paused {
        if endpoint.breaker_of(resolved, |breaker| breaker.pause(now, time, reason)) == Some(true) {
            tracing::warn!(
                destination,
                reason,
                seconds = time.as_secs(),
                "a destination asked for a pause"
            );
        }
        return;
    }
    let answered = outcomes
        .iter()
        .any(|outcome| matches!(outcome.verdict, Verdict::Done | Verdict::GiveUp));
    if answered {
        if endpoint.breaker_of(resolved, |breaker| breaker.answered()) == Some(true) {
            tracing::info!(destination, "a destination answers again");
        }
        return;
    }
    let Some(failed) = outcomes.first() else {
        return;
    };
    let wish = outcomes.iter().filter_map(|outcome| match outcome.verdict {
        Verdict::Retry { after } => after,
        _ => None,
    });
    let (wish, reason) = (wish.max(), &*failed.reason);
    let failed = |breaker: &mut Breaker| breaker.failed(now, reason, wish, share());
    if endpoint.breaker_of(resolved, failed) == Some(true) {
        tracing::warn!(
            destination,
            reason,
            "a destination fails: it is tried with one delivery at a time until it answers"
        );
    }
}
