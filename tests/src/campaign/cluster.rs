//! Many machines, played on one: any one process, or what connects two of them, is hurt under load, again and again, and no callback that was
//! answered 2xx is lost. A `serve` with embedded stores and its listeners, or two of them over etcd and PostgreSQL.
//!
//! ```text
//!   steady load ─▶ blow ─▶ mending ─▶ everything whole ─▶ every poster answered again ─┐
//!        ▲                                                                             │
//!        └────────────────────────────── next round ◀──────────────────────────────────┘
//! ```
//!
//! Afterwards the checker compares the ids answered 2xx with what was kept and with what a subscriber was handed; the table says what each
//! kind of fault cost its callers.

mod check;
mod fault;
mod load;
mod report;
mod servers;
mod strike;
mod subscriber;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

pub use check::{Evidence, Verdict};
pub use fault::{Allowed, Blow, Fault, Target};
pub use report::{Row, Table};
pub use strike::Pace;

use crate::campaign::random::Random;
use crate::product::{eventually, pause};
use fault::Schedule;
use load::Load;
use servers::Servers;
use subscriber::Subscriber;

const SECRET: &str = "campaign";
const WEBHOOK: &str = "orgs/acme/groups/load/webhooks/all";
/// For the subscriber to be handed the rest: leases of the dead come back, and a delivery that several of them held waits between attempts.
const DELIVERED_WITHIN: Duration = Duration::from_secs(90);

/// How a campaign goes.
#[derive(Debug, Clone)]
pub struct ClusterCampaign {
    /// Two replicas on etcd and PostgreSQL. Else one, which keeps everything.
    pub is_cluster: bool,
    /// How many blows.
    pub rounds: u64,
    /// Decides their order, victims, times, and the bodies.
    pub seed: u64,
    /// Connections that post at the same time.
    pub posters: usize,
    /// What is done; each once before one comes again.
    pub faults: Vec<Fault>,
    /// How long.
    pub pace: Pace,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What callers saw.
    pub table: Table,
    /// What was answered, kept and delivered.
    pub evidence: Evidence,
    /// Why the subscriber's streams ended, and how often.
    pub ends: BTreeMap<String, usize>,
}

impl ClusterCampaign {
    /// Runs it, with what the servers print in `folder`, and tells about each round.
    pub fn run(&self, folder: &Path, tell: &dyn Fn(&str)) -> Outcome {
        let mut random = Random::new(self.seed);
        let mut schedule = Schedule::new(&self.faults);
        let mut table = Table::new(self.is_cluster);
        let mut servers = Servers::start(folder, self.is_cluster);
        let load = Load::new(servers.urls(), SECRET);
        let subscriber = {
            let _runtime = servers.runtime.enter();
            Subscriber::start(servers.apis(), servers.token(), WEBHOOK)
        };
        std::thread::scope(|scope| {
            let _over = load.ends_with();
            for poster in 0..self.posters {
                let seed = u64::try_from(poster).expect("few") + 1;
                let random = Random::new(self.seed.wrapping_mul(1000).wrapping_add(seed));
                let load = &load;
                scope.spawn(move || load.post(poster, random));
            }
            self.answered_after(&load, 0, Instant::now());
            for round in 0..self.rounds {
                let (start, from) = (load.answers().len(), Instant::now());
                let calm = Duration::from_millis(random.within(&self.pace.calm));
                while from.elapsed() < calm {
                    pause();
                }
                let (blow, at) = (load.answers().len(), Instant::now());
                table.calm(&load.answers()[start..blow], from);
                let fault = schedule.next(&mut random);
                tell(&format!("round {round}: {}", fault.name()));
                let name = strike::strike(&mut servers, &load, fault, &self.pace, &mut random);
                let mended = at.elapsed();
                servers.wait_until_whole(|listener| load.rotate(listener, true));
                let whole = at.elapsed();
                self.answered_after(&load, blow, Instant::now());
                let name = format!("round {round}: {name}");
                let before = table.wrong.len();
                let answers = load.answers()[blow..].to_vec();
                table.round((fault, &name), &answers, at, whole);
                let kept = answers.iter().filter(|answer| answer.is_kept()).count();
                tell(&format!(
                    "{name}, mended after {} ms, whole after {} ms: {kept} of {} answers were 2xx",
                    mended.as_millis(),
                    whole.as_millis(),
                    answers.len()
                ));
                table.wrong[before..].iter().for_each(|wrong| tell(wrong));
            }
        });
        let evidence = gather(&servers, &load, &subscriber);
        Outcome {
            table,
            evidence,
            ends: subscriber.ends(),
        }
    }

    /// Until every poster has a 2xx for what it sent after that moment.
    fn answered_after(&self, load: &Load, start: usize, moment: Instant) {
        eventually("every poster is answered 2xx again", || {
            let answers = load.answers();
            let again = |poster| {
                let mut after = answers[start..].iter().rev();
                after.any(|one| one.poster == poster && one.sent >= moment && one.is_kept())
            };
            (0..self.posters).all(again).then_some(())
        });
    }
}

fn gather(servers: &Servers, load: &Load, subscriber: &Subscriber) -> Evidence {
    let answers = load.answers();
    let kept = answers.iter().filter(|answer| answer.is_kept());
    let mut evidence = Evidence {
        answered: kept.map(|answer| answer.id.clone()).collect(),
        ..Evidence::default()
    };
    let until = Instant::now() + DELIVERED_WITHIN;
    while Instant::now() < until {
        evidence.delivered = subscriber.taken();
        if evidence.verdict().undelivered.is_empty() {
            break;
        }
        pause();
    }
    for line in servers.replicas[0].tail("acme/load/all", &[]) {
        let id = line["event"]["deliveryId"].as_str();
        let id = id.expect("each has a delivery id");
        *evidence.kept.entry(id.to_owned()).or_default() += 1;
    }
    evidence
}
