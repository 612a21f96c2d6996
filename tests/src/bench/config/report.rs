//! The figures, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Options, StoreKind};

const MIB: f64 = 1024.0 * 1024.0;

/// What a run has measured.
#[derive(Debug)]
pub struct Report {
    options: Options,
    pub(super) lists: Vec<Lists>,
    pub(super) rows: Vec<Row>,
}

/// First full lists.
#[derive(Debug)]
pub(super) struct Lists {
    pub(super) store: StoreKind,
    pub(super) groups: usize,
    /// From the replica's start to its first answer.
    pub(super) replica_ready: Duration,
    pub(super) replica_cpu: Duration,
    pub(super) replica_resident: u64,
    /// While two lists were taken.
    pub(super) replica_peak: u64,
    pub(super) taken: Duration,
    pub(super) bytes: u64,
    pub(super) resources: usize,
    /// From a real listener's start until the control plane knows that it runs everything.
    pub(super) listener_ready: Duration,
    pub(super) listener_cpu: Duration,
    /// More than before it had a plan.
    pub(super) listener_resident: u64,
    pub(super) listener_peak: u64,
}

/// Edits and streams.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) store: StoreKind,
    pub(super) groups: usize,
    pub(super) streams: usize,
    /// From the call to the last ack.
    pub(super) ours: Spread,
    /// From the call to its answer.
    pub(super) answered: Spread,
    /// etcd watched directly.
    pub(super) theirs: Spread,
    /// Of a change on each connection, HTTP/2's own among them.
    pub(super) bytes: u64,
    pub(super) their_bytes: u64,
    /// Of the replica for each change on each stream, in seconds; its own work for the edit is in it.
    pub(super) cpu: f64,
    /// Of the replica for each stream.
    pub(super) resident: u64,
    /// Cores of the replica while nothing changes.
    pub(super) idle: f64,
    /// From the restart until all have resumed.
    pub(super) resumed: Duration,
    /// Until the control plane knows that, too.
    pub(super) known: Duration,
}

/// Times of many edits.
#[derive(Debug, Default)]
pub(super) struct Spread(Vec<Duration>);

impl Spread {
    pub(super) fn add(&mut self, time: Duration) {
        let place = self.0.partition_point(|before| *before <= time);
        self.0.insert(place, time);
    }

    /// Milliseconds.
    fn at(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        // A share is between 0 and 1, so this is an index.
        let place = (last as f64 * share).round() as usize;
        self.0.get(place).map_or(0.0, |t| t.as_secs_f64() * 1e3)
    }

    fn json(&self) -> Value {
        json!({"p50": self.at(0.5), "p99": self.at(0.99), "max": self.at(1.0)})
    }
}

impl Lists {
    pub(super) fn json(&self) -> Value {
        json!({
            "store": self.store.name(),
            "groups": self.groups,
            "replicaReadySeconds": self.replica_ready.as_secs_f64(),
            "replicaCpuSeconds": self.replica_cpu.as_secs_f64(),
            "replicaResidentBytes": self.replica_resident,
            "replicaPeakBytes": self.replica_peak,
            "takenSeconds": self.taken.as_secs_f64(),
            "listBytes": self.bytes,
            "resources": self.resources,
            "listenerReadySeconds": self.listener_ready.as_secs_f64(),
            "listenerCpuSeconds": self.listener_cpu.as_secs_f64(),
            "listenerResidentBytes": self.listener_resident,
            "listenerPeakBytes": self.listener_peak,
        })
    }
}

