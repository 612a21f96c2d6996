//! A durable pull: leases out, settlements in, until the stream ends and gives its leases back.
//!
//! Several subscribers of one webhook share its deliveries. A subscriber is sent at most what it said it can hold, and no more than
//! [`AHEAD`] deliveries wait in memory for a slow one.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use hookplane_proto::v1;
use hookplane_proto::v1::subscribe_request::Kind as Said;
use hookplane_rules::TEMPLATE;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::engine::broken_off;
use super::leases::{Leases, Token};
use super::unsubscribed::has_subscribers;
use crate::access::{Caller, Target, opened};
use crate::api::scope::{Scope, webhook_uid};
use crate::api::status::Problem;
use crate::aside::{Aside, DELIVERIES};
use crate::context::Context;
use crate::log::{Activity, Lease, Queue, Settle, Settlement};
use crate::mapping::NoRecord;
use crate::told::{Told, told};

/// For the first request.
const START: Duration = Duration::from_secs(10);
/// For a subscriber to take the reason its stream ends with.
const LAST_WORD: Duration = Duration::from_secs(5);
/// Deliveries leased at once, and so in memory for one subscriber.
const AHEAD: usize = 16;
/// Of a subscriber's words that came together.
const SETTLED_AT_ONCE: usize = 256;
const IN_FLIGHT: u32 = 16;
const IN_FLIGHT_MAX: u32 = 1_000;
const LEASE_SECONDS: u32 = 30;
const LEASE_SECONDS_MAX: u32 = 43_200;
/// A delay before the next attempt, at most: a day.
const DELAY_SECONDS_MAX: u32 = 86_400;
/// Of a nack's reason, in characters.
const REASON_CHARS: usize = 1_024;

/// The service.
pub struct SubscriptionApi {
    context: Context,
}

