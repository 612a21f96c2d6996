//! SIGKILL under load. Posters send signed callbacks with delivery ids of their own, send again what was not answered (as providers do),
//! and note what was answered 2xx; at the end the tail is compared with their notes.
//!
//! Here `dev` is killed, which is everything in one process. [`cluster`] has the servers apart, and all that a cluster is made of.

mod random;

pub mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::http::Connection;
use crate::product::{Dev, eventually};
use crate::signers;
use random::Random;

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

impl Campaign {
    /// Runs it, with the data in `folder`.
    pub fn run(&self, folder: &Path) -> Outcome {
        let mut dev = Dev::start(&folder.join("data"));
        dev.apply(MANIFEST);
        let url = dev.callback_url("acme/load");
        let acknowledged = Mutex::new(BTreeSet::new());
        let resent = AtomicU64::new(0);
        let over = AtomicBool::new(false);
        let mut random = Random::new(self.seed);
        std::thread::scope(|scope| {
            for poster in 0..self.posters {
                let random = Random::new(self.seed.wrapping_mul(1000).wrapping_add(poster + 1));
                let (url, acknowledged, resent, over) = (&url, &acknowledged, &resent, &over);
                scope.spawn(move || post_until(over, url, poster, random, acknowledged, resent));
            }
            for _ in 0..self.rounds {
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
                dev.restart();
            }
            over.store(true, Ordering::SeqCst);
        });
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for line in dev.tail("acme/load/all", &[]) {
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
    url: &str,
    poster: u64,
    mut random: Random,
    acknowledged: &Mutex<BTreeSet<String>>,
    resent: &AtomicU64,
) {
    let mut connection = None;
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
            connection = None;
        }
        resent.fetch_add(u64::from(tries > 0), Ordering::Relaxed);
        acknowledged.lock().expect("no poster panics").insert(id);
    }
}
