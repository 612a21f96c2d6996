//! What a callback costs: the listener and the control plane under load, against hyper with nothing but the HMAC.
//!
//! ```text
//!  core A                     core B
//!  load ── callbacks ──▶ hyper │ hyper + HMAC │ listener ─▶ control plane
//!    └──── CPU clocks of those processes, before and after each window
//! ```
//!
//! Each window is short; the cases take turns, round by round, so that what else the machine does falls on all of them alike. What counts
//! is the ratio to hyper with the HMAC in the same round, and of the rounds the median. Every answer is checked, and at the end the control
//! plane must have as many events as were answered as kept: a run with one wrong answer fails.

mod callbacks;
pub mod config;
mod cores;
pub mod deliver;
mod load;
mod servers;
mod setup;
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use callbacks::Callback;
use cores::{Cores, CpuClock};
use load::{Counters, Target, Window};
use servers::{Kind, Server};
use setup::Api;

pub use servers::serve;
pub use table::Report;

/// Whatever ends a run early.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// For the listener to serve what was configured.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// How a run goes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of one window.
    pub length: Duration,
    /// Windows of each case.
    pub rounds: usize,
    /// Sizes of bodies. The open loop and cold connections take the one that is next to 7 KiB.
    pub bytes: Vec<usize>,
    /// Of a closed loop.
    pub connections: u64,
    /// Of the open loop, callbacks a second.
    pub rate: u32,
    /// Which loads.
    pub loads: Vec<Load>,
    /// Which cases, beside the yardstick.
    pub cases: Vec<Case>,
}

impl Options {
    /// Within what a machine can do: the run ends, and the load itself stays small beside the servers.
    pub fn check(&self) -> Result<(), Failure> {
        let within =
            |what: &str, value: f64, least: f64, most: f64| match (least..=most).contains(&value) {
                true => Ok(()),
                false => Err(Failure::from(format!(
                    "{what} is {value}; it is from {least} to {most}"
                ))),
            };
        within("--seconds", self.length.as_secs_f64(), 0.01, 60.0)?;
        within("--rounds", self.rounds as f64, 1.0, 100.0)?;
        within("--connections", self.connections as f64, 1.0, 4096.0)?;
        within("--rate", f64::from(self.rate), 1.0, 100_000.0)?;
        for bytes in &self.bytes {
            within("--bytes", *bytes as f64, 0.0, 1_000_000.0)?;
        }
        Ok(())
    }
}

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Each connection as fast as it is answered.
    Closed,
    /// At a steady rate.
    Open,
    /// A connection for each callback, as fast as they are answered.
    Cold,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// hyper that reads the body.
    Hyper,
    /// hyper that verifies: the yardstick.
    HyperHmac,
    /// A wrong signature.
    Refused,
    /// An event that isn't registered.
    Unregistered,
    /// A filter over the payload that is false.
    Filtered,
    /// Durable before it is answered.
    Kept,
}

impl Case {
    /// In the order they are measured.
    pub const ALL: [Self; 6] = [
        Self::HyperHmac,
        Self::Hyper,
        Self::Refused,
        Self::Unregistered,
        Self::Filtered,
        Self::Kept,
    ];

    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hyper => "hyper",
            Self::HyperHmac => "hyper+hmac",
            Self::Refused => "refused",
            Self::Unregistered => "unregistered",
            Self::Filtered => "filtered",
            Self::Kept => "kept",
        }
    }

    fn place(self) -> usize {
        Self::ALL
            .iter()
            .position(|one| *one == self)
            .unwrap_or_default()
    }
}

impl Load {
    /// In the order they are measured.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::Cold];

    /// As it is printed, and as it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Cold => "cold",
        }
    }
}

/// The servers, and what leads to them.
struct Bench {
    options: Options,
    hyper: Server,
    hyper_hmac: Server,
    control_plane: Server,
    listener: Server,
    kept_path: String,
    filtered_path: String,
    /// Beside [`Case::ALL`].
    counters: Vec<Arc<Counters>>,
}