impl SubscriptionApi {
    /// Over these parts.
    pub fn new(context: Context) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl v1::subscription_service_server::SubscriptionService for SubscriptionApi {
    type SubscribeStream = ReceiverStream<Result<v1::SubscribeResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<v1::SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (out, responses) = mpsc::channel(1);
        let context = self.context.clone();
        let (caller, said) = opened(request)?;
        self.context.view.tasks().spawn(async move {
            let _open = context.metrics.subscriber();
            if let Err(status) = run(&context, &caller, said, &out).await {
                // The subscriber may be gone, or not reading; then there is nobody to tell.
                let _ = tokio::time::timeout(LAST_WORD, out.send(Err(status))).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}

type Out = mpsc::Sender<Result<v1::SubscribeResponse, Status>>;

struct Session<'a> {
    context: &'a Context,
    name: String,
    scope: Scope,
    group_uid: String,
    webhook_uid: String,
    max: usize,
    lease: Duration,
    leases: Leases,
    /// Leased, and not yet sent.
    waiting: VecDeque<Lease>,
    /// To map in, and to write what is large.
    turns: &'static Aside,
}

async fn run(
    context: &Context,
    caller: &Caller,
    mut said: Streaming<v1::SubscribeRequest>,
    out: &Out,
) -> Result<(), Status> {
    let first = tokio::time::timeout(START, said.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no start came"))??;
    let Some(Said::Start(start)) = first.and_then(|r| r.kind) else {
        return Err(Status::invalid_argument("the first request must be start"));
    };
    let scope = Scope::read("start.webhook", &start.webhook)?;
    let (Some(org), Some(webhook)) = (&scope.org, scope.webhook.clone()) else {
        return Err(Problem::field(
            "start.webhook",
            "expected orgs/ORG/groups/GROUP/webhooks/WEBHOOK",
        )
        .into());
    };
    if webhook == TEMPLATE {
        return Err(Problem::field("start.webhook", "the template never matches; clone it").into());
    }
    if start.max_in_flight > IN_FLIGHT_MAX {
        return Err(
            Problem::field("start.max_in_flight", format!("at most {IN_FLIGHT_MAX}")).into(),
        );
    }
    let path = &*start.webhook;
    caller.check(Target::Webhook { org, path })?;
    let record = scope.record(context, path).await?;
    let group = record.as_ref().and_then(|one| one.group.metadata.as_ref());
    let group_uid = group.map(|group| group.uid.clone()).unwrap_or_default();
    let uid = record
        .and_then(|record| webhook_uid(&record, &webhook))
        .ok_or_else(|| Problem::NotFound(start.webhook.clone()))?;
    let found = Target::FoundWebhook {
        org,
        path,
        uid: &uid,
    };
    caller.check(found)?;
    takes_subscribers(context, path, &uid)?;
    let mut session = Session {
        context,
        name: start.webhook,
        scope,
        group_uid,
        webhook_uid: uid,
        max: match start.max_in_flight {
            0 => IN_FLIGHT,
            max => max,
        } as usize,
        lease: lease_duration("start.lease_seconds", start.lease_seconds)?,
        leases: Leases::default(),
        waiting: VecDeque::new(),
        turns: &DELIVERIES,
    };
    let ended = session.serve(&mut said, out).await;
    // Whatever ended the stream, others get its work at once.
    let returned: Vec<_> = session
        .leases
        .into_held()
        .into_iter()
        .map(|token| (token, Settlement::Return).into())
        .collect();
    if !returned.is_empty()
        && let Err(error) = context.log.settle(returned).await
    {
        tracing::warn!(%error, "leases couldn't be given back; they run out");
    }
    ended
}

impl Session<'_> {
    async fn serve(
        &mut self,
        said: &mut Streaming<v1::SubscribeRequest>,
        out: &Out,
    ) -> Result<(), Status> {
        let mut newest = self.context.log.newest();
        let mut revisions = self.context.view.revisions();
        loop {
            self.leases.expire(Instant::now());
            let room = self.max.saturating_sub(self.leases.len()).min(AHEAD);
            if self.waiting.is_empty() && room > 0 {
                // Before the question, so that what comes meanwhile wakes us.
                newest.borrow_and_update();
                let leased = self
                    .context
                    .log
                    .lease(&Queue::of_subscribers(&*self.webhook_uid), room, self.lease)
                    .await
                    .map_err(Problem::from)?;
                let until = Instant::now() + self.lease;
                for lease in leased {
                    self.leases.take(lease.token.clone(), until);
                    self.waiting.push_back(lease);
                }
            }
            let next_expiry = self.leases.next_expiry();
            tokio::select! {
                () = self.context.view.shutdown().cancelled() => {
                    return Err(Status::unavailable("the server is shutting down"));
                }
                () = out.closed() => return Ok(()),
                request = said.message() => match request?.map(|r| r.kind) {
                    None => return Ok(()),
                    Some(kind) => self.take(kind, said).await?,
                },
                permit = out.reserve(), if !self.waiting.is_empty() => {
                    let Ok(permit) = permit else { return Ok(()) };
                    if let Some(lease) = self.waiting.pop_front() {
                        // One that ran out before the subscriber came to it is another's by now.
                        if self.leases.token(&lease.token) == Token::Held
                            && let Some(response) = self.response(lease, out).await?
                        {
                            permit.send(Ok(response));
                        }
                    }
                }
                changed = newest.changed(), if self.waiting.is_empty() => {
                    changed.map_err(|_| Status::unavailable("the event log has ended"))?;
                }
                changed = revisions.changed() => {
                    changed.map_err(|_| Status::unavailable("the view has ended"))?;
                    self.still_there()?;
                }
                () = crate::due::at(next_expiry) => {}
            }
        }
    }

    /// What the subscriber gets, made when it is its turn: records and payloads can be large. None for a delivery that can't be mapped: it is held, and
    /// an operator is told why; or it comes again later where that is a fault of ours. None, too, for one that is another's by now, or
    /// goes back with the stream, which ends.
    async fn response(
        &mut self,
        lease: Lease,
        out: &Out,
    ) -> Result<Option<v1::SubscribeResponse>, Status> {
        let told = async {
            let mappings = &self.context.mappings;
            let record = mappings.record(self.turns, &lease.delivery, &lease.event);
            let record = record.await?;
            Ok(told(self.turns, &lease.event, record).await)
        };
        let told = tokio::select! {
            told = AssertUnwindSafe(told).catch_unwind() => told,
            // Who has left, or is told of the end, waits for no turn.
            () = out.closed() => return Ok(None),
            () = self.context.view.shutdown().cancelled() => return Ok(None),
        };
        let settle = match told {
            Ok(Ok(told)) => {
                // It waits for its turn, and the lease may have run out meanwhile.
                self.leases.expire(Instant::now());
                let is_held = self.leases.token(&lease.token) == Token::Held;
                return Ok(is_held.then(|| response(lease, told)));
            }
            // Nothing is wrong with the delivery: with the stream's end it goes back.
            Ok(Err(NoRecord::Store(error))) => return Err(Problem::from(error).into()),
            Ok(Err(NoRecord::Hold(reason))) => {
                let attempt = v1::Attempt {
                    start_time: Some(hookplane_rules::time::to_wire(self.context.clock.now())),
                    outcome: v1::AttemptOutcome::Held.into(),
                    reason: reason.clone(),
                    mapping_version: lease.delivery.mapping_version,
                    ..Default::default()
                };
                Settle {
                    token: lease.token,
                    settlement: Settlement::Hold { reason },
                    attempt: Some(attempt),
                }
            }
            // The stream goes on without it.
            Err(_) => broken_off(lease.token, "mapping or decoding it broke off"),
        };
        self.leases.end(&settle.token);
        self.settle(vec![settle]).await?;
        Ok(None)
    }

    /// A name used again is another webhook.
    fn still_there(&self) -> Result<(), Status> {
        let (Some(org), Some(group), Some(webhook)) =
            (&self.scope.org, &self.scope.group, &self.scope.webhook)
        else {
            return Err(Problem::NotFound(self.name.clone()).into());
        };
        let uid = self
            .context
            .view
            .group_named(org, group)
            .and_then(|record| webhook_uid(&record, webhook));
        if uid.as_ref() != Some(&self.webhook_uid) {
            return Err(Problem::NotFound(self.name.clone()).into());
        }
        takes_subscribers(self.context, &self.name, &self.webhook_uid)
    }

    /// Settles what the subscriber said, and what it has said since: of many acknowledgements that came together one write is made, and their
    /// places are filled by one lease.
    async fn take(
        &mut self,
        first: Option<Said>,
        said: &mut Streaming<v1::SubscribeRequest>,
    ) -> Result<(), Status> {
        let (mut settles, mut extended) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        let mut ended = Ok(());
        while let Some(kind) = next.take() {
            match self.settlement(kind) {
                Ok(settle) => {
                    extended.push(match &settle.settlement {
                        Settlement::Extend(duration) => Some(*duration),
                        _ => None,
                    });
                    settles.push(settle);
                }
                // What was said before it counts all the same.
                Err(status) => {
                    ended = Err(status);
                    break;
                }
            }
            // The stream's end, or an error, is met by the next that asks.
            if settles.len() < SETTLED_AT_ONCE
                && let Some(Ok(Some(request))) = said.message().now_or_never()
            {
                next = Some(request.kind);
            }
        }
        if settles.is_empty() {
            return ended;
        }
        let tokens: Vec<_> = settles.iter().map(|settle| settle.token.clone()).collect();
        let done = self.settle(settles).await?;
        for ((token, extended), done) in tokens.iter().zip(extended).zip(done) {
            match extended {
                Some(duration) if done => self.leases.extend(token, Instant::now() + duration),
                Some(_) => {}
                None => self.leases.end(token),
            }
        }
        ended
    }

    /// Settles, and counts it for the charts of the group and its org. The answer says what changed anything: a stale one doesn't, and that is no
    /// error.
    async fn settle(&self, settles: Vec<Settle>) -> Result<Vec<bool>, Status> {
        let each = settles
            .iter()
            .map(|settle| Activity::of(&settle.settlement));
        let each: Vec<Activity> = each.collect();
        let log = &self.context.log;
        let done = log.settle(settles).await.map_err(Problem::from)?;
        let mut settled = Activity::default();
        for (activity, _) in each.into_iter().zip(&done).filter(|(_, done)| **done) {
            settled.add(activity);
        }
        let org = self.scope.org.as_deref().unwrap_or_default();
        let now = self.context.clock.now();
        log.notes().happened(org, &self.group_uid, now, settled);
        Ok(done)
    }

    fn settlement(&self, kind: Option<Said>) -> Result<Settle, Status> {
        let (token, settlement) = match kind {
            Some(Said::Ack(ack)) => (ack.lease_token, Settlement::Ack),
            Some(Said::Nack(nack)) => (
                nack.lease_token,
                Settlement::Nack {
                    delay: (nack.delay_seconds > 0).then(|| {
                        Duration::from_secs(nack.delay_seconds.min(DELAY_SECONDS_MAX).into())
                    }),
                    reason: nack.reason.chars().take(REASON_CHARS).collect(),
                    give_up: nack.give_up,
                },
            ),
            Some(Said::Extend(extend)) => (
                extend.lease_token,
                Settlement::Extend(lease_duration(
                    "extend.lease_seconds",
                    extend.lease_seconds,
                )?),
            ),
            Some(Said::Start(_)) | None => {
                return Err(Status::invalid_argument("expected ack, nack or extend"));
            }
        };
        if self.leases.token(&token) == Token::Foreign {
            return Err(Problem::field("lease_token", "not a lease of this stream").into());
        }
        Ok((token, settlement).into())
    }
}

/// What is kept for a webhook without subscribers waits for none.
fn takes_subscribers(context: &Context, name: &str, uid: &str) -> Result<(), Status> {
    let webhook = context.view.webhook(uid);
    let spec = webhook.as_ref().and_then(|webhook| webhook.spec.as_ref());
    if spec.is_none_or(has_subscribers) {
        return Ok(());
    }
    let why = format!("`{name}` has no subscribers: add `subscribe: {{}}` to its destinations");
    Err(Problem::Refused(why).into())
}

fn lease_duration(field: &str, seconds: u32) -> Result<Duration, Problem> {
    match seconds {
        0 => Ok(Duration::from_secs(LEASE_SECONDS.into())),
        1..=LEASE_SECONDS_MAX => Ok(Duration::from_secs(seconds.into())),
        _ => Err(Problem::field(
            field,
            format!("at most {LEASE_SECONDS_MAX}"),
        )),
    }
}

fn response(lease: Lease, told: Told) -> v1::SubscribeResponse {
    v1::SubscribeResponse {
        records_json: told.records_json,
        payload_json: told.payload_json,
        event: Some(lease.event),
        delivery: Some(lease.delivery),
        lease_token: lease.token,
        lease_expire_time: Some(hookplane_rules::time::to_wire(lease.expires)),
    }
}

#[cfg(test)]
mod tests;
