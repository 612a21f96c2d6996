//! The checker: what was answered 2xx, against what was kept and what was delivered.

use std::collections::{BTreeMap, BTreeSet};

/// By delivery id.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Some poster saw 2xx.
    pub answered: BTreeSet<String>,
    /// How many deliveries of it the log has.
    pub kept: BTreeMap<String, usize>,
    /// How often the subscriber was handed it.
    pub delivered: BTreeMap<String, usize>,
}

/// What that comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Answered 2xx, and not in the log.
    pub lost: Vec<String>,
    /// Answered 2xx, and never handed to the subscriber.
    pub undelivered: Vec<String>,
    /// In the log more than once, though the provider named it.
    pub twice: Vec<String>,
    /// Handed out more than once: no failure, and worth knowing.
    pub again: usize,
}

impl Evidence {
    /// See [`Verdict`].
    pub fn verdict(&self) -> Verdict {
        let missing = |from: &BTreeMap<String, usize>| {
            let answered = self.answered.iter();
            let missing = answered.filter(|id| !from.contains_key(*id));
            missing.cloned().collect()
        };
        let more = |of: &BTreeMap<String, usize>| -> Vec<String> {
            let more = of.iter().filter(|(_, times)| **times > 1);
            more.map(|(id, _)| id.clone()).collect()
        };
        Verdict {
            lost: missing(&self.kept),
            undelivered: missing(&self.delivered),
            twice: more(&self.kept),
            again: more(&self.delivered).len(),
        }
    }
}

impl Verdict {
    /// Nothing is missing and nothing was kept twice.
    pub fn is_good(&self) -> bool {
        self.lost.is_empty() && self.undelivered.is_empty() && self.twice.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence() -> Evidence {
        let ids = ["0-0", "0-1", "1-0"];
        let once = || ids.map(|id| (id.to_owned(), 1)).into();
        Evidence {
            answered: ids.map(str::to_owned).into(),
            kept: once(),
            delivered: once(),
        }
    }

    #[test]
    fn what_is_kept_and_delivered_is_good() {
        assert_eq!(evidence().verdict(), Verdict::default());
        assert!(evidence().verdict().is_good());
    }

    #[test]
    fn an_id_dropped_from_what_was_kept_is_lost() {
        let mut evidence = evidence();
        evidence.kept.remove("0-1");
        let verdict = evidence.verdict();
        assert_eq!(verdict.lost, ["0-1"]);
        assert!(!verdict.is_good());
    }

    #[test]
    fn an_id_that_no_subscriber_was_handed_is_undelivered() {
        let mut evidence = evidence();
        evidence.delivered.remove("1-0");
        let verdict = evidence.verdict();
        assert_eq!(verdict.undelivered, ["1-0"]);
        assert!(!verdict.is_good());
    }

    #[test]
    fn kept_twice_is_a_failure_and_delivered_twice_is_none() {
        let mut evidence = evidence();
        *evidence.delivered.get_mut("0-0").unwrap() = 3;
        assert!(evidence.verdict().is_good());
        assert_eq!(evidence.verdict().again, 1);
        *evidence.kept.get_mut("0-0").unwrap() = 2;
        assert_eq!(evidence.verdict().twice, ["0-0"]);
        assert!(!evidence.verdict().is_good());
    }

    #[test]
    fn what_was_kept_without_a_2xx_is_no_failure() {
        let mut evidence = evidence();
        evidence.answered.remove("0-0");
        assert!(evidence.verdict().is_good());
    }
}
