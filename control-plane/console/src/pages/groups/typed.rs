//! A group as a form has it: texts as they were typed, to come back so when something is wrong, and the spec that they say.
//!
//! Secrets are in neither direction: they are read from the posted form when the spec is sent, and never written into a page.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use hookplane_proto::v1;

use super::asks::Asks;
use crate::form::Form;
use crate::name;
use crate::problem::Faults;

/// Stands for all events, those that the provider adds later among them.
const ALL: &str = "*";
/// What a name may be at most.
/// Empty rows for redactions below those there are.
const SPARE_ROWS: usize = 2;

/// Fields of the spec that the form has, as a mask names them, but for the secrets.
pub(super) const FIELDS: [&str; 15] = [
    "display_name",
    "external_id",
    "parameters",
    "registered_events",
    "pool",
    "accept_unsigned",
    "learn_secret",
    "max_body_bytes",
    "capture_unmatched",
    "capture_days",
    "dedup_window_days",
    "rate_limit_per_second",
    "refuse_suspected_replays",
    "redact",
    "retention",
];

/// A row of the redactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Redacted {
    pub(super) path: String,
    pub(super) mask: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) name: String,
    pub(super) display_name: String,
    pub(super) external_id: String,
    /// Without the secret ones.
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) events: BTreeSet<String>,
    /// Those that the connector doesn't list, one a line.
    pub(super) more_events: String,
    pub(super) pool: String,
    pub(super) accept_unsigned: bool,
    pub(super) learn_secret: bool,
    pub(super) max_body_bytes: String,
    pub(super) capture_unmatched: bool,
    pub(super) capture_days: String,
    pub(super) dedup_window_days: String,
    pub(super) rate_limit_per_second: String,
    pub(super) refuse_suspected_replays: bool,
    pub(super) redact: Vec<Redacted>,
    pub(super) retention_days: String,
    pub(super) retention_bytes: String,
}

/// 0 is as good as nothing typed.
fn number<T: ToString + Default + PartialEq>(value: T) -> String {
    match value == T::default() {
        true => String::new(),
        false => value.to_string(),
    }
}

impl Typed {
    /// Of a group that is to be made: everything is taken until somebody narrows it.
    pub(super) fn fresh(asks: &Asks) -> Self {
        let parameters = asks.parameters.iter().filter(|p| !p.secret);
        Self {
            events: BTreeSet::from([ALL.to_owned()]),
            parameters: parameters
                .map(|p| (p.name.clone(), String::new()))
                .collect(),
            ..Self::default()
        }
    }

    /// Of a group as it is.
    pub(super) fn of_group(group: &v1::WebhookGroup, asks: &Asks) -> Self {
        let name = group.metadata.clone().unwrap_or_default().name;
        let spec = group.spec.clone().unwrap_or_default();
        let listed = |event: &String| event == ALL || asks.events.iter().any(|(e, _)| e == event);
        let (events, more): (Vec<_>, Vec<_>) = spec.registered_events.into_iter().partition(listed);
        let retention = spec.retention.unwrap_or_default();
        let redact = spec.redact.into_iter().map(|one| Redacted {
            path: one.path,
            mask: one.mask,
        });
        Self {
            name,
            display_name: spec.display_name,
            external_id: spec.external_id,
            parameters: spec.parameters.into_iter().collect(),
            events: events.into_iter().collect(),
            more_events: more.join("\n"),
            pool: spec.pool,
            accept_unsigned: spec.accept_unsigned,
            learn_secret: spec.learn_secret,
            max_body_bytes: spec
                .max_body_bytes
                .map(|bytes| bytes.to_string())
                .unwrap_or_default(),
            capture_unmatched: spec.capture_unmatched,
            capture_days: number(spec.capture_days),
            dedup_window_days: number(spec.dedup_window_days),
            rate_limit_per_second: number(spec.rate_limit_per_second),
            refuse_suspected_replays: spec.refuse_suspected_replays,
            redact: redact.collect(),
            retention_days: number(retention.max_days),
            retention_bytes: number(retention.max_bytes),
        }
    }

    /// What was posted.
    pub(super) fn of_form(form: &Form, asks: &Asks) -> Self {
        let text = |name: &str| form.text(name).to_owned();
        let parameters = asks.parameters.iter().filter(|p| !p.secret).map(|p| {
            let typed = text(&format!("parameter.{}", p.name));
            (p.name.clone(), typed)
        });
        let mut redact: Vec<Redacted> = Vec::new();
        for (name, value) in form.fields() {
            match (name, redact.last_mut()) {
                ("redact_path", _) => redact.push(Redacted {
                    path: value.trim().to_owned(),
                    mask: false,
                }),
                ("redact_how", Some(last)) => last.mask = value == "mask",
                _ => {}
            }
        }
        redact.retain(|one| !one.path.is_empty());
        Self {
            name: text("name"),
            display_name: text("display_name"),
            external_id: text("external_id"),
            parameters: parameters.collect(),
            events: form.all("event").map(str::to_owned).collect(),
            more_events: text("more_events"),
            pool: text("pool"),
            accept_unsigned: form.ticked("accept_unsigned"),
            learn_secret: form.ticked("learn_secret"),
            max_body_bytes: text("max_body_bytes"),
            capture_unmatched: form.ticked("capture_unmatched"),
            capture_days: text("capture_days"),
            dedup_window_days: text("dedup_window_days"),
            rate_limit_per_second: text("rate_limit_per_second"),
            refuse_suspected_replays: form.ticked("refuse_suspected_replays"),
            redact,
            retention_days: text("retention_days"),
            retention_bytes: text("retention_bytes"),
        }
    }