impl Row {
    pub(super) fn json(&self) -> Value {
        json!({
            "store": self.store.name(),
            "groups": self.groups,
            "streams": self.streams,
            "appliedMillis": self.ours.json(),
            "answeredMillis": self.answered.json(),
            "etcdDirectMillis": self.theirs.json(),
            "bytesPerChangeAndStream": self.bytes,
            "etcdDirectBytes": self.their_bytes,
            "replicaCpuMicrosPerChangeAndStream": self.cpu * 1e6,
            "replicaBytesPerStream": self.resident,
            "replicaIdleCores": self.idle,
            "resumedSeconds": self.resumed.as_secs_f64(),
            "knownSeconds": self.known.as_secs_f64(),
        })
    }
}

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            options: options.clone(),
            lists: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// What was measured, and what it is to stay below.
    fn against_targets(&self) -> Vec<(String, f64, f64)> {
        let mut all = Vec::new();
        for row in &self.rows {
            let case = format!(
                "{}, {} groups, {} streams",
                row.store.name(),
                row.groups,
                row.streams
            );
            if row.groups <= 3_000 && row.streams <= 1_000 {
                all.push((format!("{case}: applied p99, ms"), row.ours.at(0.99), 50.0));
            }
            let resumed = row.resumed.as_secs_f64();
            all.push((
                format!("{case}: all resumed after a restart, s"),
                resumed,
                10.0,
            ));
        }
        let few = self.rows.first();
        for row in &self.rows {
            let Some(few) = few.filter(|few| few.streams == row.streams && few.groups < row.groups)
            else {
                continue;
            };
            let case = format!("{} groups for {}", row.groups, few.groups);
            let ratio = row.ours.at(0.5) / few.ours.at(0.5);
            all.push((format!("{case}: applied p50, times as much"), ratio, 1.5));
        }
        all
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let lists: Vec<Value> = self.lists.iter().map(Lists::json).collect();
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        json!({
            "edits": self.options.edits,
            "lists": lists,
            "rows": rows,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "An edit, ms from the call of the API until the last stream has acked it; beside it etcd watched directly.\n\n\
             {:<8} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>6} {:>6} {:>6} {:>7}",
            "store",
            "groups",
            "streams",
            "p50",
            "p99",
            "max",
            "answer",
            "direct",
            "p99",
            "max",
            "× p50",
            "× p99",
            "bytes",
            "direct",
        )?;
        for r in &self.rows {
            writeln!(
                f,
                "{:<8} {:>7} {:>7} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>6.2} {:>6.2} {:>6} {:>7}",
                r.store.name(),
                r.groups,
                r.streams,
                r.ours.at(0.5),
                r.ours.at(0.99),
                r.ours.at(1.0),
                r.answered.at(0.5),
                r.theirs.at(0.5),
                r.theirs.at(0.99),
                r.theirs.at(1.0),
                r.ours.at(0.5) / r.theirs.at(0.5),
                r.ours.at(0.99) / r.theirs.at(0.99),
                r.bytes,
                r.their_bytes,
            )?;
        }
        writeln!(
            f,
            "\nThe replica: CPU of one change on one stream, memory of a stream, cores while nothing changes; and its restart under all streams.\n\n\
             {:<8} {:>7} {:>7} {:>9} {:>10} {:>9} {:>10} {:>9}",
            "store", "groups", "streams", "µs/change", "KiB/stream", "idle", "resumed s", "known s",
        )?;
        for r in &self.rows {
            writeln!(
                f,
                "{:<8} {:>7} {:>7} {:>9.1} {:>10.1} {:>8.1}% {:>10.2} {:>9.2}",
                r.store.name(),
                r.groups,
                r.streams,
                r.cpu * 1e6,
                r.resident as f64 / 1024.0,
                r.idle * 100.0,
                r.resumed.as_secs_f64(),
                r.known.as_secs_f64(),
            )?;
        }
        writeln!(
            f,
            "\nA first full list.\n\n\
             {:<8} {:>7} {:>9} {:>7} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>9} {:>8}",
            "store",
            "groups",
            "replica s",
            "CPU s",
            "MiB",
            "peak",
            "list MiB",
            "taken s",
            "listener s",
            "CPU s",
            "B/group",
            "peak MiB",
        )?;
        for l in &self.lists {
            writeln!(
                f,
                "{:<8} {:>7} {:>9.2} {:>7.2} {:>8.1} {:>8.1} {:>8.1} {:>8.2} {:>9.2} {:>8.2} {:>9} {:>8.1}",
                l.store.name(),
                l.groups,
                l.replica_ready.as_secs_f64(),
                l.replica_cpu.as_secs_f64(),
                l.replica_resident as f64 / MIB,
                l.replica_peak as f64 / MIB,
                l.bytes as f64 / MIB,
                l.taken.as_secs_f64(),
                l.listener_ready.as_secs_f64(),
                l.listener_cpu.as_secs_f64(),
                l.listener_resident / l.groups as u64,
                l.listener_peak as f64 / MIB,
            )?;
        }
        writeln!(f, "\nTargets, on a quiet machine.\n")?;
        for (what, value, most) in self.against_targets() {
            let met = if value < most { "met" } else { "missed" };
            writeln!(f, "{what:<72} {value:>9.1} of {most:>7.1}  {met}")?;
        }
        writeln!(
            f,
            "\n{} edits in each case, each encoded once; no full list at a restart. Without TLS.",
            self.options.edits
        )
    }
}
