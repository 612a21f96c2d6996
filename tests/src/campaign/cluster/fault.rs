//! What is done to whom, and what a caller may notice of it.

use crate::campaign::random::Random;

/// How it is hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    /// SIGKILL; started again after a while.
    Kill,
    /// SIGSTOP for a while: sockets stay open, and nobody is behind them.
    Freeze,
    /// Connections end, and for a while no new one is taken.
    Cut,
    /// Connections swallow what is sent, for a while, and nobody is told.
    Swallow,
}

/// What is hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// One of the listeners.
    Listener,
    /// One of the control plane's replicas; cut and swallowed, its connections with listeners.
    Replica,
    /// The etcd member that leads.
    EtcdLeader,
    /// One that follows.
    EtcdFollower,
    /// PostgreSQL's primary. The operator promotes the standby, and makes a new one of what is left.
    Primary,
    /// PostgreSQL's standby, which every commit waits for.
    Standby,
    /// What one listener has open: cut, to all replicas, and new ones work at once; swallowed, to one of them.
    Streams,
    /// One replica's connections with etcd.
    EtcdLink,
    /// One replica's connections with PostgreSQL.
    PostgresLink,
}

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// How.
    pub blow: Blow,
    /// Whom.
    pub target: Target,
}

/// Answers that are no failure beside 2xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// 503: try again.
    pub unavailable: bool,
    /// A connection that is refused, ends, or says nothing for longer than a provider waits.
    pub silence: bool,
}

const PROCESSES: [Target; 6] = [
    Target::Listener,
    Target::Replica,
    Target::EtcdLeader,
    Target::EtcdFollower,
    Target::Primary,
    Target::Standby,
];

const LINKS: [Target; 4] = [
    Target::Streams,
    Target::Replica,
    Target::EtcdLink,
    Target::PostgresLink,
];

impl Fault {
    /// Each kind once: of a cluster, or those that need none.
    pub fn all(is_cluster: bool) -> Vec<Self> {
        let mut all = Vec::new();
        for (blow, targets) in [
            (Blow::Kill, PROCESSES.as_slice()),
            (Blow::Freeze, PROCESSES.as_slice()),
            (Blow::Cut, LINKS.as_slice()),
            (Blow::Swallow, LINKS.as_slice()),
        ] {
            all.extend(targets.iter().map(|target| Self {
                blow,
                target: *target,
            }));
        }
        all.retain(|fault| is_cluster || !fault.needs_cluster());
        all
    }

    /// Whether it is done to what only a cluster has.
    pub fn needs_cluster(self) -> bool {
        !matches!(
            self.target,
            Target::Listener | Target::Replica | Target::Streams
        )
    }

    /// As it is typed and printed.
    pub fn name(self) -> String {
        let blow = match self.blow {
            Blow::Kill => "kill",
            Blow::Freeze => "freeze",
            Blow::Cut => "cut",
            Blow::Swallow => "swallow",
        };
        let target = match self.target {
            Target::Listener => "listener",
            Target::Replica => "replica",
            Target::EtcdLeader => "etcd-leader",
            Target::EtcdFollower => "etcd-follower",
            Target::Primary => "primary",
            Target::Standby => "standby",
            Target::Streams => "streams",
            Target::EtcdLink => "etcd-link",
            Target::PostgresLink => "postgres-link",
        };
        format!("{blow}-{target}")
    }

    /// The one of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::all(true)
            .into_iter()
            .find(|fault| fault.name() == name)
    }

    /// What callers may notice. Where another replica can take over, nothing: a request's budget covers the second try.
    pub fn allowed(self, is_cluster: bool) -> Allowed {
        let (unavailable, silence) = match (self.blow, self.target) {
            (Blow::Kill, Target::Listener) => (false, true),
            (_, Target::Listener) => (true, true),
            (_, Target::EtcdLeader | Target::EtcdFollower | Target::Primary | Target::Standby) => {
                (true, false)
            }
            (_, Target::Replica | Target::Streams | Target::EtcdLink | Target::PostgresLink) => {
                (false, false)
            }
        };
        Allowed {
            unavailable: unavailable || !is_cluster,
            silence,
        }
    }
}

/// Faults in an order that the seed decides: all kinds before one comes again.
pub(super) struct Schedule {
    kinds: Vec<Fault>,
    left: Vec<Fault>,
}

impl Schedule {
    pub(super) fn new(kinds: &[Fault]) -> Self {
        Self {
            kinds: kinds.to_vec(),
            left: Vec::new(),
        }
    }

    pub(super) fn next(&mut self, random: &mut Random) -> Fault {
        if self.left.is_empty() {
            self.left.clone_from(&self.kinds);
            random.shuffle(&mut self.left);
        }
        self.left.pop().expect("there is at least one kind")
    }
}