    /// What it says, without secrets; what is no number is among the faults.
    pub(super) fn spec(&self, asks: &Asks, faults: &mut Faults) -> v1::WebhookGroupSpec {
        let retention = v1::Retention {
            max_days: counted("spec.retention.maxDays", &self.retention_days, faults),
            max_bytes: counted("spec.retention.maxBytes", &self.retention_bytes, faults),
        };
        if self.is_torn(asks) {
            faults.add(
                "spec.registeredEvents",
                "All events are ticked, and so are only some of their names: untick “All events” to take those alone, or untick the names",
            );
        }
        let given = self
            .parameters
            .iter()
            .filter(|(_, value)| !value.is_empty());
        let given = given.map(|(name, value)| (name.clone(), value.clone()));
        v1::WebhookGroupSpec {
            connector: asks.connector.clone(),
            function: asks.function.clone(),
            display_name: self.display_name.clone(),
            pool: self.pool.clone(),
            external_id: self.external_id.clone(),
            parameters: given.collect(),
            accept_unsigned: self.accept_unsigned,
            registered_events: self.registered(asks),
            max_body_bytes: match self.max_body_bytes.is_empty() {
                true => None,
                false => Some(counted("spec.maxBodyBytes", &self.max_body_bytes, faults)),
            },
            capture_unmatched: self.capture_unmatched,
            refuse_suspected_replays: self.refuse_suspected_replays,
            dedup_window_days: counted("spec.dedupWindowDays", &self.dedup_window_days, faults),
            rate_limit_per_second: counted(
                "spec.rateLimitPerSecond",
                &self.rate_limit_per_second,
                faults,
            ),
            learn_secret: self.learn_secret,
            redact: self
                .redact
                .iter()
                .map(|one| v1::Redaction {
                    path: one.path.clone(),
                    mask: one.mask,
                })
                .collect(),
            retention: (retention != v1::Retention::default()).then_some(retention),
            capture_days: counted("spec.captureDays", &self.capture_days, faults),
            ..Default::default()
        }
    }

    /// In the connector's order, then those that it doesn't list; `*` stands for all of them.
    fn registered(&self, asks: &Asks) -> Vec<String> {
        if self.takes_all() {
            return vec![ALL.to_owned()];
        }
        let listed = asks.events.iter().map(|(name, _)| name.as_str());
        let listed = listed.filter(|name| self.events.contains(*name));
        let more = self.more_events.split_whitespace();
        let mut registered: Vec<String> = Vec::new();
        let mut seen = BTreeSet::new();
        for event in listed.chain(more.map(|event| event.trim_end_matches(','))) {
            if !event.is_empty() && seen.insert(event) {
                registered.push(event.to_owned());
            }
        }
        registered
    }

    pub(super) fn takes_all(&self) -> bool {
        self.events.contains(ALL)
            || self
                .more_events
                .split_whitespace()
                .any(|event| event == ALL)
    }

    /// A box beside others, as it was ticked.
    pub(super) fn takes(&self, event: &str) -> bool {
        self.events.contains(event)
    }

    /// All are ticked and some by name. A script ticks every name along with all; without one nobody can tell which of the two is meant.
    fn is_torn(&self, asks: &Asks) -> bool {
        let ticked = asks.events.iter().filter(|(name, _)| self.takes(name));
        let ticked = ticked.count();
        self.events.contains(ALL) && ticked > 0 && ticked < asks.events.len()
    }

    /// The rows of the redactions, with some to fill in.
    pub(super) fn redact_rows(&self) -> Vec<Redacted> {
        let spare = std::iter::repeat_n(Redacted::default(), SPARE_ROWS);
        self.redact.iter().cloned().chain(spare).collect()
    }

    /// The resource's name: as it was typed, else made of the display name, else of the connector's.
    pub(super) fn resource_name(&self, asks: &Asks) -> String {
        let typed = [&self.name, &self.display_name, &asks.connector];
        let mut named = typed.iter().filter(|text| !text.is_empty());
        match named.next() {
            Some(name) if !self.name.is_empty() => (*name).clone(),
            Some(text) => match name::from(text) {
                made if made.is_empty() => asks.connector.clone(),
                made => made,
            },
            None => String::new(),
        }
    }

    /// Whether the part for the few has to be open: something in it is wrong.
    pub(super) fn is_advanced(&self, faults: &Faults) -> bool {
        let here = [
            "spec.pool",
            "spec.maxBodyBytes",
            "spec.captureDays",
            "spec.dedupWindowDays",
            "spec.rateLimitPerSecond",
            "spec.redact",
            "spec.retention",
        ];
        here.iter().any(|field| !faults.below(field).is_empty())
    }
}

