//! A lane: one endpoint at work. What it may be sent now is leased and sent, until there is nothing more.

mod landing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, BROKEN_OFF, Flown, lease_time};
use super::breaker::Gate;
use super::inbox::Inbox;
use super::turns::{Turn, Weight};
use super::{Engine, lock};
use crate::dispatch::endpoints::Endpoint;
use crate::dispatch::sink::Sink;
use crate::dispatch::target::{EndpointKey, Resolved, resolve};
use crate::log::{LEASE_BYTES, Lease, Queue, Settle, Settlement};

/// Requests begun at once: others have their turn in between.
const AT_ONCE: usize = 16;
/// Of events leased at once, by what the largest before were: the first of a kind may be larger.
const LANE_BYTES: usize = 16 * 1024 * 1024;
/// Of an event, while nothing is known of them.
const FIRST_GUESS: usize = 1024 * 1024;
/// Where too many bytes are under way it is looked again after this.
const FULL: Duration = Duration::from_millis(100);
/// Settlements under way: a log that is slow is not given more.
const MAX_SETTLING: usize = 8;
/// Then, for settling, and for a log that is being asked: it answers within ten seconds, which is too long.
const LAST: Duration = Duration::from_secs(3);

/// What is leased and not settled, so that it can be given back.
struct Held {
    queue: Queue,
    tokens: Vec<String>,
    /// Others may wait for these.
    ordered: bool,
}

/// What was settled of a queue.
struct Settled {
    queue: Queue,
    /// Something of it may be leased that couldn't be before.
    again: bool,
}

struct Run {
    engine: Arc<Engine>,
    key: EndpointKey,
    endpoint: Arc<Endpoint>,
    inbox: Arc<Inbox>,
    flights: JoinSet<Flown>,
    held: HashMap<Id, Held>,
    settling: JoinSet<Option<Settled>>,
    /// Of one event, of late.
    largest: usize,
    /// Of one record, of late.
    largest_record: usize,
}

/// However a lane's task ends, another can be begun for it.
struct Running {
    engine: Arc<Engine>,
    key: EndpointKey,
    endpoint: Arc<Endpoint>,
    inbox: Arc<Inbox>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = lock(&self.engine.running);
        // Gone already where it left by itself, and perhaps another's by now.
        if !running
            .get(&self.key)
            .is_some_and(|inbox| Arc::ptr_eq(inbox, &self.inbox))
        {
            return;
        }
        running.remove(&self.key);
        drop(running);
        if std::thread::panicking() {
            let now = self.engine.context.clock.now();
            self.endpoint.breaker(|breaker| {
                breaker.no_probe();
                breaker.pause(now, BROKEN_OFF, "delivering to it broke off")
            });
        }
        self.engine.look.notify_one();
    }
}

/// What was begun, and what there is to wait for.
enum Begun {
    /// The next may be begun.
    More,
    /// Nothing to begin, until something else happens.
    Nothing,
    /// Not before then.
    NotBefore(Instant),
}

/// Until there is nothing to send, or the server ends.
pub(super) async fn run(
    engine: Arc<Engine>,
    key: EndpointKey,
    endpoint: Arc<Endpoint>,
    inbox: Arc<Inbox>,
) {
    let mut run = Run {
        engine,
        key,
        endpoint,
        inbox,
        flights: JoinSet::new(),
        held: HashMap::new(),
        settling: JoinSet::new(),
        largest: FIRST_GUESS,
        largest_record: 0,
    };
    let _running = Running {
        engine: Arc::clone(&run.engine),
        key: run.key.clone(),
        endpoint: Arc::clone(&run.endpoint),
        inbox: Arc::clone(&run.inbox),
    };
    let shutdown = run.engine.shutdown.clone();
    while !shutdown.is_cancelled() {
        let begun = tokio::select! {
            begun = run.begin() => begun,
            () = late(&shutdown) => break,
        };
        let not_before = match begun {
            Begun::More => continue,
            Begun::Nothing => None,
            Begun::NotBefore(then) => Some(then),
        };
        let idle = run.flights.is_empty() && run.settling.is_empty() && not_before.is_none();
        if idle && run.inbox.leave(&run.engine.running, &run.key) {
            return;
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            Some(flown) = run.flights.join_next_with_id() => run.landed(flown),
            Some(settled) = run.settling.join_next() => run.settled(settled),
            () = run.inbox.told.notified() => {}
            () = crate::due::at(not_before) => {}
        }
    }
    run.end().await;
}

