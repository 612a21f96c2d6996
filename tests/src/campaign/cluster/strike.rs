//! One blow, and the mending that belongs to it: what an operator, or a tool of theirs, does.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::fault::{Blow, Fault, Target};
use super::load::Load;
use super::servers::{Engines, LISTENERS, Servers};
use crate::campaign::random::Random;
use crate::product::{eventually, pause};
use crate::proxy::Proxy;

/// Until a load balancer has found out that a listener says nothing.
const UNHEALTHY_AFTER: Duration = Duration::from_secs(1);

/// How long things last, in milliseconds.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Steady load before a blow.
    pub calm: Range<u64>,
    /// From a kill to the new start, and from a cut to new connections.
    pub down: Range<u64>,
    /// A freeze of what no request has a second way around.
    pub frozen: Range<u64>,
    /// Silence on the way to a replica. Above a request's budget, 4 s here, it has to be noticed.
    pub silent: Range<u64>,
}

impl Pace {
    /// From what goes by unnoticed to beyond what pings and the provider's patience allow.
    pub const LONG: Self = Self {
        calm: 200..800,
        down: 200..6_000,
        frozen: 1_000..14_000,
        silent: 1_000..14_000,
    };
    /// For the test suite.
    pub const SHORT: Self = Self {
        calm: 100..300,
        down: 200..500,
        frozen: 800..1_200,
        silent: 4_200..4_500,
    };
}

/// Strikes, waits, mends. Not everything is whole yet when this returns. Says whom it was.
pub(super) fn strike(
    servers: &mut Servers,
    load: &Load,
    fault: Fault,
    pace: &Pace,
    random: &mut Random,
) -> String {
    let down = Duration::from_millis(random.within(&pace.down));
    let silent = match fault.target {
        Target::Replica | Target::Streams | Target::PostgresLink => &pace.silent,
        _ => &pace.frozen,
    };
    let silent = Duration::from_millis(random.within(silent));
    let time = match fault.blow {
        Blow::Kill | Blow::Cut => down,
        Blow::Freeze | Blow::Swallow => silent,
    };
    let number = random.index(servers.replicas.len());
    let whom = match fault.target {
        Target::Listener => listener(servers, load, fault.blow, time, random.index(LISTENERS)),
        Target::Replica => replica(servers, fault.blow, time, number),
        Target::Streams => streams(servers, fault.blow, time, random.index(LISTENERS), number),
        Target::EtcdLink => {
            let links = &servers.links.etcd[number];
            let which = some_links(links, fault.blow, time, random);
            format!("replica {number} to {which}")
        }
        Target::PostgresLink => {
            let links = &servers.links.postgres[number];
            let which = some_links(links, fault.blow, time, random);
            format!("replica {number} to {which}")
        }
        Target::EtcdLeader => member(engines(servers), fault.blow, time, 0),
        Target::EtcdFollower => member(engines(servers), fault.blow, time, 1 + random.index(2)),
        Target::Primary => primary(engines(servers), fault.blow, time),
        Target::Standby => standby(engines(servers), fault.blow, time),
    };
    format!("{} ({whom}) for {} ms", fault.name(), time.as_millis())
}

fn listener(
    servers: &mut Servers,
    load: &Load,
    blow: Blow,
    time: Duration,
    number: usize,
) -> String {
    let listener = &mut servers.listeners[number];
    match blow {
        Blow::Kill => {
            listener.kill();
            load.rotate(number, false);
            pass(time);
            listener.restart();
        }
        _ => {
            listener.signal("STOP");
            pass(UNHEALTHY_AFTER.min(time));
            load.rotate(number, false);
            pass(time.saturating_sub(UNHEALTHY_AFTER));
            listener.signal("CONT");
        }
    }
    format!("listener {number}")
}

fn replica(servers: &mut Servers, blow: Blow, time: Duration, number: usize) -> String {
    let process = servers.replicas[number].process();
    match blow {
        Blow::Kill => {
            process.kill();
            pass(time);
            process.restart();
        }
        Blow::Freeze => {
            process.signal("STOP");
            pass(time);
            process.signal("CONT");
        }
        Blow::Cut | Blow::Swallow => {
            let streams = servers.links.streams.iter();
            links(streams.map(|links| &links[number]), blow, time);
        }
    }
    format!("replica {number}")
}

fn engines(servers: &mut Servers) -> &mut Engines {
    let engines = servers.engines.as_mut();
    engines.expect("only a cluster is asked for this fault")
}

/// The one that is so many after the leader.
fn member(engines: &mut Engines, blow: Blow, time: Duration, after: usize) -> String {
    let etcd = &mut engines.etcd;
    let leader = eventually("etcd has a leader", || etcd.leader());
    let member = (leader + after) % 3;
    if blow == Blow::Kill {
        etcd.kill(member);
        pass(time);
        etcd.restart(member);
    } else {
        etcd.freeze(member);
        pass(time);
        etcd.thaw(member);
    }
    format!("member {member}")
}

/// What is frozen is fenced before another one is promoted: two primaries would both say "kept".
fn primary(engines: &mut Engines, blow: Blow, time: Duration) -> String {
    let postgres = &mut engines.postgres;
    let node = postgres.primary();
    if blow == Blow::Kill {
        postgres.kill(node);
        pass(time);
    } else {
        postgres.freeze(node);
        pass(time);
        postgres.kill(node);
    }
    postgres.promote();
    postgres.rejoin();
    format!("node {node}")
}

fn standby(engines: &mut Engines, blow: Blow, time: Duration) -> String {
    let postgres = &mut engines.postgres;
    let node = postgres.standby();
    if blow == Blow::Kill {
        postgres.kill(node);
        pass(time);
        postgres.restart(node);
    } else {
        postgres.freeze(node);
        pass(time);
        postgres.thaw(node);
    }
    format!("node {node}")
}

fn streams(
    servers: &Servers,
    blow: Blow,
    time: Duration,
    listener: usize,
    replica: usize,
) -> String {
    let links = &servers.links.streams[listener];
    if blow == Blow::Cut {
        links.iter().for_each(Proxy::cut_open);
        format!("listener {listener}")
    } else {
        links[replica].freeze_open();
        pass(time);
        links[replica].thaw();
        format!("listener {listener} to replica {replica}")
    }
}

/// All that a replica has, or one of them: it then finds another member; or the other node, which takes no writes.
fn some_links(all: &[Proxy], blow: Blow, time: Duration, random: &mut Random) -> String {
    let one = random.index(all.len());
    if random.below(2) == 0 {
        links(all.iter(), blow, time);
        format!("all {}", all.len())
    } else {
        links(all[one..].iter().take(1), blow, time);
        format!("number {one}")
    }
}

fn links<'a>(links: impl Iterator<Item = &'a Proxy> + Clone, blow: Blow, time: Duration) {
    if blow == Blow::Cut {
        links.clone().for_each(Proxy::cut);
        pass(time);
        links.for_each(Proxy::mend);
    } else {
        links.clone().for_each(Proxy::freeze);
        pass(time);
        links.for_each(Proxy::thaw);
    }
}

fn pass(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        pause();
    }
}
