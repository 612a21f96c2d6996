//! The members of the cluster: which one is asked, and who is asked when that one doesn't answer.
//!
//! ```text
//!   call ─▶ the member that answered last ─▶ its answer
//!              │ no answer in its share of the time, no leader, a broken connection
//!              ▼
//!           rests (its connection is dropped) ─▶ the next member ─▶ … ─▶ all of them again, until the call's time is over
//! ```
//!
//! Each member has a channel of its own, and health is what became of the calls: a member that failed is asked last while it rests, twice as long
//! each time, and like the others after that. A channel is remade when a call on it failed, and now and then, so that names are looked up and
//! certificates read again.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::Client;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connect::Dialer;
use super::fault::Fault;

/// One call of the seam, all its attempts together.
pub(super) const CALL: Duration = Duration::from_secs(5);
/// A channel serves new calls for so long.
const CHANNEL_AGE: Duration = Duration::from_secs(300);
/// A member that failed rests this long at most the first time, and at most so long ever.
const REST: Duration = Duration::from_millis(250);
const REST_MAX: Duration = Duration::from_secs(15);
/// When no member could answer, they are asked again this much later: an election takes about a second.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Members {
    members: Vec<Member>,
    dialer: Dialer,
    /// Asked first: it answered last.
    current: AtomicUsize,
    /// Where the next watch begins.
    next_watch: AtomicUsize,
}

struct Member {
    address: String,
    health: Mutex<Health>,
    /// Held while a client is made, so that one is made for all who wait.
    channel: tokio::sync::Mutex<Option<Made>>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    rests_until: Option<Instant>,
    /// Channels made before this one are not used again.
    channel: u64,
}

struct Made {
    client: Client,
    at: Instant,
    number: u64,
}

impl Members {
    /// `first` is whom to ask first, of any size: different ones spread the load.
    pub(super) fn new(addresses: Vec<String>, dialer: Dialer, first: usize) -> Self {
        let members: Vec<_> = addresses
            .into_iter()
            .map(|address| Member {
                address,
                health: Mutex::default(),
                channel: tokio::sync::Mutex::default(),
            })
            .collect();
        let first = first % members.len().max(1);
        Self {
            members,
            dialer,
            current: AtomicUsize::new(first),
            next_watch: AtomicUsize::new(first),
        }
    }

    /// One member's share of a call: every member has one before the time is over, and one is left.
    pub(super) fn share(&self) -> Duration {
        CALL / (u32::try_from(self.members.len()).unwrap_or(u32::MAX)).saturating_add(1)
    }

    /// Asks member after member until one answers, or the deadline.
    pub(super) async fn call<T, F>(
        &self,
        deadline: Instant,
        mut work: impl FnMut(Client) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let mut last = "none of them was asked".to_owned();
        loop {
            for index in self.order(self.current.load(Ordering::Relaxed)) {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Fault::Elsewhere(format!(
                        "no member of etcd answered in time; {last}"
                    )));
                }
                let within = left.min(self.share());
                match self.attempt(index, within, &mut work).await {
                    Err(Fault::Elsewhere(reason)) => {
                        last = format!("{}: {reason}", self.members[index].address);
                    }
                    answer => {
                        self.current.store(index, Ordering::Relaxed);
                        return answer;
                    }
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            sleep(PAUSE.min(left)).await;
        }
    }

    async fn attempt<T, F>(
        &self,
        index: usize,
        within: Duration,
        work: &mut impl FnMut(Client) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let number = self.members[index].health().channel;
        let answer = timeout(within, async {
            let client = self.client(index, number).await?;
            work(client).await.map_err(Fault::from)
        });
        let answer = answer
            .await
            .unwrap_or_else(|_| Err(Fault::Elsewhere("no answer".to_owned())));
        match &answer {
            Err(Fault::Elsewhere(reason)) => self.failed(index, number, reason),
            _ => self.answered(index),
        }
        answer
    }

