//! SIGKILL under load. Posters send signed callbacks with delivery ids of their own, send again what was not answered (as providers do),
//! and note what was answered 2xx; at the end the tail is compared with their notes.
//!
//! Together, `dev` is killed. Apart, a control plane and its two listeners are killed in turn, and what one listener doesn't answer is sent to
//! the other, as behind a load balancer.

mod random;

pub mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::http::Connection;
use crate::product::{Cli, Dev, Listen, Serve, eventually};
use crate::signers;
use random::Random;

/// In milliseconds: from what goes by unnoticed to beyond what the streams' pings and GitHub's patience allow. Shorter than a poster waits.
const FREEZE: std::ops::Range<u64> = 3_000..14_000;
const SECRET: &str = "campaign";

const MANIFEST: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: load}
spec:
  connector: github
  signatureSecrets: [{value: campaign}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: load, name: all}
spec: {label: All, active: true, events: ["*"]}
"#;

/// How a campaign goes.
#[derive(Debug, Clone, Copy)]
pub struct Campaign {
    /// How many kills.
    pub rounds: u64,
    /// Decides the moments and the bodies.
    pub seed: u64,
    /// Connections that post at the same time.
    pub posters: u64,
    /// The two servers as processes of their own.
    pub apart: bool,
    /// Apart, frozen for a while (SIGSTOP) instead of killed: sockets stay open, and nobody is behind them.
    pub freeze: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Delivery ids answered 2xx.
    pub acknowledged: usize,
    /// Delivery ids found afterwards.
    pub kept: usize,
    /// Delivery ids that were sent again because a kill took the answer.
    pub resent: u64,
    /// Answered 2xx, and not found.
    pub lost: Vec<String>,
    /// Found more than once.
    pub twice: Vec<String>,
}

/// What is killed.
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Product {
    Together(Dev),
    Apart(Serve, [Listen; 2]),
}

impl Product {
    fn start(folder: &Path, apart: bool) -> Self {
        if !apart {
            return Self::Together(Dev::start(&folder.join("data")));
        }
        let serve = Serve::start(folder, &[]);
        let listeners = ["one", "two"].map(|name| Listen::start(&serve, name, &[]));
        Self::Apart(serve, listeners)
    }

    fn cli(&self) -> &Cli {
        match self {
            Self::Together(dev) => dev,
            Self::Apart(serve, _) => serve,
        }
    }

    /// Where callbacks may be sent.
    fn urls(&self) -> Vec<String> {
        let url = self.cli().callback_url("acme/load");
        match self {
            Self::Together(_) => vec![url],
            Self::Apart(_, listeners) => listeners.iter().map(|one| one.url(&url)).collect(),
        }
    }

    /// Freezes the next in turn for so long, and waits until it serves again.
    fn freeze(&mut self, round: u64, time: Duration) {
        let Self::Apart(serve, [one, two]) = self else {
            panic!("together there is nobody left who would notice");
        };
        let process = match round % 4 {
            0 => &mut **one,
            2 => &mut **two,
            _ => serve.process(),
        };
        process.signal("STOP");
        let start = Instant::now();
        eventually("it was frozen long enough", || {
            (start.elapsed() >= time).then_some(())
        });
        process.signal("CONT");
        serve.wait_until_ready();
        one.wait_until_ready();
        two.wait_until_ready();
    }

    /// SIGKILL for the next in turn, which is ready again when this returns.
    fn kill(&mut self, round: u64) {
        match self {
            Self::Together(dev) => dev.restart(),
            Self::Apart(serve, [one, two]) => match round % 4 {
                0 => {
                    one.restart();
                    one.wait_until_ready();
                }
                2 => {
                    two.restart();
                    two.wait_until_ready();
                }
                _ => {
                    serve.process().restart();
                    serve.wait_until_ready();
                }
            },
        }
    }
}

