//! Posters: each sends one signed callback after the other at a steady pace, again on the next listener until it is answered 2xx, as a load
//! balancer and a provider's retries do, and notes each answer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::campaign::random::Random;
use crate::http::Connection;
use crate::product::pause;
use crate::signers;

/// From one callback of a poster to its next, in milliseconds. Many slow posters rather than a few fast ones: those that wait for an answer send
/// nothing, and providers don't wait for each other.
const PACE: u64 = 500;
/// Before what was not kept is sent again.
const AGAIN: Duration = Duration::from_millis(100);
const SHOP: &str = "acme.myshopify.com";
const MAX_PADDING: u64 = 1_000;

/// One answer, or the lack of one.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) poster: usize,
    /// The delivery id.
    pub(super) id: String,
    pub(super) listener: usize,
    pub(super) sent: Instant,
    pub(super) took: Duration,
    pub(super) said: Said,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// 2xx, with the receipt.
    Kept(String),
    /// Another status.
    Status(u16),
    /// The connection was refused or ended, or nothing came.
    Silence(String),
}

impl Answer {
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.said, Said::Kept(_))
    }

    pub(super) fn at(&self) -> Instant {
        self.sent + self.took
    }
}

/// What the posters share.
pub(super) struct Load {
    /// The callback URL at each listener.
    urls: Vec<String>,
    secret: &'static str,
    /// Listeners that the load balancer sends to.
    in_rotation: Vec<AtomicBool>,
    /// How often each was taken out. Connections from before are not used again.
    taken_out: Vec<AtomicUsize>,
    answers: Mutex<Vec<Answer>>,
    over: AtomicBool,
}

impl Load {
    pub(super) fn new(urls: Vec<String>, secret: &'static str) -> Self {
        Self {
            in_rotation: urls.iter().map(|_| AtomicBool::new(true)).collect(),
            taken_out: urls.iter().map(|_| AtomicUsize::new(0)).collect(),
            urls,
            secret,
            answers: Mutex::new(Vec::new()),
            over: AtomicBool::new(false),
        }
    }

    /// What a load balancer's health checks found out about a listener.
    pub(super) fn rotate(&self, listener: usize, takes: bool) {
        self.in_rotation[listener].store(takes, Ordering::SeqCst);
        if !takes {
            self.taken_out[listener].fetch_add(1, Ordering::SeqCst);
        }
    }

    /// In the order in which they came.
    pub(super) fn answers(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the posters when it is dropped: also when what drives them panics.
    pub(super) fn ends_with(&self) -> impl Drop {
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        Over(&self.over)
    }

    /// One poster, until the end.
    pub(super) fn post(&self, poster: usize, mut random: Random) {
        let mut connections: Vec<_> = self.urls.iter().map(|_| None).collect();
        let mut target = poster;
        // Not all at once.
        let mut due = Instant::now() + Duration::from_millis(random.below(PACE));
        for number in 0.. {
            let id = format!("{poster}-{number}");
            let padding = random.below(MAX_PADDING);
            let padding = "x".repeat(usize::try_from(padding).expect("small"));
            let body = format!(r#"{{"id":"{id}","padding":"{padding}"}}"#);
            let headers =
                signers::shopify(self.secret, "orders/create", &id, SHOP, body.as_bytes());
            loop {
                if !self.wait_until(due) {
                    return;
                }
                target = self.next(target);
                let sent = Instant::now();
                let said = self.once(target, &mut connections[target], &headers, &body);
                let answer = Answer {
                    poster,
                    id: id.clone(),
                    listener: target,
                    sent,
                    took: sent.elapsed(),
                    said,
                };
                let kept = answer.is_kept();
                self.answers().push(answer);
                if kept {
                    break;
                }
                due = Instant::now() + AGAIN;
            }
            // One that was late doesn't catch up: the load is steady.
            due = (due + Duration::from_millis(PACE)).max(Instant::now());
        }
    }

    fn once(
        &self,
        listener: usize,
        connection: &mut Option<(usize, Connection)>,
        headers: &[(String, String)],
        body: &str,
    ) -> Said {
        let url = &self.urls[listener];
        let taken_out = self.taken_out[listener].load(Ordering::SeqCst);
        let open = connection.take().filter(|(since, _)| *since == taken_out);
        let answer = open
            .map_or_else(|| Connection::open(url), |(_, open)| Ok(open))
            .and_then(|mut open| {
                let answer = open.request("POST", url, headers, body.as_bytes())?;
                *connection = Some((taken_out, open));
                Ok(answer)
            });
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => {
                Said::Kept(answer.receipt().to_owned())
            }
            Ok(answer) => Said::Status(answer.status),
            Err(error) => Said::Silence(error.to_string()),
        }
    }

    fn next(&self, target: usize) -> usize {
        let count = self.urls.len();
        (1..=count)
            .map(|step| (target + step) % count)
            .find(|listener| self.in_rotation[*listener].load(Ordering::SeqCst))
            .unwrap_or((target + 1) % count)
    }

    /// False once it is over.
    fn wait_until(&self, due: Instant) -> bool {
        loop {
            if self.over.load(Ordering::SeqCst) {
                return false;
            }
            if Instant::now() >= due {
                return true;
            }
            pause();
        }
    }
}
