//! What callers saw, for each kind of fault.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::fault::{Allowed, Fault};
use super::load::{Answer, Said};

/// Between faults nothing is wrong, and nothing is allowed.
const CALM: Allowed = Allowed {
    unavailable: false,
    silence: false,
};

/// One line of the table.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Faults of this kind.
    pub rounds: usize,
    /// Answers, and the lack of one.
    pub answers: usize,
    /// Of those 503.
    pub unavailable: usize,
    /// Refused or ended connections, and no answer within a provider's patience.
    pub silence: usize,
    /// The longest time without a 2xx for anyone.
    pub gap: Duration,
    /// The longest that one request took, whatever its answer.
    pub longest: Duration,
    /// The longest from the blow until everything was whole.
    pub whole: Duration,
}

impl Row {
    fn add(&mut self, answers: &[Answer], from: Instant) {
        self.answers += answers.len();
        let mut last = from;
        for answer in answers {
            self.longest = self.longest.max(answer.took);
            match &answer.said {
                Said::Kept(_) => {
                    self.gap = self.gap.max(answer.at().saturating_duration_since(last));
                    last = last.max(answer.at());
                }
                Said::Status(503) => self.unavailable += 1,
                Said::Status(_) => {}
                Said::Silence(_) => self.silence += 1,
            }
        }
    }
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// By kind; None is the time between faults.
    pub rows: BTreeMap<Option<Fault>, Row>,
    /// Answers that no caller should have seen.
    pub wrong: Vec<String>,
    is_cluster: bool,
}

impl Table {
    pub(super) fn new(is_cluster: bool) -> Self {
        Self {
            is_cluster,
            ..Self::default()
        }
    }

    /// Answers of the time before a blow.
    pub(super) fn calm(&mut self, answers: &[Answer], from: Instant) {
        self.rows.entry(None).or_default().add(answers, from);
        self.judge(answers, CALM, "between faults", from);
    }

    /// Answers from a blow until everything was whole again, `whole` later.
    pub(super) fn round(
        &mut self,
        (fault, name): (Fault, &str),
        answers: &[Answer],
        from: Instant,
        whole: Duration,
    ) {
        let row = self.rows.entry(Some(fault)).or_default();
        row.rounds += 1;
        row.whole = row.whole.max(whole);
        row.add(answers, from);
        self.judge(answers, fault.allowed(self.is_cluster), name, from);
    }

    fn judge(&mut self, answers: &[Answer], allowed: Allowed, when: &str, from: Instant) {
        // With a synchronous standby nothing less is promised.
        let promised = if self.is_cluster {
            "replicated"
        } else {
            "synced"
        };
        for answer in answers {
            let fine = match &answer.said {
                Said::Kept(receipt) => receipt == promised || receipt == "duplicate",
                Said::Status(status) => *status == 503 && allowed.unavailable,
                Said::Silence(_) => allowed.silence,
            };
            if !fine {
                self.wrong.push(format!(
                    "{when}: {} at listener {}, sent {} ms after the blow, took {} ms: {:?}",
                    answer.id,
                    answer.listener,
                    answer.sent.saturating_duration_since(from).as_millis(),
                    answer.took.as_millis(),
                    answer.said
                ));
            }
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<22}{:>7}{:>9}{:>6}{:>9}{:>10}{:>10}{:>9}",
            "fault", "rounds", "answers", "503s", "silence", "gap", "longest", "whole"
        )?;
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        for (fault, row) in &self.rows {
            writeln!(
                f,
                "{:<22}{:>7}{:>9}{:>6}{:>9}{:>10}{:>10}{:>9}",
                fault.map_or_else(|| "(between faults)".to_owned(), Fault::name),
                row.rounds,
                row.answers,
                row.unavailable,
                row.silence,
                seconds(row.gap),
                seconds(row.longest),
                seconds(row.whole)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::{Blow, Target};
    use super::*;

    fn answer(said: Said) -> Answer {
        Answer {
            poster: 0,
            id: "0-0".to_owned(),
            listener: 0,
            sent: Instant::now(),
            took: Duration::from_millis(5),
            said,
        }
    }

    fn wrong(blow: Blow, target: Target, said: Said) -> bool {
        let mut table = Table::new(true);
        let fault = (Fault { blow, target }, "it");
        table.round(fault, &[answer(said)], Instant::now(), Duration::ZERO);
        !table.wrong.is_empty()
    }

    #[test]
    fn a_hurt_replica_excuses_nothing() {
        for said in [Said::Status(503), Said::Silence(String::new())] {
            assert!(wrong(Blow::Kill, Target::Replica, said.clone()));
            assert!(wrong(Blow::Swallow, Target::Streams, said));
        }
        let kept = Said::Kept("replicated".to_owned());
        assert!(!wrong(Blow::Kill, Target::Replica, kept));
    }

    #[test]
    fn a_killed_listener_excuses_silence_and_a_primary_503() {
        let silence = || Said::Silence(String::new());
        assert!(!wrong(Blow::Kill, Target::Listener, silence()));
        assert!(wrong(Blow::Kill, Target::Listener, Said::Status(503)));
        assert!(!wrong(Blow::Kill, Target::Primary, Said::Status(503)));
        assert!(wrong(Blow::Kill, Target::Primary, silence()));
    }

    #[test]
    fn nothing_excuses_another_status_or_a_lesser_receipt() {
        let degraded = Said::Kept("degraded".to_owned());
        assert!(wrong(Blow::Freeze, Target::Listener, degraded));
        assert!(wrong(Blow::Freeze, Target::Listener, Said::Status(404)));
    }
}