fn counted<T: FromStr + Default>(field: &str, text: &str, faults: &mut Faults) -> T {
    if text.is_empty() {
        return T::default();
    }
    text.parse().unwrap_or_else(|_| {
        faults.add(field, "is a whole number, without a unit");
        T::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks() -> Asks {
        let event = |name: &str| v1::ConnectorEvent {
            name: name.to_owned(),
            ..Default::default()
        };
        let connector = v1::Connector {
            metadata: Some(v1::Metadata {
                name: "shopify".into(),
                ..Default::default()
            }),
            spec: Some(v1::ConnectorSpec {
                functions: vec![v1::ConnectorFunction {
                    name: "admin".into(),
                    events: vec![event("b"), event("a"), event("c")],
                    ..Default::default()
                }],
                parameters: vec![
                    v1::ConnectorParameter {
                        name: "user".into(),
                        ..Default::default()
                    },
                    v1::ConnectorParameter {
                        name: "verify".into(),
                        secret: true,
                        ..Default::default()
                    },
                ],
                ..Default::default()
            }),
        };
        Asks::of(&connector, "").unwrap()
    }

    fn typed(form: &str) -> Typed {
        Typed::of_form(&Form::read(form.as_bytes()).unwrap(), &asks())
    }

    #[test]
    fn what_is_saved_comes_back_into_the_form_as_it_was_typed() {
        let typed = typed(
            "name=shop&display_name=Shop&external_id=acme&parameter.user=me&parameter.verify=s3cret&event=a&more_events=x%0Ay.z&pool=eu\
             &max_body_bytes=1000&capture_unmatched=on&capture_days=3&dedup_window_days=9&rate_limit_per_second=5&refuse_suspected_replays=on\
             &redact_path=payload.a&redact_how=mask&redact_path=&redact_how=mask&redact_path=payload.b&redact_how=drop&retention_days=30&retention_bytes=5000",
        );
        let mut faults = Faults::default();
        let spec = typed.spec(&asks(), &mut faults);
        assert!(faults.is_empty());
        assert!(!format!("{typed:?} {spec:?}").contains("s3cret"));
        assert_eq!(spec.redact.len(), 2);
        assert_eq!(spec.registered_events, ["a", "x", "y.z"]);
        let group = v1::WebhookGroup {
            metadata: Some(v1::Metadata {
                name: "shop".into(),
                ..Default::default()
            }),
            spec: Some(spec),
            status: None,
        };
        assert_eq!(Typed::of_group(&group, &asks()), typed);
    }

    #[test]
    fn all_events_are_one_and_some_are_in_the_connectors_order() {
        let registered = |form: &str| typed(form).registered(&asks());
        assert_eq!(registered("event=a&event=*&event=b&event=c"), ["*"]);
        assert_eq!(registered("event=a&event=b"), ["b", "a"]);
        assert_eq!(registered("event=a&more_events=a,+d"), ["a", "d"]);
        assert_eq!(registered(""), [""; 0]);
        let all = typed("event=*");
        assert!(all.takes_all() && !all.takes("a"));
    }

    #[test]
    fn all_events_and_some_of_their_names_are_not_told_apart_by_guessing() {
        let faults = |form: &str| {
            let mut faults = Faults::default();
            typed(form).spec(&asks(), &mut faults);
            faults
        };
        let torn = faults("event=*&event=a");
        assert!(torn.at("spec.registeredEvents").contains("untick"));
        assert!(typed("event=*&event=a").takes("a"));
        // As a script ticks them, and as they are without one.
        for form in ["event=*&event=a&event=b&event=c", "event=*", "event=a", ""] {
            assert!(faults(form).is_empty(), "{form}");
        }
    }

    #[test]
    fn what_is_no_number_is_named_at_its_field() {
        let typed = typed("max_body_bytes=1+MiB&capture_days=-1&retention_days=4294967296");
        let mut faults = Faults::default();
        typed.spec(&asks(), &mut faults);
        for field in [
            "spec.maxBodyBytes",
            "spec.captureDays",
            "spec.retention.maxDays",
        ] {
            assert!(!faults.at(field).is_empty(), "{field}");
        }
        assert_eq!(faults.all().count(), 3);
        assert!(typed.is_advanced(&faults));
    }

    #[test]
    fn a_name_is_made_of_what_people_read() {
        let name = |form: &str| typed(form).resource_name(&asks());
        assert_eq!(name("name=mine&display_name=Shop"), "mine");
        assert_eq!(
            name("display_name=+Shop,+Production+(EU)+"),
            "shop-production-eu"
        );
        assert_eq!(name("display_name=%E6%97%A5%E6%9C%AC"), "shopify");
        assert_eq!(name(""), "shopify");
        assert_eq!(
            name(&format!("display_name={}", "a".repeat(80))).len(),
            name::MAX_CHARS
        );
    }
}
