//! What was turned away, for operators: a bounded ring of recent refusals, and counters per group. What was genuine and not kept is counted
//! too, and of each group a few a second go up as examples.
//!
//! Never a body, a credential, a header's value or a path: a path holds a token. Of a flood a sample is shown, a group's share of it small
//! enough to leave the others theirs; the rest is counted only, so that a forgery costs less than real work. Both go up in aggregate over the
//! report stream, about once a second.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use hookplane_proto::encoded_report::Kind;
use hookplane_proto::v1;
use hookplane_rules::text::cut;
use hookplane_rules::{Group, Timestamp};
use http::{HeaderName, Method};
use tokio::sync::Notify;

/// Kept between two reports.
const MAX_WAITING: usize = 256;
/// Shown of one second; as much as waits at most, so that what is shown is also sent.
const MAX_SHOWN: usize = MAX_WAITING;
/// Of those for one group, and as many for all that is of no group.
const MAX_SHOWN_OF_GROUP: usize = 64;
/// As many are sent at once instead of at the next second.
const SEND_AT: usize = 64;
const MAX_HEADER_NAMES: usize = 64;
const MAX_NAME_BYTES: usize = 64;
const MAX_REASON_BYTES: usize = 512;
/// Examples of what was not kept between two reports: of one group, and of all. Only these cost more than counting.
const EXAMPLES_PER_GROUP: u64 = 4;
const MAX_EXAMPLES: usize = 64;
/// Codes for people between two reports; of one group the newest.
const MAX_CODES: usize = 64;
/// Webhooks whose clause an example shows.
const MAX_VERDICTS: usize = 50;

/// What is known of a request when it is turned away, or not kept.
pub(crate) struct Turned<'a> {
    pub(crate) time: Timestamp,
    pub(crate) group: Option<&'a Group>,
    /// Empty when it led to no group.
    pub(crate) group_uid: &'a str,
    pub(crate) status: u16,
    pub(crate) clause: &'static str,
    pub(crate) reason: &'a str,
    pub(crate) method: &'a Method,
    pub(crate) header_names: &'a [HeaderName],
    pub(crate) body_bytes: u64,
    pub(crate) listener: &'a str,
    pub(crate) remote: SocketAddr,
}

#[derive(Default)]
struct Inner {
    waiting: Vec<v1::Refusal>,
    shown: Shown,
    examples: Vec<v1::Refusal>,
    codes: Vec<v1::ReportedCode>,
    counters: HashMap<String, v1::GroupCounters>,
}

/// How many refusals of the current second are shown, by group uid.
#[derive(Default)]
struct Shown {
    second: i64,
    total: usize,
    by_group: HashMap<String, usize>,
}

impl Shown {
    /// True when one more of this group's is to be shown, which counts it.
    fn take_place(&mut self, second: i64, group_uid: &str) -> bool {
        // Not only later: a clock that is set back starts a second as well.
        if self.second != second {
            self.second = second;
            self.total = 0;
            self.by_group.clear();
        }
        if self.total >= MAX_SHOWN {
            return false;
        }
        match self.by_group.get_mut(group_uid) {
            Some(count) if *count >= MAX_SHOWN_OF_GROUP => return false,
            Some(count) => *count += 1,
            None => drop(self.by_group.insert(group_uid.to_owned(), 1)),
        }
        self.total += 1;
        true
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Refusals {
    inner: Mutex<Inner>,
    many: Notify,
}

/// What a genuine callback was counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    NotRegistered,
    NotMatched,
}

impl Refusals {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts it, and gives what is to be shown of it, if anything.
    pub(crate) fn turned_away(&self, turned: &Turned<'_>) -> Option<v1::Refusal> {
        // Looked at first, so that nothing is built for what isn't shown.
        self.is_shown(turned).then(|| described(turned))
    }

