//! The figures: medians over the rounds, as a table and as JSON.

use std::fmt;
use std::time::Duration;

use serde_json::json;

use super::load::Window;
use super::{Case, Load, Options};

/// What a run has measured.
#[derive(Debug)]
pub struct Report {
    options: Options,
    shared_core: bool,
    rows: Vec<Row>,
    /// Events that were answered as kept, and found in the control plane.
    pub(super) kept: u64,
}

/// One case under one load at one size, all its rounds.
#[derive(Debug)]
struct Row {
    load: Load,
    case: Case,
    bytes: usize,
    windows: Vec<Window>,
}

impl Row {
    fn is(&self, load: Load, case: Case, bytes: usize) -> bool {
        (self.load, self.case, self.bytes) == (load, case, bytes)
    }

    /// Microseconds per request that the process of a clock has used, of each round.
    fn micros(&self, clock: usize) -> Vec<f64> {
        let of = |window: &Window| {
            let used = window.cpu.get(clock).copied().unwrap_or_default();
            used.as_secs_f64() * 1e6 / window.requests.max(1) as f64
        };
        self.windows.iter().map(of).collect()
    }

    fn per_second(&self) -> f64 {
        let rates = self.windows.iter().map(|w| w.requests as f64 / w.seconds);
        median(rates.collect())
    }

    /// The median round's.
    fn latency(&self, share: f64) -> f64 {
        let of = |window: &Window| {
            let last = window.latencies.len().saturating_sub(1);
            // A share is between 0 and 1, so this is an index.
            let place = (last as f64 * share) as usize;
            window
                .latencies
                .get(place)
                .map_or(0.0, Duration::as_secs_f64)
                * 1e6
        };
        median(self.windows.iter().map(of).collect())
    }

    fn requests(&self) -> u64 {
        self.windows.iter().map(|window| window.requests).sum()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => 0.0,
        (count, half) if count % 2 == 0 => f64::midpoint(values[half - 1], values[half]),
        (_, half) => values[half],
    }
}

/// A ratio in the table.
fn shown(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"))
}

/// The figures of one row.
struct Figures {
    server: f64,
    control_plane: f64,
    /// To the yardstick.
    server_ratio: Option<f64>,
    control_plane_ratio: Option<f64>,
    /// To hyper alone, which is what a cold connection is measured by.
    hyper_ratio: Option<f64>,
}

impl Report {
    pub(super) fn new(options: &Options, shared_core: bool) -> Self {
        Self {
            options: options.clone(),
            shared_core,
            rows: Vec::new(),
            kept: 0,
        }
    }

    pub(super) fn add(&mut self, load: Load, case: Case, bytes: usize, window: Window) {
        match self.rows.iter_mut().find(|row| row.is(load, case, bytes)) {
            Some(row) => row.windows.push(window),
            None => self.rows.push(Row {
                load,
                case,
                bytes,
                windows: vec![window],
            }),
        }
    }

    fn figures(&self, row: &Row) -> Figures {
        let against = |case: Case, clock: usize| {
            let mut rows = self.rows.iter();
            let yardstick = rows.find(|one| one.is(row.load, case, row.bytes))?;
            let pairs = row.micros(clock).into_iter().zip(yardstick.micros(0));
            // The kernel counts a running thread by its ticks, so that a short window on a busy machine may show nothing of what was used. Such
            // a round says nothing.
            let told = pairs.filter(|(_, theirs)| *theirs > 0.0);
            let ratios: Vec<_> = told.map(|(ours, theirs)| ours / theirs).collect();
            (!ratios.is_empty()).then(|| median(ratios))
        };
        Figures {
            server: median(row.micros(0)),
            control_plane: median(row.micros(1)),
            server_ratio: against(Case::HyperHmac, 0),
            control_plane_ratio: against(Case::HyperHmac, 1),
            hyper_ratio: against(Case::Hyper, 0),
        }
    }

