//! Delivers what is kept to where it is pushed.
//!
//! ```text
//!   log.waiting ─ look ─▶ queue, due ─ resolve ─▶ its lane (the task of its endpoint): gate, rate, turn ─ lease ─▶ flight: map, Sink::deliver
//!        ▲                                             ▲                                                              │
//!        └── newest, revisions, what is due ───────────┴──────────── settle, breaker ◀────────────────────────────────┘
//! ```
//!
//! Every replica runs one; leases keep them from doing the same work at the same time.
//!
//! Guarantees:
//! - At least once, with the same idempotency key each time. What was leased and not sent is given back uncounted.
//! - A destination that is slow, dead or full holds up no other: each has a task of its own, its own share of what may be under way
//!   (`turns`), and is left alone while it fails (`breaker`).
//! - Fair: orgs take turns, and within a destination its webhooks.
//! - Bounded: requests under way, deliveries leased, and near enough the bytes of events in memory, of all and of each org.
//!
//! What it doesn't do: decide what an answer means. That is the sinks'.

mod attempt;
mod backoff;
pub(crate) mod breaker;
mod inbox;
mod lane;
pub(crate) mod rate;
mod strays;
#[cfg(test)]
pub(crate) mod tests;
mod turns;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

pub(super) use self::attempt::broken_off;
use self::breaker::Gate;
use self::inbox::Inbox;
use self::strays::Strays;
use self::turns::Turns;
use super::endpoints::Endpoint;
use super::target::{EndpointKey, resolve};
use crate::context::Context;
use crate::log::Queue;

/// Queues asked for at a time.
const PAGE: usize = 500;
/// Between two looks, at least: what comes meanwhile is seen by the next.
const PACE: Duration = Duration::from_millis(2);
/// A look that takes long is followed by so many times as long without one.
const REST_OF_LOOK: u32 = 4;
/// Without anything that says so, it is looked again after this.
const IDLE: Duration = Duration::from_secs(10);
/// While no webhook pushes anywhere, what comes is nothing to us.
const NOTHING_PUSHED: Duration = Duration::from_secs(60);
/// After the log couldn't be asked.
const LOG_FAILED: Duration = Duration::from_secs(1);
/// Between two looks at whether those that are left alone may be tried again.
const GATES: Duration = Duration::from_millis(100);
/// Between two times that what is gone is forgotten.
const TIDY: Duration = Duration::from_secs(600);

/// Times that a test may have otherwise.
struct Timing {
    /// A queue that gave nothing though something was due rests so long, then twice as long, …: its first waits for another of its key, or
    /// another replica has it.
    first_rest: Duration,
    longest_rest: Duration,
    /// With a view that lags, before strays are held.
    patience: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            first_rest: Duration::from_millis(20),
            longest_rest: Duration::from_secs(1),
            patience: Duration::from_secs(30),
        }
    }
}

struct Engine {
    context: Context,
    timing: Timing,
    turns: Arc<Turns>,
    /// The tasks that run, by what they deliver to.
    running: Mutex<HashMap<EndpointKey, Arc<Inbox>>>,
    /// Queues that gave nothing: until when they are left, and how often they did.
    resting: Mutex<HashMap<Queue, (Instant, u32)>>,
    /// Somebody wants it to be looked again.
    look: Notify,
    /// The log couldn't be asked, which is said once.
    troubled: AtomicBool,
    shutdown: CancellationToken,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Anything from 0 to 1.
fn share() -> f64 {
    // Without randomness one is still right, only the same for all.
    f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

/// Until `shutdown`; then what is under way has a moment to end, and the rest is given back.
pub(crate) async fn run(context: Context, shutdown: CancellationToken) {
    let engine = Engine::new(context, Timing::default(), shutdown);
    run_engine(engine).await;
}

async fn run_engine(engine: Arc<Engine>) {
    let shutdown = engine.shutdown.clone();
    let mut looker = Looker {
        engine: Arc::clone(&engine),
        lanes: JoinSet::new(),
        shut: Vec::new(),
        strays: Strays::default(),
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = looker.run() => {}
    }
    // Each ends by itself, within its grace.
    while let Some(ended) = looker.lanes.join_next().await {
        told(ended);
    }
}

fn told(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!(%error, "delivering to a destination broke off: please report this as a bug");
    }
}

struct Looker {
    engine: Arc<Engine>,
    lanes: JoinSet<()>,
    /// Those that are left alone and have something to deliver.
    shut: Vec<Arc<Endpoint>>,
    strays: Strays,
}

impl Looker {
    async fn run(&mut self) {
        let engine = Arc::clone(&self.engine);
        let mut newest = engine.context.log.newest();
        let mut revisions = engine.context.view.revisions();
        let mut tidied = Instant::now();
        loop {
            // Before the question, so that what comes meanwhile wakes us.
            newest.borrow_and_update();
            revisions.borrow_and_update();
            let began = Instant::now();
            let again = self.look().await;
            if tidied.elapsed() > TIDY {
                tidied = Instant::now();
                engine.tidy();
            }
            sleep_until(Instant::now() + PACE.max(began.elapsed() * REST_OF_LOOK)).await;
            let again = Instant::now() + again;
            let pushes = engine.context.view.pushes();
            loop {
                let gates = (!self.shut.is_empty()).then(|| Instant::now() + GATES);
                tokio::select! {
                    changed = newest.changed(), if pushes => if changed.is_err() { return },
                    changed = revisions.changed() => if changed.is_err() { return },
                    () = engine.look.notified() => {}
                    () = sleep_until(again) => {}
                    () = crate::due::at(gates) => if !self.a_gate_opened() { continue },
                    Some(ended) = self.lanes.join_next() => {
                        told(ended);
                        continue;
                    }
                }
                break;
            }
        }
    }

