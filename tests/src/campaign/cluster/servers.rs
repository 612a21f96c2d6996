//! Everything that can be hurt, and when it is whole.
//!
//! ```text
//!   posters ─▶ 3 listeners ═proxies═▶ 2 replicas ═proxies═▶ 3 etcd members
//!                                         ║═════proxies═══▶ PostgreSQL primary + synchronous standby
//! ```

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::engines::etcd::Etcd;
use crate::engines::postgres::Postgres;
use crate::product::{Backends, Listen, Serve, pause};
use crate::proxy::Proxy;

pub(super) const LISTENERS: usize = 3;
const REPLICAS: usize = 2;
const MEMBERS: usize = 3;
const DATABASE: &str = "campaign";

/// For everything to be whole again after the last blow: a replica's listeners come back within 30 s, the longest wait between attempts, and
/// may look for a second replica that long.
const WHOLE_WITHIN: Duration = Duration::from_secs(90);

/// Of a provider that waits for 5 s, so that the budget is 4 s: a connection that swallows is found out by its pings no sooner than that, and only
/// the next try on another replica is in time.
const GROUP: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: load}
spec:
  connector: shopify
  signatureSecrets: [{value: campaign}]
  registeredEvents: ["*"]
"#;

/// See the module. The fields' order is the one in which they end.
pub(super) struct Servers {
    pub(super) listeners: Vec<Listen>,
    pub(super) replicas: Vec<Serve>,
    pub(super) links: Links,
    /// None: one replica keeps everything.
    pub(super) engines: Option<Engines>,
    token_file: PathBuf,
    /// Changes of the configuration so far.
    changes: usize,
    pub(super) runtime: Runtime,
}

pub(super) struct Engines {
    pub(super) etcd: Etcd,
    pub(super) postgres: Postgres,
}

/// The proxies.
pub(super) struct Links {
    /// By listener and replica.
    pub(super) streams: Vec<Vec<Proxy>>,
    /// By replica and member.
    pub(super) etcd: Vec<Vec<Proxy>>,
    /// By replica and node.
    pub(super) postgres: Vec<Vec<Proxy>>,
}

