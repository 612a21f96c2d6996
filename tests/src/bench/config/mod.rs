//! What a change of configuration costs with many listeners and many groups: real sockets, one replica in a process of its own, the listeners
//! in this one.
//!
//! ```text
//!  API call ─▶ replica ─▶ store ─▶ watch ─▶ N config streams ─▶ N acks          one edit, then
//!  put of the same bytes ─▶ etcd ──────────▶ N watches ─────▶ N seen            one put; the two take turns
//! ```
//!
//! - An edit's time runs from the call of the API, before anything is committed, until the last of all streams has applied it and handed
//!   over its ack. A put's runs from the call to etcd until the last watcher has it.
//! - Streams resume from one full list that a scout took, so that thousands of them cost this process no thousands of lists.
//! - Every stream checks every digest. At the end of each case the control plane has to know all of them at the last revision. A full list
//!   where none may be, or an encoding too many, ends the run.

mod case;
mod fill;
mod listeners;
mod process;
mod report;
mod watchers;
mod wire;

use std::path::Path;
use std::time::Duration;

use crate::bench::Failure;
use crate::bench::servers::{Kind, Server, open_store};
use crate::engines::etcd::Etcd;

use case::{Admin, Case};
pub use report::Report;

/// Of all groups.
const ORG: &str = "bench";
/// The one that the others are copies of.
const GROUP: &str = "code";
/// The one that is edited.
const WEBHOOK: &str = "all";

/// How a run goes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Groups and config streams; those with the fewest groups first.
    pub cases: Vec<(usize, usize)>,
    /// Measured in each case.
    pub edits: usize,
    /// Between one edit's end and the next one's beginning.
    pub pause: Duration,
    /// For which the replica is left alone, to see what it costs idle.
    pub idle: Duration,
    /// Where the configuration is.
    pub stores: Vec<StoreKind>,
}

/// A backend of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// In the replica's own process.
    Embedded,
    /// Three members.
    Etcd,
}

impl StoreKind {
    /// In the order they are measured.
    pub const ALL: [Self; 2] = [Self::Embedded, Self::Etcd];

    /// As it is printed, and as it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Etcd => "etcd",
        }
    }
}

impl Options {
    /// Within what this machine can do.
    pub fn check(&self) -> Result<(), Failure> {
        let within = |what: &str, value: usize, most: usize| {
            if (1..=most).contains(&value) {
                return Ok(());
            }
            Err(format!("{what} is {value}; it is from 1 to {most}"))
        };
        for (groups, streams) in &self.cases {
            within("the number of groups", *groups, 1_000_000)?;
            within("the number of streams", *streams, 10_000)?;
        }
        within("--edits", self.edits, 100_000)?;
        for (what, time) in [("--pause", self.pause), ("--idle", self.idle)] {
            let seconds = time.as_secs_f64();
            if !(0.001..=600.0).contains(&seconds) {
                return Err(format!("{what} is {seconds}; it is from 0.001 to 600").into());
            }
        }
        if !self.cases.is_sorted_by_key(|(groups, _)| groups) {
            return Err(
                "--cases begins with the fewest groups: each size is filled up from the last"
                    .into(),
            );
        }
        Ok(())
    }
}

/// Runs it all. `progress` is told what goes on: it takes minutes.
pub fn run(options: &Options, mut progress: impl FnMut(&str)) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut report = Report::new(options);
    for store in &options.stores {
        let folder = tempfile::tempdir()?;
        // etcd is also what the embedded store's streams are compared with.
        let etcd = Etcd::start(3);
        let url = (*store == StoreKind::Etcd).then(|| etcd.store());
        let url = url.as_deref();
        let mut filled = 0;
        for (groups, streams) in &options.cases {
            let is_new = filled != *groups;
            if is_new {
                progress(&format!("{}: {groups} groups", store.name()));
                runtime.block_on(grow(folder.path(), url, filled, *groups))?;
                filled = *groups;
            }
            let case = Case {
                options,
                folder: folder.path(),
                url,
                etcd: &etcd,
                store: *store,
                groups: *groups,
                streams: *streams,
            };
            if is_new {
                let lists = runtime.block_on(case.lists())?;
                progress(&format!("full lists: {}", lists.json()));
                report.lists.push(lists);
            }
            let row = runtime.block_on(case.edits())?;
            progress(&format!("edits: {}", row.json()));
            report.rows.push(row);
        }
    }
    Ok(report)
}

/// From `filled` groups to so many. The first is made by the API.
async fn grow(
    folder: &Path,
    etcd: Option<&str>,
    filled: usize,
    groups: usize,
) -> Result<(), Failure> {
    if filled == 0 {
        let server = Server::start_here(Kind::ControlPlane(folder, etcd))?;
        Admin::connect(server.address).await?.configure().await?;
    }
    let store = open_store(folder, etcd).await?;
    fill::fill(&*store, &folder.join("seal.key"), filled.max(1)..groups).await
}