    fn a_gate_opened(&self) -> bool {
        self.engine.show();
        let now = self.engine.context.clock.now();
        let is_open = |endpoint: &Arc<Endpoint>| !matches!(endpoint.gate(now), Gate::Shut(_));
        self.shut.iter().any(is_open)
    }

    /// Hands what is due to its lanes. Says when to look again at the latest.
    async fn look(&mut self) -> Duration {
        self.shut.clear();
        self.strays.begin();
        let engine = Arc::clone(&self.engine);
        let mut again = if engine.context.view.pushes() {
            IDLE
        } else {
            NOTHING_PUSHED
        };
        let mut after: Option<Queue> = None;
        loop {
            let page = engine.context.log.waiting(after.as_ref(), PAGE).await;
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    engine.trouble(&error);
                    return LOG_FAILED;
                }
            };
            engine.fine();
            let last = page.len() < PAGE;
            after = page.last().map(|waiting| waiting.queue.clone());
            for waiting in page {
                let later = match waiting.due_in {
                    Duration::ZERO => self.offer(waiting.queue),
                    due_in => Some(due_in),
                };
                again = again.min(later.unwrap_or(IDLE));
            }
            if last {
                break;
            }
        }
        self.strays.end();
        engine.show();
        again
    }

    /// Hands a queue to its lane. Says when to offer it again, where that isn't told by something else.
    fn offer(&mut self, queue: Queue) -> Option<Duration> {
        let engine = &self.engine;
        if let Some((until, _)) = lock(&engine.resting).get(&queue) {
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Some(left);
            }
        }
        let context = &engine.context;
        // Deleted: its deliveries are being dropped. Or not known here yet.
        let webhook = context.view.webhook(&queue.webhook_uid)?;
        let resolved = match resolve(&context.view, &webhook, &queue.destination) {
            Ok(resolved) => resolved,
            Err(_) => {
                let engine = Arc::clone(engine);
                return self.strays.note(queue, engine, &mut self.lanes);
            }
        };
        if resolved.endpoint_paused || resolved.queue_paused {
            return None;
        }
        let endpoint = context.endpoints.get(&resolved.endpoint);
        // What was mended doesn't wait out what was wrong before.
        endpoint.configured(&resolved);
        if let Gate::Shut(_) = endpoint.gate(context.clock.now()) {
            self.shut.push(endpoint);
            return None;
        }
        let mut running = lock(&engine.running);
        match running.get(&resolved.endpoint) {
            Some(inbox) => inbox.put(queue),
            None => {
                let inbox = Arc::new(Inbox::default());
                inbox.put(queue);
                running.insert(resolved.endpoint.clone(), Arc::clone(&inbox));
                drop(running);
                let engine = Arc::clone(engine);
                self.lanes
                    .spawn(lane::run(engine, resolved.endpoint, endpoint, inbox));
            }
        }
        None
    }
}

impl Engine {
    fn new(context: Context, timing: Timing, shutdown: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            context,
            timing,
            turns: Arc::default(),
            running: Mutex::default(),
            resting: Mutex::default(),
            look: Notify::new(),
            troubled: AtomicBool::new(false),
            shutdown,
        })
    }

    /// A queue gave nothing.
    fn rest(&self, queue: &Queue) {
        let mut resting = lock(&self.resting);
        let times = resting.get(queue).map_or(0, |(_, times)| *times);
        let timing = &self.timing;
        let rest = (timing.first_rest * 2u32.pow(times.min(10))).min(timing.longest_rest);
        resting.insert(queue.clone(), (Instant::now() + rest, times + 1));
        drop(resting);
        // It has to be offered again, and nothing else may say so.
        self.look.notify_one();
    }

    /// Something of it was leased, or came to an end. Says whether it was left until now.
    fn wake(&self, queue: &Queue) -> bool {
        lock(&self.resting).remove(queue).is_some()
    }

    /// For scrapes.
    fn show(&self) {
        let states = self.context.endpoints.states(self.context.clock.now());
        self.context
            .metrics
            .left_alone(states.failing, states.waiting);
    }

    /// Said once, until it can be asked again.
    fn trouble(&self, error: &crate::log::LogError) {
        if !self
            .troubled
            .swap(true, std::sync::atomic::Ordering::Relaxed)
        {
            tracing::warn!(%error, "nothing is delivered to destinations for now; it is tried again");
        }
    }

    fn fine(&self) {
        self.troubled
            .store(false, std::sync::atomic::Ordering::Relaxed);
    }

    fn tidy(&self) {
        let now = Instant::now();
        lock(&self.resting).retain(|_, (until, _)| *until + self.timing.longest_rest > now);
        self.context.endpoints.forget_gone(&self.context.view);
    }
}

/// Waits for all that is left of a set, within a time. Says whether that was enough.
async fn ended<T: 'static>(set: &mut JoinSet<T>, until: Instant, mut each: impl FnMut(T)) -> bool {
    let all = async {
        while let Some(ended) = set.join_next().await {
            match ended {
                Ok(ended) => each(ended),
                Err(error) if error.is_panic() => {
                    tracing::error!(%error, "a task of the delivery engine broke off as it ended: please report this as a bug");
                }
                // Ended by us.
                Err(_) => {}
            }
        }
    };
    timeout_at(until, all).await.is_ok()
}