    /// Shows one that was not kept, with each webhook's clause. Asked for by [`Refusals::not_kept`].
    pub(crate) fn example(&self, turned: &Turned<'_>, event: Option<&v1::ReportedEvent>) {
        let mut example = described(turned);
        if let Some(event) = event {
            cut(&event.r#type, MAX_REASON_BYTES).clone_into(&mut example.event_type);
            cut(&event.delivery_id, MAX_REASON_BYTES).clone_into(&mut example.delivery_id);
            let shown = event.matches.iter().take(MAX_VERDICTS);
            example.verdicts = shown
                .map(|of| v1::WebhookVerdict {
                    webhook_uid: of.webhook_uid.clone(),
                    reason: cut(&of.reason, MAX_REASON_BYTES).to_owned(),
                    ..Default::default()
                })
                .collect();
        }
        self.lock().examples.push(example);
    }

    /// Counts it, and says whether it is to be shown as well.
    fn is_shown(&self, turned: &Turned<'_>) -> bool {
        let uid = turned.group_uid;
        let mut inner = self.lock();
        if !uid.is_empty() {
            counters_of(&mut inner, uid).refused += 1;
        }
        inner.waiting.len() < MAX_WAITING && inner.shown.take_place(turned.time.seconds(), uid)
    }

    /// Sends it up with the others.
    pub(crate) fn show(&self, refusal: v1::Refusal) {
        let mut inner = self.lock();
        if inner.waiting.len() < MAX_WAITING {
            inner.waiting.push(refusal);
        }
        if inner.waiting.len() == SEND_AT {
            self.many.notify_one();
        }
    }

    /// Counts one that was not kept. True when it is to be shown as well: the first few of its group since the last report.
    pub(crate) fn not_kept(&self, group_uid: &str, what: Count) -> bool {
        let mut inner = self.lock();
        let has_room = inner.examples.len() < MAX_EXAMPLES;
        let counters = counters_of(&mut inner, group_uid);
        match what {
            Count::NotRegistered => counters.not_registered += 1,
            Count::NotMatched => counters.not_matched += 1,
        }
        has_room && counters.not_registered + counters.not_matched <= EXAMPLES_PER_GROUP
    }

    /// Counts a repeat of what was kept before.
    pub(crate) fn repeated(&self, group_uid: &str) {
        counters_of(&mut self.lock(), group_uid).duplicates += 1;
    }

    /// Which secret proved a callback genuine: an operator ends a rotation when the old one is no longer used.
    pub(crate) fn secret_used(&self, group_uid: &str, secret: &str) {
        let mut inner = self.lock();
        let uses = &mut counters_of(&mut inner, group_uid).secret_uses;
        match uses.get_mut(secret) {
            Some(count) => *count += 1,
            None => {
                uses.insert(secret.to_owned(), 1);
            }
        }
    }

    /// A code that a person has to type in at the provider.
    pub(crate) fn code(&self, group_uid: &str, code: String, time: Timestamp) {
        let mut inner = self.lock();
        inner.codes.retain(|known| known.group_uid != group_uid);
        if inner.codes.len() < MAX_CODES {
            inner.codes.push(v1::ReportedCode {
                group_uid: group_uid.to_owned(),
                code,
                time: Some(hookplane_rules::time::to_wire(time)),
            });
        }
    }

    /// Resolves when so many wait that they should go at once.
    pub(crate) async fn many(&self) {
        self.many.notified().await;
    }

    /// What to send.
    pub(crate) fn take(&self) -> Vec<Kind> {
        let (waiting, examples, codes, counters) = {
            let mut inner = self.lock();
            (
                std::mem::take(&mut inner.waiting),
                std::mem::take(&mut inner.examples),
                std::mem::take(&mut inner.codes),
                std::mem::take(&mut inner.counters),
            )
        };
        let mut messages = Vec::new();
        if !waiting.is_empty() || !examples.is_empty() || !codes.is_empty() {
            messages.push(Kind::Refusals(v1::ReportRefusals {
                refusals: waiting,
                not_kept: examples,
                sequence: 0,
                codes,
            }));
        }
        if !counters.is_empty() {
            messages.push(Kind::Counters(v1::ReportCounters {
                groups: counters.into_values().collect(),
                sequence: 0,
            }));
        }
        messages
    }
}

fn described(turned: &Turned<'_>) -> v1::Refusal {
    v1::Refusal {
        time: Some(hookplane_rules::time::to_wire(turned.time)),
        org: turned.group.map(|g| g.org().to_owned()).unwrap_or_default(),
        group: turned
            .group
            .map(|g| g.name().to_owned())
            .unwrap_or_default(),
        status: u32::from(turned.status),
        clause: turned.clause.to_owned(),
        reason: cut(turned.reason, MAX_REASON_BYTES).to_owned(),
        method: cut(turned.method.as_str(), MAX_NAME_BYTES).to_owned(),
        header_names: turned
            .header_names
            .iter()
            .take(MAX_HEADER_NAMES)
            .map(|name| cut(name.as_str(), MAX_NAME_BYTES).to_owned())
            .collect(),
        body_bytes: turned.body_bytes,
        listener: turned.listener.to_owned(),
        remote_address: turned.remote.ip().to_canonical().to_string(),
        group_uid: turned.group_uid.to_owned(),
        ..Default::default()
    }
}

/// Groups come from the plan, so outsiders can't make this map grow.
fn counters_of<'a>(inner: &'a mut Inner, group_uid: &str) -> &'a mut v1::GroupCounters {
    // Looked up first: a `String` is made for a group's first count only.
    if !inner.counters.contains_key(group_uid) {
        let fresh = v1::GroupCounters {
            group_uid: group_uid.to_owned(),
            ..Default::default()
        };
        inner.counters.insert(group_uid.to_owned(), fresh);
    }
    inner
        .counters
        .get_mut(group_uid)
        .expect("inserted above, under the same lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn_away(refusals: &Refusals, turned: &Turned<'_>) {
        if let Some(shown) = refusals.turned_away(turned) {
            refusals.show(shown);
        }
    }