/// Runs it all.
pub fn run(options: Options) -> Result<Report, Failure> {
    let cores = Cores::choose()?;
    let folder = tempfile::tempdir()?;
    cores::pin(cores.load)?;
    let hyper = Server::start(Kind::Hyper, cores)?;
    let hyper_hmac = Server::start(Kind::HyperHmac, cores)?;
    let control_plane = Server::start(Kind::ControlPlane(folder.path(), None), cores)?;
    let listener = Server::start(
        Kind::Listener(&format!("http://{}", control_plane.address)),
        cores,
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let api = Api::connect(control_plane.address).await?;
        api.configure().await?;
        let bench = Bench {
            kept_path: api.path("kept").await?,
            filtered_path: api.path("filtered").await?,
            options,
            hyper,
            hyper_hmac,
            control_plane,
            listener,
            counters: Case::ALL.iter().map(|_| Arc::default()).collect(),
        };
        bench.wait_until_ready().await?;
        let mut report = Report::new(&bench.options, cores.are_shared());
        bench.measure(&mut report).await?;
        let answered = bench.counters[Case::Kept.place()].answered();
        let found = api.kept("kept").await?;
        if answered != found {
            return Err(format!(
                "{answered} callbacks were answered as kept, the control plane has {found}"
            )
            .into());
        }
        report.kept = found;
        Ok(report)
    })
}

impl Bench {
    fn target(&self, case: Case, bytes: usize) -> Target {
        let callback = |path: &str, event: &str, forged| Callback::new(path, event, bytes, forged);
        let (server, callback, status, line) = match case {
            Case::Hyper => (&self.hyper, callback("/", "pull_request", false), 200, ""),
            Case::HyperHmac => (
                &self.hyper_hmac,
                callback("/", "pull_request", false),
                200,
                "",
            ),
            Case::Refused => (
                &self.listener,
                callback(&self.kept_path, "pull_request", true),
                401,
                "",
            ),
            Case::Unregistered => (
                &self.listener,
                callback(&self.kept_path, "issues", false),
                200,
                "\r\nhookplane-receipt: not-kept\r\n",
            ),
            Case::Filtered => (
                &self.listener,
                callback(&self.filtered_path, "pull_request", false),
                200,
                "\r\nhookplane-receipt: not-kept\r\n",
            ),
            Case::Kept => (
                &self.listener,
                callback(&self.kept_path, "pull_request", false),
                200,
                "\r\nhookplane-receipt: synced\r\n",
            ),
        };
        Target {
            address: server.address,
            callback,
            status,
            line,
        }
    }

    /// The listener's clock and the control plane's, or the bare server's alone.
    fn clocks(&self, case: Case) -> Vec<CpuClock> {
        match case {
            Case::Hyper => vec![self.hyper.cpu],
            Case::HyperHmac => vec![self.hyper_hmac.cpu],
            _ => vec![self.listener.cpu, self.control_plane.cpu],
        }
    }

    /// Until each case is answered as it must be.
    async fn wait_until_ready(&self) -> Result<(), Failure> {
        let start = Instant::now();
        for case in Case::ALL {
            let target = self.target(case, 0);
            while let Err(error) = load::probe(&target, &self.counters[case.place()]).await {
                if start.elapsed() > READY_TIMEOUT {
                    return Err(format!("{}: not ready: {error}", case.name()).into());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    async fn measure(&self, report: &mut Report) -> Result<(), Failure> {
        let middle = self
            .options
            .bytes
            .iter()
            .copied()
            .min_by_key(|bytes| bytes.abs_diff(7 * 1024));
        for _ in 0..self.options.rounds {
            for load in &self.options.loads {
                let sizes = match load {
                    Load::Closed => self.options.bytes.clone(),
                    Load::Open | Load::Cold => middle.into_iter().collect(),
                };
                for bytes in sizes {
                    for case in Case::ALL {
                        if case != Case::HyperHmac && !self.options.cases.contains(&case) {
                            continue;
                        }
                        let window = self.window(*load, case, bytes).await.map_err(|error| {
                            format!("{} {} {bytes}: {error}", load.name(), case.name())
                        })?;
                        report.add(*load, case, bytes, window);
                    }
                }
            }
        }
        Ok(())
    }

    async fn window(&self, load: Load, case: Case, bytes: usize) -> Result<Window, Failure> {
        let Options {
            length,
            connections,
            rate,
            ..
        } = self.options;
        let target = self.target(case, bytes);
        let (clocks, counters) = (self.clocks(case), &self.counters[case.place()]);
        match load {
            Load::Closed => {
                load::closed(&target, connections, false, length, &clocks, counters).await
            }
            Load::Cold => load::closed(&target, connections, true, length, &clocks, counters).await,
            Load::Open => load::open(&target, connections, rate, length, &clocks, counters).await,
        }
    }
}
