//! The process that is killed, the disk that forgets, and what is looked at afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::{Appended, DeliveryLog, LogError, Selection};
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite::{numbered, numbered_events};

/// A test that takes this long has hung.
pub(super) const PATIENCE: Duration = Duration::from_secs(50);

/// Numbers that look random and are the same in each run, but for campaigns: `LOG_FAULTS_SEED=7 cargo test log_faults`.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let campaign = std::env::var("LOG_FAULTS_SEED").map_or(0, |seed| {
            seed.parse::<u64>().expect("LOG_FAULTS_SEED is a number")
        });
        Self(seed ^ campaign.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }
}

/// The child, and what it has said.
pub(super) struct Appender {
    child: Child,
    stdin: ChildStdin,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
    started: Instant,
}

impl Appender {
    pub(super) fn start(
        dir: &Path,
        prefix: &str,
        callers: usize,
        body: usize,
        sync: bool,
        env: &[(&str, &str)],
    ) -> Self {
        Self::start_to(dir, prefix, callers, body, sync, env, &[])
    }

    /// With more that it is to do.
    fn start_to(
        dir: &Path,
        prefix: &str,
        callers: usize,
        body: usize,
        sync: bool,
        env: &[(&str, &str)],
        more: &[&str],
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_log-child"))
            .arg(dir)
            .args([prefix, &callers.to_string(), &body.to_string()])
            .arg(if sync { "sync" } else { "unsynced" })
            .args(more)
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let stdin = child.stdin.take().expect("is piped");
        let lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        Self {
            child,
            stdin,
            lines,
            said: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Reads until a line that starts so has come `count` times more.
    pub(super) fn wait_for(&mut self, start: &str, count: usize) {
        let mut seen = 0;
        while seen < count {
            assert!(self.started.elapsed() < PATIENCE, "{start} in time");
            let line = self.lines.next().unwrap_or_else(|| {
                panic!(
                    "it ended: {:?} after {:?}",
                    self.child.wait(),
                    self.said.last()
                )
            });
            let line = line.expect("reads");
            seen += usize::from(line.starts_with(start));
            self.said.push(line);
        }
    }

    /// Tells the shim something.
    pub(super) fn tell(&mut self, command: &str) {
        writeln!(self.stdin, "{command}").expect("is read");
    }

    /// Everything it said until its end.
    pub(super) fn ended(mut self) -> Vec<String> {
        for line in self.lines.by_ref() {
            self.said.push(line.expect("reads"));
        }
        self.child.wait().expect("ends");
        self.said
    }

    pub(super) fn killed(mut self) -> Vec<String> {
        self.child.kill().expect("runs");
        self.ended()
    }
}

/// The disk that forgets (`tests/shim`), for a child that works in a directory.
pub(super) struct Shim {
    library: tempfile::TempDir,
}

impl Shim {
    pub(super) fn built() -> Self {
        let library = tempfile::tempdir().expect("a directory");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(library.path().join("unsynced.so"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/shim/unsynced.c"))
            .args(["-ldl", "-lpthread"])
            .status()
            .expect("a C compiler (cc) is needed");
        assert!(built.success());
        Self { library }
    }

    pub(super) fn start(
        &self,
        dir: &Path,
        prefix: &str,
        callers: usize,
        body: usize,
        sync: bool,
    ) -> Appender {
        self.start_to(dir, prefix, callers, body, sync, &[])
    }

    /// One that delivers what it keeps.
    pub(super) fn start_to_settle(&self, dir: &Path, prefix: &str, sync: bool) -> Appender {
        self.start_to(dir, prefix, 4, 1_000, sync, &["settle"])
    }

    fn start_to(
        &self,
        dir: &Path,
        prefix: &str,
        callers: usize,
        body: usize,
        sync: bool,
        more: &[&str],
    ) -> Appender {
        let library = self.library.path().join("unsynced.so");
        let env = [
            ("LD_PRELOAD", library.to_str().expect("a plain path")),
            ("UNSYNCED_DIR", dir.to_str().expect("a plain path")),
        ];
        Appender::start_to(dir, prefix, callers, body, sync, &env, more)
    }
}

/// `K a.0.1-17`: of which callbacks it was said that they are kept.
pub(super) fn acknowledged(said: &[String]) -> BTreeSet<(String, usize)> {
    let parse = |line: &String| {
        let (prefix, number) = line.strip_prefix("K ")?.rsplit_once('-')?;
        Some((prefix.to_owned(), number.parse().ok()?))
    };
    said.iter().filter_map(parse).collect()
}

pub(super) fn open(dir: &Path) -> Result<Arc<EmbeddedLog>, LogError> {
    EmbeddedLog::open(dir, Arc::new(TestClock::default()), Options::default())
}

/// What a log holds: the ids of its events, once each and each with its one delivery, callbacks whole or not at all.
pub(super) async fn contents(log: &EmbeddedLog) -> BTreeSet<String> {
    let any = Selection::default();
    let mut ids = BTreeSet::new();
    let mut before = None;
    loop {
        let page = log.events(&any, before, 1000).await.expect("reads");
        let Some((last, _)) = page.last() else { break };
        before = Some(*last);
        for (_, event) in page {
            assert!(ids.insert(event.id.clone()), "{} twice", event.id);
        }
    }
    let mut deliveries = BTreeMap::new();
    let mut before = None;
    loop {
        let page = log.deliveries(&any, before, 1000).await.expect("reads");
        let Some((last, _)) = page.last() else { break };
        before = Some(*last);
        for (_, delivery) in page {
            assert_eq!(
                delivery.idempotency_key,
                format!("key-{}", delivery.event_id)
            );
            *deliveries.entry(delivery.event_id).or_insert(0) += 1;
        }
    }
    assert_eq!(deliveries.len(), ids.len(), "each event has deliveries");
    assert!(
        deliveries.values().all(|count| *count == 1),
        "one delivery each"
    );
    for id in &ids {
        let (callback, _) = id.rsplit_once('-').expect("an item");
        let (_, number) = callback.rsplit_once('-').expect("a number");
        for item in 0..numbered_events(number.parse().expect("a number")) {
            assert!(
                ids.contains(&format!("{callback}-{item}")),
                "{callback} in part"
            );
        }
    }
    ids
}

/// The acknowledged callbacks that aren't in a log.
pub(super) fn lost(acknowledged: &BTreeSet<(String, usize)>, ids: &BTreeSet<String>) -> usize {
    let kept = |(prefix, number): &&(String, usize)| {
        (0..numbered_events(*number)).all(|item| ids.contains(&format!("{prefix}-{number}-{item}")))
    };
    acknowledged.len() - acknowledged.iter().filter(kept).count()
}

/// The provider sends again what each caller sent last, and the next: what is called a duplicate is there, and what isn't is kept.
pub(super) async fn resend(log: &EmbeddedLog, acknowledged: &BTreeSet<(String, usize)>) {
    let mut newest: BTreeMap<&str, usize> = BTreeMap::new();
    for (prefix, number) in acknowledged {
        let last = newest.entry(prefix).or_default();
        *last = (*last).max(*number);
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    for (prefix, last) in newest {
        for number in [last, last + 1] {
            let first = format!("{prefix}-{number}-0");
            let was_kept = log.event(&first).await.is_ok();
            let mut again = numbered(prefix, number, 10);
            // The digest is of the body as it was: the same delivery, under a new event id.
            for event in &mut again.events {
                event.event.id = format!("again-{}", event.event.id);
            }
            let answer = log.append(again, deadline).await.expect("is taken");
            match answer {
                Appended::Duplicate { of } => {
                    assert!(was_kept && of == first, "{of} for {first}");
                }
                Appended::Kept { .. } => {
                    assert!(!was_kept && number != last, "{first} kept twice");
                }
                Appended::Replay { .. } => panic!("{first}"),
            }
        }
    }
}