    fn turned<'a>(names: &'a [HeaderName], method: &'a Method) -> Turned<'a> {
        Turned {
            time: Timestamp(1_700_000_000_123),
            group: None,
            group_uid: "",
            status: 404,
            clause: "unknown-url",
            reason: "unknown callback URL",
            method,
            header_names: names,
            body_bytes: 7,
            listener: "a",
            remote: ([192, 0, 2, 1], 4000).into(),
        }
    }

    #[test]
    fn a_refusal_says_the_clause_and_header_names_only() {
        let refusals = Refusals::default();
        let names = [http::header::AUTHORIZATION, http::header::HOST];
        turn_away(&refusals, &turned(&names, &Method::POST));
        let messages = refusals.take();
        let [Kind::Refusals(sent)] = &messages[..] else {
            panic!("one message, was {messages:?}");
        };
        let refusal = &sent.refusals[0];
        assert_eq!(refusal.clause, "unknown-url");
        assert_eq!(refusal.status, 404);
        assert_eq!(refusal.header_names, ["authorization", "host"]);
        assert_eq!(refusal.remote_address, "192.0.2.1");
        assert_eq!(
            refusal.time.as_ref().map(|t| (t.seconds, t.nanos)),
            Some((1_700_000_000, 123_000_000))
        );
        assert!(refusals.take().is_empty(), "taken once");
    }

    #[test]
    fn a_flood_of_refusals_is_bounded() {
        let refusals = Refusals::default();
        let names = vec![http::header::HOST; 10_000];
        for _ in 0..10_000 {
            turn_away(&refusals, &turned(&names, &Method::POST));
        }
        let messages = refusals.take();
        let [Kind::Refusals(sent)] = &messages[..] else {
            panic!("one message, was {}", messages.len());
        };
        assert_eq!(sent.refusals.len(), MAX_SHOWN_OF_GROUP);
        assert_eq!(sent.refusals[0].header_names.len(), MAX_HEADER_NAMES);
    }