impl Servers {
    /// Starts all of them, with a group `acme/load` and a webhook that takes everything.
    pub(super) fn start(folder: &Path, is_cluster: bool) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let to_all = |servers: &[String]| -> Vec<Proxy> {
            let proxy = |server: &String| runtime.block_on(Proxy::start(server));
            let proxies = servers.iter().map(proxy);
            proxies.map(|one| one.expect("a free port")).collect()
        };
        let engines = is_cluster.then(Engines::start);
        let (mut etcd_links, mut postgres_links) = (Vec::new(), Vec::new());
        let replicas = match &engines {
            None => vec![Serve::start(folder, &[])],
            Some(engines) => (0..REPLICAS)
                .map(|_| {
                    let etcd = to_all(&engines.etcd.endpoints());
                    let postgres = to_all(&engines.postgres.endpoints());
                    let serve = Serve::start_at(folder, &backends(&etcd, &postgres), &[]);
                    etcd_links.push(etcd);
                    postgres_links.push(postgres);
                    serve
                })
                .collect(),
        };
        let apis: Vec<_> = replicas
            .iter()
            .map(|one| one.api_url().to_owned())
            .collect();
        let streams: Vec<_> = (0..LISTENERS).map(|_| to_all(&apis)).collect();
        let listeners = streams
            .iter()
            .enumerate()
            .map(|(number, links)| {
                let urls: Vec<_> = links.iter().map(Proxy::url).collect();
                Listen::start_through(&replicas[0], &urls, &format!("listener-{number}"))
            })
            .collect();
        let mut servers = Self {
            listeners,
            replicas,
            links: Links {
                streams,
                etcd: etcd_links,
                postgres: postgres_links,
            },
            engines,
            token_file: folder.join("admin.token"),
            changes: 0,
            runtime,
        };
        servers.replicas[0].apply(GROUP);
        servers.wait_until_whole(|_| {});
        servers
    }

    /// The callback URL at each listener.
    pub(super) fn urls(&self) -> Vec<String> {
        let url = self.replicas[0].callback_url("acme/load");
        self.listeners.iter().map(|one| one.url(&url)).collect()
    }

    /// Where each replica's API is.
    pub(super) fn apis(&self) -> Vec<String> {
        let replicas = self.replicas.iter();
        replicas.map(|one| one.api_url().to_owned()).collect()
    }

    /// It administers everything.
    pub(super) fn token(&self) -> String {
        let token = std::fs::read_to_string(&self.token_file);
        token.expect("serve made it").trim().to_owned()
    }

    /// Until every process is up and ready, the standby follows, each listener has streams to each replica, and a change of the configuration,
    /// made at the replicas in turn, is what each listener runs. Says which listeners are ready.
    pub(super) fn wait_until_whole(&mut self, ready: impl Fn(usize)) {
        let until = Instant::now() + WHOLE_WITHIN;
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            listener.wait_until_ready();
            ready(number);
        }
        for replica in &mut self.replicas {
            replica.wait_until_ready();
        }
        if let Some(Engines { etcd, postgres }) = &self.engines {
            for member in 0..MEMBERS {
                etcd.wait_until_healthy(member);
            }
            wait(until, "the standby follows", || postgres.is_in_step());
        }
        // One for the configuration, and one to each replica for reports.
        let streams = 1 + self.replicas.len();
        for (number, links) in self.links.streams.iter().enumerate() {
            let what = format!("listener {number} has a stream to each replica");
            wait(until, &what, || {
                let open = || links.iter().map(Proxy::open);
                open().all(|open| open > 0) && open().sum::<usize>() >= streams
            });
        }
        self.change(until);
    }

    /// A listener's plan bears the revision of the last push that it needed, so that those who have the change needn't show the same.
    fn change(&mut self, until: Instant) {
        self.changes += 1;
        let replica = &self.replicas[self.changes % self.replicas.len()];
        let file = replica.manifest_file(&format!(
            "apiVersion: hookplane.dev/v1\nkind: Webhook\nmetadata: {{org: acme, group: load, name: all}}\n\
             spec: {{label: Change {}, active: true, events: [\"*\"]}}\n",
            self.changes
        ));
        replica.ok(&["apply", "-f", &file, "--no-wait"]);
        let shown = replica.ok(&["get", "webhooks", "acme/load/all", "-o", "json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        let change = &shown["items"][0]["metadata"]["revision"];
        let change: u64 = match change.as_str() {
            Some(text) => text.parse().ok(),
            None => change.as_u64(),
        }
        .unwrap_or_else(|| panic!("a revision, not {shown}"));
        wait(until, "each listener runs the newest change", || {
            self.listeners
                .iter()
                .all(|one| revision(&one.metrics()) >= change)
        });
    }
}

impl Engines {
    fn start() -> Self {
        let postgres = Postgres::start_pair();
        postgres.database(DATABASE);
        Self {
            etcd: Etcd::start(MEMBERS),
            postgres,
        }
    }
}

fn backends(etcd: &[Proxy], postgres: &[Proxy]) -> Backends {
    let hosts = |links: &[Proxy]| -> Vec<String> {
        links.iter().map(|link| link.address.to_string()).collect()
    };
    Backends {
        store: format!("etcd://{}", hosts(etcd).join(",")),
        log: Postgres::url_at(&hosts(postgres), DATABASE),
    }
}

fn wait(until: Instant, what: &str, condition: impl Fn() -> bool) {
    while !condition() {
        assert!(Instant::now() < until, "not whole again: {what}");
        pause();
    }
}

fn revision(metrics: &str) -> u64 {
    metrics
        .lines()
        .find_map(|line| line.strip_prefix("hookplane_listener_plan_revision "))
        .and_then(|revision| revision.trim().parse().ok())
        .expect("a listener tells its plan's revision")
}