    /// For programs. Times are microseconds, ratios are to hyper with the HMAC in the same load at the same size, and null where no round could
    /// tell.
    pub fn json(&self) -> serde_json::Value {
        let rows = self.rows.iter().map(|row| {
            let figures = self.figures(row);
            json!({
                "load": row.load.name(),
                "case": row.case.name(),
                "bodyBytes": row.bytes,
                "requests": row.requests(),
                "requestsPerSecond": row.per_second(),
                "serverMicros": figures.server,
                "controlPlaneMicros": figures.control_plane,
                "serverRatio": figures.server_ratio,
                "controlPlaneRatio": figures.control_plane_ratio,
                "serverToHyperRatio": figures.hyper_ratio,
                "p50Micros": row.latency(0.5),
                "p99Micros": row.latency(0.99),
            })
        });
        json!({
            "secondsPerWindow": self.options.length.as_secs_f64(),
            "rounds": self.options.rounds,
            "connections": self.options.connections,
            "openLoopRate": self.options.rate,
            "oneCoreForAll": self.shared_core,
            "keptAndFound": self.kept,
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shared_core {
            writeln!(
                f,
                "Only one core: load and servers share it, so take no figure for more than a rough one."
            )?;
        }
        writeln!(
            f,
            "{:<7} {:>6} {:<13} {:>9} {:>8} {:>7} {:>7} {:>9} {:>7} {:>7} {:>8} {:>8}",
            "load",
            "bytes",
            "case",
            "requests",
            "server",
            "× hmac",
            "× hyper",
            "ctl.plane",
            "× hmac",
            "req/s",
            "p50 µs",
            "p99 µs"
        )?;
        let mut before = None;
        for row in &self.rows {
            if before
                .replace((row.load, row.bytes))
                .is_some_and(|b| b != (row.load, row.bytes))
            {
                writeln!(f)?;
            }
            let figures = self.figures(row);
            write!(
                f,
                "{:<7} {:>6} {:<13} {:>9} {:>8.1} {:>7} {:>7}",
                row.load.name(),
                row.bytes,
                row.case.name(),
                row.requests(),
                figures.server,
                shown(figures.server_ratio),
                shown(figures.hyper_ratio),
            )?;
            if figures.control_plane > 0.0 {
                write!(
                    f,
                    " {:>9.1} {:>7}",
                    figures.control_plane,
                    shown(figures.control_plane_ratio)
                )?;
            } else {
                write!(f, " {:>9} {:>7}", "", "")?;
            }
            write!(f, " {:>7.0}", row.per_second())?;
            if row.load == Load::Open {
                write!(f, " {:>8.0} {:>8.0}", row.latency(0.5), row.latency(0.99))?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "\nserver, ctl.plane: CPU µs per request of the process. Medians of {} rounds of {:?}. {} events answered as kept, all found.",
            self.options.rounds, self.options.length, self.kept
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(micros: u64) -> Window {
        Window {
            requests: 1,
            seconds: 0.1,
            cpu: vec![Duration::from_micros(micros)],
            latencies: Vec::new(),
        }
    }

    #[test]
    fn a_round_whose_yardstick_shows_nothing_is_left_out_of_the_ratio() {
        let options = Options {
            length: Duration::from_millis(100),
            rounds: 3,
            bytes: vec![300],
            connections: 1,
            rate: 1,
            loads: vec![Load::Open, Load::Cold],
            cases: vec![Case::Kept],
        };
        let mut report = Report::new(&options, false);
        for (yardstick, ours) in [(0, 30), (10, 30), (0, 0)] {
            report.add(Load::Open, Case::HyperHmac, 300, window(yardstick));
            report.add(Load::Open, Case::Kept, 300, window(ours));
            report.add(Load::Cold, Case::HyperHmac, 300, window(0));
            report.add(Load::Cold, Case::Kept, 300, window(ours));
        }
        let json = report.json();
        assert_eq!(json["rows"][1]["serverRatio"], 3.0);
        assert_eq!(json["rows"][3]["serverRatio"], serde_json::Value::Null);
        assert_eq!(
            json["rows"][1]["serverToHyperRatio"],
            serde_json::Value::Null
        );
    }
}