impl Run {
    /// Leases what one queue may send now, and sends it.
    async fn begin(&mut self) -> Begun {
        if self.settling.len() >= MAX_SETTLING {
            return Begun::Nothing;
        }
        let Some(queue) = self.inbox.next() else {
            return Begun::Nothing;
        };
        let context = self.engine.context.clone();
        let Some(resolved) = self.resolved(&queue) else {
            return Begun::More;
        };
        let sink = match context.endpoints.sink(&context, &resolved) {
            Ok(sink) => sink,
            Err(reason) => {
                self.unusable(&resolved, &reason);
                return Begun::More;
            }
        };
        let room = match self.endpoint.gate(context.clock.now()) {
            Gate::Open => resolved
                .limits
                .concurrency
                .saturating_sub(self.flights.len()),
            Gate::Probe => usize::from(self.flights.is_empty()),
            Gate::Probing => 0,
            Gate::Shut(_) => {
                // It is offered again once it may be tried.
                self.inbox.clear();
                self.engine.look.notify_one();
                return Begun::Nothing;
            }
        };
        if room == 0 {
            self.inbox.put_back(queue);
            return Begun::Nothing;
        }
        let (rate, now) = (resolved.limits.rate, context.clock.now());
        let (room, next) = self
            .endpoint
            .rate(|bucket| (bucket.room(rate, room.min(AT_ONCE), now), bucket.next()));
        if room == 0 {
            self.inbox.put_back(queue);
            return next.map_or(Begun::Nothing, |next| {
                Begun::NotBefore(Instant::now() + next)
            });
        }
        let turns = self.turns(&resolved.org, room).await;
        if turns.is_empty() {
            self.inbox.put_back(queue);
            return Begun::Nothing;
        }
        // Of one delivery.
        let each = self.largest + self.largest_record;
        let most = (turns.len() * sink.batch()).min((LANE_BYTES / each).max(1));
        let more = !self.flights.is_empty();
        let wanted = most.saturating_mul(each).min(LANE_BYTES);
        let least = each.min(LANE_BYTES);
        let Some(weight) = self.engine.turns.weigh(&resolved.org, wanted, least, more) else {
            self.inbox.put_back(queue);
            return Begun::NotBefore(Instant::now() + FULL);
        };
        let most = most.min((weight.bytes() / each).max(1));
        let time = lease_time(&resolved, &*sink);
        let since = Instant::now();
        match context.log.lease(&queue, most, time).await {
            Err(error) => {
                self.engine.trouble(&error);
                self.engine.rest(&queue);
            }
            Ok(leases) if leases.is_empty() => self.engine.rest(&queue),
            Ok(leases) => {
                self.engine.wake(&queue);
                let bytes: usize = leases.iter().map(|one| one.event.encoded_len()).sum();
                // Half of it: as it is stored an event may be a little smaller or larger.
                if leases.len() == most || bytes >= LEASE_BYTES / 2 {
                    // Behind the destination's other webhooks.
                    self.inbox.put(queue.clone());
                }
                self.send(&queue, resolved, sink, leases, (turns, weight), since);
            }
        }
        Begun::More
    }

    /// None where it is no longer this lane's, or paused: then it is offered anew.
    fn resolved(&self, queue: &Queue) -> Option<Arc<Resolved>> {
        let view = &self.engine.context.view;
        let webhook = view.webhook(&queue.webhook_uid)?;
        let resolved = resolve(view, &webhook, &queue.destination).ok()?;
        if resolved.endpoint != self.key {
            self.engine.look.notify_one();
            return None;
        }
        let paused = resolved.endpoint_paused || resolved.queue_paused;
        (!paused).then(|| Arc::new(resolved))
    }

    /// As stored it can't be sent to: it is left alone like one that fails, and says why.
    fn unusable(&self, resolved: &Resolved, reason: &str) {
        let now = self.engine.context.clock.now();
        let pause = Duration::from_secs(60);
        if self
            .endpoint
            .breaker(|breaker| breaker.pause(now, pause, reason))
        {
            let destination = &*resolved.shown;
            tracing::error!(destination, reason, "a stored destination can't be used");
        }
    }

    /// At least one, unless there is none while others of ours are under way, or the server ends.
    async fn turns(&self, org: &str, wanted: usize) -> Vec<Turn> {
        let engine = &self.engine;
        let mut turns = Vec::with_capacity(wanted);
        if self.flights.is_empty() {
            tokio::select! {
                turn = engine.turns.take(org, false) => turns.push(turn),
                () = engine.shutdown.cancelled() => return turns,
            }
        }
        while turns.len() < wanted {
            match engine.turns.try_take(org, true) {
                Some(turn) => turns.push(turn),
                None => break,
            }
        }
        turns
    }

    fn send(
        &mut self,
        queue: &Queue,
        resolved: Arc<Resolved>,
        sink: Arc<dyn Sink>,
        leases: Vec<Lease>,
        (turns, mut room): (Vec<Turn>, Weight),
        since: Instant,
    ) {
        let context = self.engine.context.clone();
        // While the log was asked, it may have become one to be left alone.
        let may = match self.endpoint.gate(context.clock.now()) {
            Gate::Open => usize::MAX,
            Gate::Probe if self.flights.is_empty() => {
                self.endpoint.breaker(|breaker| breaker.probe());
                1
            }
            _ => 0,
        };
        let largest = leases.iter().map(|lease| lease.event.body.len()).max();
        // Large ones are remembered for a while.
        self.largest = largest.unwrap_or(0).max(self.largest / 2).max(1);
        let mut leases = leases.into_iter().peekable();
        for turn in turns.into_iter().take(may) {
            let batch: Vec<Lease> = leases.by_ref().take(sink.batch()).collect();
            if batch.is_empty() {
                break;
            }
            self.endpoint.rate(|bucket| bucket.take(1));
            let tokens = batch.iter().map(|lease| lease.token.clone()).collect();
            let ordered = batch
                .iter()
                .any(|lease| !lease.delivery.order_key.is_empty());
            let of_events: usize = batch.iter().map(|lease| lease.event.body.len()).sum();
            let of_records = batch.len() * self.largest_record;
            let attempt = Attempt {
                context: context.clone(),
                endpoint: Arc::clone(&self.endpoint),
                resolved: Arc::clone(&resolved),
                sink: Arc::clone(&sink),
                leases: batch,
                weight: room.split(of_events + of_records),
                since,
            };
            let flight = self.flights.spawn(async move {
                let _under_way = turn;
                attempt.run().await
            });
            let queue = queue.clone();
            let held = Held {
                queue,
                tokens,
                ordered,
            };
            self.held.insert(flight.id(), held);
        }
        let left: Vec<Settle> = leases
            .map(|lease| (lease.token, Settlement::Return).into())
            .collect();
        self.settle(queue.clone(), left, true);
    }
}

/// A while after the end began.
async fn late(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(LAST).await;
}