    // A flood must not be work for the control plane, nor hide what another group's caller did wrong.
    #[test]
    fn of_each_second_a_sample_is_shown_and_each_group_has_its_share() {
        let mut shown = Shown::default();
        let mut count = |second, uid: &str| {
            (0..10_000)
                .filter(|_| shown.take_place(second, uid))
                .count()
        };
        assert_eq!(count(1, "flooded"), MAX_SHOWN_OF_GROUP);
        assert_eq!(count(1, ""), MAX_SHOWN_OF_GROUP);
        assert!(count(1, "other") > 0);
        for n in 0..1000 {
            count(1, &format!("group-{n}"));
        }
        assert_eq!(
            (shown.total, shown.by_group.len()),
            (MAX_SHOWN, MAX_SHOWN / MAX_SHOWN_OF_GROUP)
        );
        // The next second has places again, and so has one that an adjusted clock goes back to.
        assert!(shown.take_place(2, "flooded"));
        assert!(shown.take_place(1, "flooded"));
    }

    #[test]
    fn what_is_taken_goes_on_counting_against_its_second() {
        let refusals = Refusals::default();
        for _ in 0..MAX_SHOWN_OF_GROUP {
            turn_away(&refusals, &turned(&[], &Method::POST));
        }
        assert_eq!(refusals.take().len(), 1);
        turn_away(&refusals, &turned(&[], &Method::POST));
        assert!(refusals.take().is_empty());
    }

    #[test]
    fn counters_add_up_per_group_and_secret() {
        let refusals = Refusals::default();
        refusals.not_kept("g1", Count::NotMatched);
        refusals.not_kept("g1", Count::NotMatched);
        refusals.not_kept("g1", Count::NotRegistered);
        refusals.secret_used("g1", "old");
        refusals.secret_used("g1", "old");
        let messages = refusals.take();
        let [Kind::Counters(sent)] = &messages[..] else {
            panic!("one message, was {messages:?}");
        };
        let counters = &sent.groups[0];
        assert_eq!(counters.not_matched, 2);
        assert_eq!(counters.not_registered, 1);
        assert_eq!(counters.secret_uses.get("old"), Some(&2));
    }

    #[test]
    fn a_flood_of_what_is_not_kept_shows_a_few_of_each_group_and_counts_all() {
        let refusals = Refusals::default();
        let shown = |group: &str| {
            let counted = (0..1_000).filter(|_| refusals.not_kept(group, Count::NotMatched));
            counted
                .map(|_| refusals.example(&turned(&[], &Method::POST), None))
                .count()
        };
        assert_eq!(shown("g1") as u64, EXAMPLES_PER_GROUP);
        let all: usize = (0..100).map(|n| shown(&n.to_string())).sum();
        assert_eq!(all + EXAMPLES_PER_GROUP as usize, MAX_EXAMPLES);
        let [Kind::Refusals(sent), Kind::Counters(counters)] = &refusals.take()[..] else {
            panic!("two messages");
        };
        assert_eq!(
            (sent.refusals.len(), sent.not_kept.len()),
            (0, MAX_EXAMPLES)
        );
        assert_eq!(counters.groups.len(), 101);
        assert!(counters.groups.iter().all(|of| of.not_matched == 1_000));
        assert!(refusals.not_kept("g1", Count::NotMatched), "a new second");
    }

    #[test]
    fn of_each_group_the_newest_code_goes_up_and_of_all_groups_a_few() {
        let refusals = Refusals::default();
        for n in 0..1_000 {
            refusals.code("g1", n.to_string(), Timestamp(1_700_000_000_000));
        }
        for n in 0..1_000 {
            refusals.code(&n.to_string(), "x".to_owned(), Timestamp(0));
        }
        let [Kind::Refusals(sent)] = &refusals.take()[..] else {
            panic!("one message");
        };
        assert_eq!(sent.codes.len(), MAX_CODES);
        assert_eq!(
            (&*sent.codes[0].group_uid, &*sent.codes[0].code),
            ("g1", "999")
        );
        assert!(refusals.take().is_empty(), "taken once");
    }
}
