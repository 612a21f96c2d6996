//! How many requests a second are made for keys, and for whom.
//!
//! ```text
//!   new:    its group ─▶ its org ─▶ its org at this host ─▶ this host ─▶ all
//!   known:               its org ─▶ its org at this host ─▶ this host ─▶ all
//! ```
//!
//! A forger decides what is asked for, and may be as many groups as his org has. So whoever asks too much is stopped at the narrowest bound, before he
//! takes anything of the wider ones; no org's share is all there is of a host, or of all; and what was good once, and only has to be fetched again, is
//! counted apart from what nobody has seen yet. Hosts may be invented, too, where a definition leaves their names open: so the org comes before them.

use hookplane_rules::Group;
use tokio::time::Instant;

use crate::limit::Buckets;

/// One group's, of what was never fetched before.
const NEW_PER_GROUP: u32 = 2;
/// Of what was never fetched before. An org's requests, if each takes the three seconds that it may, are 48 of the 64 that are under way at a time.
const NEW: Rates = Rates {
    org: 6,
    share: 4,
    host: 10,
};
/// Of what was: one source is fetched once a minute at most, whoever asks.
const KNOWN: Rates = Rates {
    org: 10,
    share: 8,
    host: 20,
};
/// In all, of new ones and of known ones each.
const IN_ALL: u32 = 50;
/// Orgs, shares and hosts that are counted apart.
const MAX_COUNTED: usize = 4_096;
/// Groups, of which one org may have many.
const MAX_GROUPS: usize = 65_536;

/// Requests a second.
struct Rates {
    org: u32,
    /// One org's at one host.
    share: u32,
    host: u32,
}

/// Whose callback needs a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) org: &'a str,
    pub(crate) group_uid: &'a str,
}

impl<'a> Asker<'a> {
    pub(crate) fn of(group: &'a Group) -> Self {
        Self {
            org: group.org(),
            group_uid: group.uid(),
        }
    }
}

/// What is left of this second.
pub(super) struct Budget {
    groups: Buckets<String>,
    new: Bounds,
    known: Bounds,
}

struct Bounds {
    rates: Rates,
    orgs: Buckets<String>,
    shares: Buckets<(String, String)>,
    hosts: Buckets<String>,
    all: Buckets<String>,
}

impl Bounds {
    fn of(rates: Rates) -> Self {
        Self {
            rates,
            orgs: Buckets::new(MAX_COUNTED),
            shares: Buckets::new(MAX_COUNTED),
            hosts: Buckets::new(MAX_COUNTED),
            all: Buckets::new(1),
        }
    }

    fn take(&self, org: &str, host: &str, now: Instant) -> bool {
        let share = (org.to_owned(), host.to_owned());
        self.orgs.take(org, self.rates.org, now)
            && self.shares.take(&share, self.rates.share, now)
            && self.hosts.take(host, self.rates.host, now)
            && self.all.take("", IN_ALL, now)
    }
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            groups: Buckets::new(MAX_GROUPS),
            new: Bounds::of(NEW),
            known: Bounds::of(KNOWN),
        }
    }

    /// For what was never fetched from this host before.
    pub(super) fn takes_new(&self, asker: Asker<'_>, host: &str, now: Instant) -> bool {
        self.groups.take(asker.group_uid, NEW_PER_GROUP, now) && self.new.take(asker.org, host, now)
    }

    /// For what was.
    pub(super) fn takes_known(&self, asker: Asker<'_>, host: &str, now: Instant) -> bool {
        self.known.take(asker.org, host, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOST: &str = "keys.example.com";

    /// As much as the groups of one org can ask for.
    fn flood(budget: &Budget, org: &str, now: Instant) -> usize {
        let asked = (0..100).flat_map(|group| (0..10).map(move |_| group));
        asked
            .filter(|group| {
                let group_uid = format!("{org}-{group}");
                let asker = Asker {
                    org,
                    group_uid: &group_uid,
                };
                budget.takes_new(asker, HOST, now)
            })
            .count()
    }

    fn of(org: &str) -> Asker<'_> {
        Asker {
            org,
            group_uid: org,
        }
    }

    // Risk 36: invented keys, in as many groups as there are. Count hosts alone, and one org's forgers leave nobody a key.
    #[test]
    fn one_orgs_inventions_leave_the_others_theirs() {
        let budget = Budget::new();
        let mut now = Instant::now();
        for _ in 0..3 {
            assert!(flood(&budget, "forger", now) <= NEW.share as usize);
            assert!(budget.takes_new(of("acme"), HOST, now));
            assert!(budget.takes_known(of("acme"), HOST, now));
            // Nor what its own groups had before.
            assert!(budget.takes_known(of("forger"), HOST, now));
            now += Duration::from_secs(1);
        }
    }

    #[test]
    fn however_many_invent_what_was_good_is_fetched_again() {
        let budget = Budget::new();
        let now = Instant::now();
        let taken: usize = (0..50)
            .map(|n| flood(&budget, &format!("forger-{n}"), now))
            .sum();
        assert_eq!(taken, NEW.host as usize, "a host is asked for no more");
        assert!(!budget.takes_new(of("acme"), HOST, now));
        assert!(budget.takes_known(of("acme"), HOST, now));
        // Nor is another host's share gone.
        assert!(budget.takes_new(of("acme"), "elsewhere.example.com", now));
    }

    #[test]
    fn one_group_that_is_forged_leaves_its_orgs_others_theirs() {
        let budget = Budget::new();
        let now = Instant::now();
        let forged = Asker {
            org: "acme",
            group_uid: "forged",
        };
        let taken = (0..100).filter(|_| budget.takes_new(forged, HOST, now));
        assert_eq!(taken.count(), NEW_PER_GROUP as usize);
        assert!(budget.takes_new(of("acme"), HOST, now));
    }

    #[test]
    fn an_org_takes_a_part_of_all_at_most_wherever_it_asks() {
        let budget = Budget::new();
        let now = Instant::now();
        let hosts: Vec<String> = (0..100).map(|n| format!("h{n}.example.com")).collect();
        // As many as a forger can invent, so that new hosts are not counted apart any more.
        for n in 0..2 * MAX_COUNTED {
            budget.takes_new(of("forger"), &format!("invented-{n}.example.com"), now);
        }
        let of_forger = |host: &&String| budget.takes_known(of("forger"), host, now);
        assert_eq!(hosts.iter().filter(of_forger).count(), KNOWN.org as usize);
        for host in [&hosts[50], &hosts[99]] {
            assert!(budget.takes_known(of("acme"), host, now));
        }
        assert!(budget.takes_new(of("acme"), HOST, now));
    }
}
