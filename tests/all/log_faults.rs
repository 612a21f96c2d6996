//! The embedded log under kills, lost writes, failing syncs, a full disk, and damage.
//!
//! A child process (`tests/src/bin/log-child.rs`) appends and says what was acknowledged; the tests kill it and look at what it left.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::{Appended, DeliveryLog, LogError, Selection};
use hookplane_tests::log_suite::{TestClock, numbered, numbered_events};

/// A test that takes this long has hung.
const PATIENCE: Duration = Duration::from_secs(50);

/// Numbers that look random and are the same in each run, but for campaigns: `LOG_FAULTS_SEED=7 cargo test log_faults`.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        let campaign = std::env::var("LOG_FAULTS_SEED").map_or(0, |seed| {
            seed.parse::<u64>().expect("LOG_FAULTS_SEED is a number")
        });
        Self(seed ^ campaign.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }
}

/// The child, and what it has said.
struct Appender {
    child: Child,
    stdin: ChildStdin,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
    started: Instant,
}

impl Appender {
    fn start(
        dir: &Path,
        prefix: &str,
        callers: usize,
        body: usize,
        sync: bool,
        env: &[(&str, &str)],
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_log-child"))
            .arg(dir)
            .args([prefix, &callers.to_string(), &body.to_string()])
            .arg(if sync { "sync" } else { "unsynced" })
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
    fn wait_for(&mut self, start: &str, count: usize) {
        let mut seen = 0;
        while seen < count {
            assert!(self.started.elapsed() < PATIENCE, "{start} in time");
            let line = self.lines.next().expect("still runs").expect("reads");
            seen += usize::from(line.starts_with(start));
            self.said.push(line);
        }
    }

    /// Tells the shim something.
    fn tell(&mut self, command: &str) {
        writeln!(self.stdin, "{command}").expect("is read");
    }

    /// Everything it said until its end.
    fn ended(mut self) -> Vec<String> {
        for line in self.lines.by_ref() {
            self.said.push(line.expect("reads"));
        }
        self.child.wait().expect("ends");
        self.said
    }

    fn killed(mut self) -> Vec<String> {
        self.child.kill().expect("runs");
        self.ended()
    }
}

/// The disk that forgets (`tests/shim`), for a child that works in a directory.
struct Shim {
    library: tempfile::TempDir,
}

impl Shim {
    fn built() -> Self {
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

    fn start(&self, dir: &Path, prefix: &str, callers: usize, body: usize, sync: bool) -> Appender {
        let library = self.library.path().join("unsynced.so");
        let env = [
            ("LD_PRELOAD", library.to_str().expect("a plain path")),
            ("UNSYNCED_DIR", dir.to_str().expect("a plain path")),
        ];
        Appender::start(dir, prefix, callers, body, sync, &env)
    }
}

/// `K a.0.1-17`: of which callbacks it was said that they are kept.
fn acknowledged(said: &[String]) -> BTreeSet<(String, usize)> {
    let parse = |line: &String| {
        let (prefix, number) = line.strip_prefix("K ")?.rsplit_once('-')?;
        Some((prefix.to_owned(), number.parse().ok()?))
    };
    said.iter().filter_map(parse).collect()
}

fn open(dir: &Path) -> Result<Arc<EmbeddedLog>, LogError> {
    EmbeddedLog::open(dir, Arc::new(TestClock::default()), Options::default())
}

/// What a log holds: the ids of its events, once each and each with its one delivery, callbacks whole or not at all.
async fn contents(log: &EmbeddedLog) -> BTreeSet<String> {
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
fn lost(acknowledged: &BTreeSet<(String, usize)>, ids: &BTreeSet<String>) -> usize {
    let kept = |(prefix, number): &&(String, usize)| {
        (0..numbered_events(*number)).all(|item| ids.contains(&format!("{prefix}-{number}-{item}")))
    };
    acknowledged.len() - acknowledged.iter().filter(kept).count()
}

/// The provider sends again what each caller sent last, and the next: what is called a duplicate is there, and what isn't is kept.
async fn resend(log: &EmbeddedLog, acknowledged: &BTreeSet<(String, usize)>) {
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

// Risks 1 and 6: what is acknowledged survives a kill, once; what is called known is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_appender_loses_nothing_it_acknowledged() {
    let mut dice = Dice::new(0x6b69_6c6c);
    for series in 0..4 {
        let dir = tempfile::tempdir().expect("a directory");
        let mut all = BTreeSet::new();
        for round in 0..6 {
            let body = [10, 1_000, 30_000][dice.below(3) as usize];
            let prefix = format!("{series}.{round}");
            let mut child = Appender::start(dir.path(), &prefix, 12, body, true, &[]);
            match round {
                1 => {} // While it opens what the last one left.
                _ => child.wait_for("K ", 1 + dice.below(300) as usize),
            }
            all.append(&mut acknowledged(&child.killed()));
            if round % 2 == 0 {
                continue; // The next one finds what this one left.
            }
            let left = std::fs::read(dir.path().join("events.db-wal")).map_or(0, |wal| wal.len());
            let log = open(dir.path()).unwrap_or_else(|error| {
                panic!("{prefix}, {left} bytes of write-ahead log: {error}")
            });
            assert_eq!(lost(&all, &contents(&log).await), 0, "{prefix}");
            if round == 5 {
                resend(&log, &all).await;
            }
            log.close().await;
        }
    }
}

/// What a killed log of `count` events leaves, and how long its write-ahead log was after each.
async fn left_behind(dir: &Path, count: usize, body: usize) -> (Vec<u8>, Vec<usize>) {
    let live = tempfile::tempdir().expect("a directory");
    let log = open(live.path()).expect("opens");
    let wal = live.path().join("events.db-wal");
    let mut lengths = Vec::new();
    for number in 0..count {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let answer = log.append(numbered("a", number, body), deadline).await;
        assert!(matches!(answer, Ok(Appended::Kept { .. })));
        lengths.push(std::fs::metadata(&wal).expect("is there").len() as usize);
    }
    for name in ["events.db", "events.db-wal", "events.lock"] {
        std::fs::copy(live.path().join(name), dir.join(name)).expect("copies");
    }
    log.close().await;
    (
        std::fs::read(dir.join("events.db-wal")).expect("reads"),
        lengths,
    )
}

/// Opens a copy of what was left with another write-ahead log. How many of the callbacks are there, from the first on.
async fn reopened(left: &Path, wal: &[u8]) -> Result<usize, LogError> {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["events.db", "events.lock"] {
        std::fs::copy(left.join(name), dir.path().join(name)).expect("copies");
    }
    std::fs::write(dir.path().join("events.db-wal"), wal).expect("writes");
    let log = open(dir.path())?;
    let ids = contents(&log).await;
    log.close().await;
    let count = (0..)
        .take_while(|number| ids.contains(&format!("a-{number}-0")))
        .count();
    let events: usize = (0..count).map(numbered_events).sum();
    assert_eq!(events, ids.len(), "no gap");
    Ok(count)
}

// Risk 4: a torn tail costs nothing that is whole before it, and is not called damage.
#[tokio::test]
async fn truncated_write_ahead_log_keeps_all_that_is_whole() {
    let left = tempfile::tempdir().expect("a directory");
    let (wal, lengths) = left_behind(left.path(), 12, 2_000).await;
    let mut dice = Dice::new(0x7465_6172);
    let mut cuts: Vec<usize> = lengths
        .iter()
        .flat_map(|end| [end - 1, *end, end + 1])
        .collect();
    cuts.extend([0, 1, 31, 32, 33, 55, 56]);
    cuts.extend((0..150).map(|_| dice.below(wal.len() as u64) as usize));
    for cut in cuts {
        let mut torn = wal[..cut.min(wal.len())].to_vec();
        let whole = lengths.iter().filter(|end| **end <= torn.len()).count();
        let found = reopened(left.path(), &torn).await;
        // The tables are in there too: without them it is said that something was lost.
        let no_tables = whole == 0 && matches!(found, Err(LogError::Damaged(_)));
        assert!(no_tables || found == Ok(whole), "cut at {cut}: {found:?}");
        // The file had been made longer, and what was written there never came.
        torn.resize(wal.len(), 0);
        let found = reopened(left.path(), &torn).await;
        let no_tables = whole == 0 && matches!(found, Err(LogError::Damaged(_)));
        assert!(
            no_tables || matches!(found, Ok(found) if found >= whole),
            "zeros from {cut}: {found:?}"
        );
    }
}

// Risk 4: damage before something sound is said, never taken for the end.
#[tokio::test]
async fn flipped_byte_in_the_write_ahead_log_is_damage() {
    let left = tempfile::tempdir().expect("a directory");
    let (wal, lengths) = left_behind(left.path(), 12, 2_000).await;
    let mut dice = Dice::new(0x666c_6970);
    // Every byte of the header and of some frames' headers, and some of the pages.
    let mut places: Vec<usize> = (0..32 + 24).collect();
    for end in &lengths[..11] {
        places.extend(end - 4120..end - 4120 + 24);
    }
    places.extend((0..150).map(|_| dice.below(wal.len() as u64) as usize));
    for place in places {
        let mut flipped = wal.clone();
        flipped[place] ^= 1 << dice.below(8);
        // Of the last two, a flip can make what a torn tail would look like.
        let before = lengths.iter().filter(|end| **end <= place).count();
        match reopened(left.path(), &flipped).await {
            Err(LogError::Damaged(_)) => assert!(before < 11, "{place} may be a torn tail"),
            Ok(found) => assert!(before >= 10 && found >= before, "{place}: {found} are left"),
            Err(error) => panic!("{place}: {error}"),
        }
    }
}

// Risk 4: as above, with whole sectors gone.
#[tokio::test]
async fn lost_sector_in_the_write_ahead_log_is_damage() {
    let left = tempfile::tempdir().expect("a directory");
    let (wal, lengths) = left_behind(left.path(), 12, 2_000).await;
    for sector in 0..wal.len() / 512 {
        if sector % 3 != 0 {
            continue;
        }
        let mut lost = wal.clone();
        lost[sector * 512..(sector + 1) * 512].fill(0);
        if lost == wal {
            continue;
        }
        let before = lengths.iter().filter(|end| **end <= sector * 512).count();
        match reopened(left.path(), &lost).await {
            Err(LogError::Damaged(_)) => assert!(before < 11, "sector {sector}"),
            Ok(found) => assert!(before >= 10 && found >= before, "sector {sector}: {found}"),
            Err(error) => panic!("sector {sector}: {error}"),
        }
    }
}

// Risk 2: nothing is acknowledged before it is synced; the machine loses power at any moment and keeps any part of what wasn't.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_unsynced_writes_lose_nothing_acknowledged() {
    let shim = Shim::built();
    let mut dice = Dice::new(0x706f_7765);
    for series in 0..4 {
        let dir = tempfile::tempdir().expect("a directory");
        let mut all = BTreeSet::new();
        for round in 0..6 {
            let body = [10, 1_000, 30_000][dice.below(3) as usize];
            let prefix = format!("{series}.{round}");
            let mut child = shim.start(dir.path(), &prefix, 12, body, true);
            child.wait_for("K ", 1 + dice.below(400) as usize);
            // Every other time all that is unsynced goes, else a part of it.
            child.tell(&format!("drop {}", dice.below(1 << 40) * (round % 2)));
            all.append(&mut acknowledged(&child.ended()));
            let log = open(dir.path()).unwrap_or_else(|error| panic!("{prefix}: {error}"));
            assert_eq!(lost(&all, &contents(&log).await), 0, "{prefix}");
            if round == 5 {
                resend(&log, &all).await;
            }
            log.close().await;
        }
    }
}

// Risk 2: the test above would see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_that_does_not_sync_is_seen_to_lose() {
    let shim = Shim::built();
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = shim.start(dir.path(), "synced", 12, 1_000, true);
    child.wait_for("K ", 50);
    child.tell("drop");
    let synced = acknowledged(&child.ended());
    let mut child = shim.start(dir.path(), "unsynced", 12, 1_000, false);
    child.wait_for("K ", 50);
    child.tell("drop");
    let unsynced = acknowledged(&child.ended());
    let log = open(dir.path()).expect("opens");
    let ids = contents(&log).await;
    assert_eq!(lost(&synced, &ids), 0);
    assert_eq!(lost(&unsynced, &ids), unsynced.len());
    log.close().await;
}

// Risk 3: after a sync that failed nothing is acknowledged until the log is opened again, and then all that was is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_sync_ends_acknowledging() {
    let shim = Shim::built();
    let mut dice = Dice::new(0x6569_6f21);
    for round in 0..16 {
        let dir = tempfile::tempdir().expect("a directory");
        // With large bodies the failing sync is a checkpoint's now and then.
        let body = [100, 60_000][round % 2];
        let mut child = shim.start(dir.path(), &format!("{round}"), 8, body, true);
        child.wait_for("K ", 1 + dice.below(150) as usize);
        child.tell(&format!("eio {}", 1 + dice.below(12)));
        child.wait_for("failed", 1);
        // The power goes while the log is opened again, or later.
        let seed = dice.below(1 << 40);
        if round % 4 < 3 {
            child.tell(&format!("die {} {seed}", 1 + dice.below(300)));
        } else {
            child.wait_for("opened", 1);
            child.wait_for("K ", 1 + dice.below(60) as usize);
            child.tell(&format!("drop {seed}"));
        }
        let said = child.ended();
        let probes: Vec<_> = said.iter().filter(|line| line.starts_with("P ")).collect();
        assert!(probes.len() == 50 || round % 4 < 3, "{round}");
        assert!(probes.iter().all(|line| *line == "P refused"), "{round}");
        let log = open(dir.path()).unwrap_or_else(|error| panic!("{round}: {error}"));
        assert_eq!(
            lost(&acknowledged(&said), &contents(&log).await),
            0,
            "{round}"
        );
        log.close().await;
    }
}