    /// The member's client, of channel `number` or a later one.
    async fn client(&self, index: usize, number: u64) -> Result<Client, Fault> {
        let member = &self.members[index];
        let mut made = member.channel.lock().await;
        if let Some(made) = &*made
            && made.number >= number
            && made.at.elapsed() < CHANNEL_AGE
        {
            return Ok(made.client.clone());
        }
        *made = None;
        let client = self.dialer.dial(&member.address, self.share()).await?;
        *made = Some(Made {
            client: client.clone(),
            at: Instant::now(),
            number,
        });
        Ok(client)
    }

    /// A client with a connection of its own, for a watch: at the member after the one where the last watch began, so that a watch begun
    /// because another was silent is not at that one's member; or at the next that can. And which it is.
    pub(super) async fn begin<T, F>(
        &self,
        deadline: Instant,
        mut work: impl FnMut(Client) -> F,
    ) -> Result<(T, usize), Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut last = Fault::Elsewhere("etcd: no member was asked in time".to_owned());
        for index in self.order(self.next_watch.load(Ordering::Relaxed)) {
            let end = deadline.min(Instant::now() + self.share());
            let number = self.members[index].health().channel;
            let begun = timeout_at(end, async {
                let address = &self.members[index].address;
                work(self.dialer.dial(address, self.share()).await?).await
            });
            match begun
                .await
                .unwrap_or_else(|_| Err(Fault::Elsewhere("no answer".to_owned())))
            {
                Err(Fault::Elsewhere(reason)) => {
                    self.failed(index, number, &reason);
                    let address = &self.members[index].address;
                    last = Fault::Elsewhere(format!(
                        "no member of etcd can be watched; {address}: {reason}"
                    ));
                }
                answer => {
                    let next = (index + 1) % self.members.len();
                    self.next_watch.store(next, Ordering::Relaxed);
                    self.answered(index);
                    return answer.map(|begun| (begun, index));
                }
            }
        }
        Err(last)
    }

    /// Everybody, beginning with `first`; those that rest last, the one whose rest ends soonest before the others.
    fn order(&self, first: usize) -> Vec<usize> {
        let (now, count) = (Instant::now(), self.members.len());
        let mut order: Vec<_> = (0..count).map(|i| (first + i) % count).collect();
        // Each is looked at once: it may change meanwhile.
        order.sort_by_cached_key(|index| {
            let rests = self.members[*index].health().rests_until;
            rests.filter(|until| *until > now)
        });
        order
    }

    fn answered(&self, index: usize) {
        let mut health = self.members[index].health();
        health.failures = 0;
        health.rests_until = None;
    }

    /// Something begun on channel `number` of this member failed.
    pub(super) fn failed(&self, index: usize, number: u64, reason: &str) {
        let member = &self.members[index];
        let mut health = member.health();
        // Of several calls that a lost connection takes with it, the first one counts.
        if health.channel > number {
            return;
        }
        health.channel += 1;
        let rest = REST_MAX.min(REST * 2u32.saturating_pow(health.failures.min(10)));
        health.failures = health.failures.saturating_add(1);
        // At least half of it, so that it is one.
        let rest = rest / 2 + crate::due::within(rest / 2);
        health.rests_until = Some(Instant::now() + rest);
        let failures = health.failures;
        drop(health);
        // Closed now, unless another one is being made: that one is then in its place.
        if let Ok(mut made) = member.channel.try_lock()
            && made.as_ref().is_some_and(|made| made.number <= number)
        {
            *made = None;
        }
        tracing::debug!(
            member = member.address,
            failures,
            reason,
            "a member of etcd failed"
        );
    }

    /// A watch that began here ended by itself.
    pub(super) fn lost(&self, index: usize, reason: &str) {
        let number = self.members[index].health().channel;
        self.failed(index, number, reason);
    }

    pub(super) fn address(&self, index: usize) -> &str {
        &self.members[index].address
    }
}

impl Member {
    fn health(&self) -> MutexGuard<'_, Health> {
        // Counters that are whole whenever the lock is free.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