impl Campaign {
    /// Runs it, with the data in `folder`.
    pub fn run(&self, folder: &Path) -> Outcome {
        let mut product = Product::start(folder, self.apart);
        product.cli().apply(MANIFEST);
        let urls = product.urls();
        let acknowledged = Mutex::new(BTreeSet::new());
        let resent = AtomicU64::new(0);
        let over = AtomicBool::new(false);
        let mut random = Random::new(self.seed);
        std::thread::scope(|scope| {
            for poster in 0..self.posters {
                let random = Random::new(self.seed.wrapping_mul(1000).wrapping_add(poster + 1));
                let (urls, acknowledged, resent, over) = (&urls, &acknowledged, &resent, &over);
                scope.spawn(move || post_until(over, urls, poster, random, acknowledged, resent));
            }
            for round in 0..self.rounds {
                // From the first callbacks after a start to well into steady load.
                let alive = Duration::from_millis(20 + random.below(280));
                let before = acknowledged.lock().expect("no poster panics").len();
                let start = Instant::now();
                // At least one new answer a round, or the round shows nothing.
                eventually("the load goes on", || {
                    (start.elapsed() >= alive
                        && acknowledged.lock().expect("no poster panics").len() > before)
                        .then_some(())
                });
                if self.freeze {
                    let time = FREEZE.start + random.below(FREEZE.end - FREEZE.start);
                    product.freeze(round, Duration::from_millis(time));
                } else {
                    product.kill(round);
                }
            }
            over.store(true, Ordering::SeqCst);
        });
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for line in product.cli().tail("acme/load/all", &[]) {
            let id = line["event"]["deliveryId"]
                .as_str()
                .expect("each has a delivery id");
            *found.entry(id.to_owned()).or_default() += 1;
        }
        let acknowledged = acknowledged.into_inner().expect("no poster panics");
        Outcome {
            acknowledged: acknowledged.len(),
            kept: found.len(),
            resent: resent.into_inner(),
            lost: acknowledged
                .iter()
                .filter(|id| !found.contains_key(*id))
                .cloned()
                .collect(),
            twice: found
                .iter()
                .filter(|(_, times)| **times > 1)
                .map(|(id, _)| id.clone())
                .collect(),
        }
    }
}

/// Posts one callback after the other, each until it is answered 2xx.
fn post_until(
    over: &AtomicBool,
    urls: &[String],
    poster: u64,
    mut random: Random,
    acknowledged: &Mutex<BTreeSet<String>>,
    resent: &AtomicU64,
) {
    let mut connection = None;
    let mut target = usize::try_from(poster).expect("few");
    for number in 0.. {
        let id = format!("{poster}-{number}");
        let padding = "x".repeat(usize::try_from(random.below(8000)).expect("small"));
        let body = format!(r#"{{"action":"opened","number":{number},"padding":"{padding}"}}"#);
        let headers = signers::github(SECRET, "issues", &id, body.as_bytes());
        let mut tries = 0;
        loop {
            if over.load(Ordering::SeqCst) {
                return;
            }
            let url = &urls[target % urls.len()];
            let answer = connection
                .take()
                .map_or_else(|| Connection::open(url), Ok)
                .and_then(|mut open: Connection| {
                    let answer = open.request("POST", url, &headers, body.as_bytes())?;
                    connection = Some(open);
                    Ok(answer)
                });
            match answer {
                Ok(answer) if (200..300).contains(&answer.status) => break,
                // 503 while it starts, or no answer at all: what a provider sends again. Never 404, and never silence.
                Ok(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
                Err(error) => {
                    let late = [ErrorKind::TimedOut, ErrorKind::WouldBlock];
                    assert!(!late.contains(&error.kind()), "no answer in time: {error}");
                    crate::product::pause();
                }
            }
            tries += 1;
            target += 1;
            connection = None;
        }
        resent.fetch_add(u64::from(tries > 0), Ordering::Relaxed);
        acknowledged.lock().expect("no poster panics").insert(id);
    }
}