// Risk 5: on a full disk the new is refused, nothing is lost, and it goes on once there is space.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_refuses_and_recovers() {
    let shim = Shim::built();
    let mut dice = Dice::new(0x6675_6c6c);
    for round in 0..6 {
        let dir = tempfile::tempdir().expect("a directory");
        let body = [100, 60_000][round % 2];
        let mut child = shim.start(dir.path(), &format!("{round}"), 8, body, true);
        for _ in 0..6 {
            child.wait_for("K ", 1 + dice.below(40) as usize);
            // A little space comes and goes, so that commits stop at any of their writes.
            for _ in 0..10 {
                child.tell(&format!("full {}", dice.below(100_000)));
                child.wait_for("U ", 9);
                // Nothing of a refused batch is left behind what was kept: no part of a frame either.
                let wal = std::fs::metadata(dir.path().join("events.db-wal"));
                let left = wal.expect("is there").len();
                assert!(left == 0 || (left - 32) % 4120 == 0, "{left} bytes");
            }
            child.tell("space");
        }
        child.wait_for("K ", 1 + dice.below(20) as usize);
        if round % 3 == 2 {
            child.tell("full 5000");
            child.wait_for("U ", 9);
        }
        child.tell(&format!("drop {}", dice.below(1 << 40)));
        let said = child.ended();
        assert!(!said.iter().any(|line| line == "failed"), "{round}");
        let log = open(dir.path()).unwrap_or_else(|error| panic!("{round}: {error}"));
        assert_eq!(
            lost(&acknowledged(&said), &contents(&log).await),
            0,
            "{round}"
        );
        log.close().await;
    }
}

// The write-ahead log is bounded by bytes, whatever the size of what is appended; nobody else on the machine may read the files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_keep_the_write_ahead_log_small_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().expect("a directory");
    let dir = parent.path().join("log");
    let log = open(&dir).expect("opens");
    let wal = dir.join("events.db-wal");
    let mut longest = 0;
    for number in 0..40 {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let answer = log.append(numbered("a", number, 1 << 20), deadline).await;
        assert!(matches!(answer, Ok(Appended::Kept { .. })), "{answer:?}");
        longest = longest.max(std::fs::metadata(&wal).expect("is there").len());
    }
    // 8 MiB and the commit that goes past it.
    assert!(longest < 16 << 20, "{longest} bytes");
    for name in [
        "",
        "events.db",
        "events.db-wal",
        "events.db-shm",
        "events.lock",
    ] {
        let mode = std::fs::metadata(dir.join(name))
            .expect("is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
    log.close().await;
}
