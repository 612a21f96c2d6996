//! Where a webhook's events go: as rows to look at, and as boxes to tick. A target of the webhook's own stays as it is, whatever it has; an HTTP one
//! can be added. The org's destinations, and what has more to say, are written on their own pages or in a manifest.

use hookplane_proto::v1;

use super::{State, name_of};
use crate::form::Form;
use crate::moment::Moment;
use crate::page::Visitor;
use crate::problem::Problem;
use crate::weight::{self, Room};

/// Boxes offered for the org's destinations: as many as there may be, and as fit.
const OFFERED: u32 = 200;
const ROOM: usize = 40 * 1024;
/// What is shown of what one is, and of why it doesn't do.
const ABOUT: usize = 200;
const REASON: usize = 400;
const KEEP: &str = "keep:";
const ADD: &str = "add:";
const SUBSCRIBE: &str = "subscribe";

/// One, to look at.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) kind: &'static str,
    /// Its URL, or empty.
    pub(super) url: String,
    /// What else is set of it, as far as it is no secret.
    pub(super) facts: String,
    /// One of the org's, by its name; else empty.
    pub(super) shared: String,
    pub(super) paused: bool,
    pub(super) can_pause: bool,
    pub(super) state: State,
    pub(super) reason: String,
    pub(super) since: Option<Moment>,
    pub(super) retry: Option<Moment>,
    pub(super) delivered: u64,
    pub(super) failed: u64,
}

fn kind(destination: &v1::WebhookDestination) -> (&'static str, &str) {
    if let Some(http) = &destination.http {
        ("HTTP, this webhook's own", &http.url)
    } else if let Some(salesforce) = &destination.salesforce {
        ("Salesforce, this webhook's own", &salesforce.url)
    } else if !destination.r#ref.is_empty() {
        ("one of the org's", "")
    } else {
        ("taken over gRPC by teams that subscribe", "")
    }
}

fn facts(destination: &v1::WebhookDestination) -> String {
    let mut facts = Vec::new();
    if let Some(http) = &destination.http {
        if http.signing_secret.is_some() {
            facts.push("signed".to_owned());
        }
        if !http.headers.is_empty() {
            let names: Vec<&str> = http.headers.keys().map(String::as_str).collect();
            facts.push(format!("headers {}", names.join(", ")));
        }
    }
    if let Some(salesforce) = &destination.salesforce {
        if !salesforce.username.is_empty() {
            facts.push(format!("as {}", salesforce.username));
        }
        let said = [
            (salesforce.all_or_none, "all records or none"),
            (salesforce.auto_assign, "assignment rules run"),
            (salesforce.allow_duplicates, "duplicates are allowed"),
        ];
        let said = said.iter().filter(|(is_so, _)| *is_so);
        facts.extend(said.map(|(_, what)| (*what).to_owned()));
    }
    let limits = destination.limits.unwrap_or_default();
    for (number, what) in [
        (limits.concurrency, "requests at a time"),
        (limits.rate_per_second, "a second"),
        (limits.timeout_seconds, "seconds for one"),
        (limits.max_attempts, "attempts"),
    ] {
        if number > 0 {
            facts.push(format!("{number} {what}"));
        }
    }
    facts.join("; ")
}

pub(super) fn rows(webhook: &v1::Webhook) -> Vec<Row> {
    let statuses = webhook.status.as_ref().map_or(&[][..], |s| &s.destinations);
    let all = webhook.spec.as_ref().map_or(&[][..], |s| &s.destinations);
    let subscribers = [v1::WebhookDestination {
        subscribe: Some(v1::SubscribeDestination {}),
        ..Default::default()
    }];
    let all = if all.is_empty() { &subscribers } else { all };
    let rows = all.iter().map(|destination| {
        let name = name_of(destination);
        let found = statuses.iter().find(|status| status.name == name);
        let status = found.and_then(|found| found.status.clone());
        let status = status.unwrap_or_default();
        let (kind, url) = kind(destination);
        Row {
            name: name.to_owned(),
            kind,
            url: weight::cut(url, REASON),
            facts: facts(destination),
            shared: destination.r#ref.clone(),
            paused: destination.paused,
            can_pause: destination.subscribe.is_none(),
            state: State(status.state()),
            reason: weight::cut(&status.reason, REASON),
            since: Moment::of(status.since.as_ref()),
            retry: Moment::of(status.retry_time.as_ref()),
            delivered: status.delivered,
            failed: status.failed,
        }
    });
    rows.collect()
}

/// A box.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) about: String,
    pub(super) ticked: bool,
}

/// The boxes of a webhook's form: its own first, then what else the org has, and whether it has more than are offered.
pub(super) async fn choices(
    visitor: &Visitor,
    org: &str,
    stored: &[v1::WebhookDestination],
) -> Result<(Vec<Choice>, bool), Problem> {
    let mut choices = Vec::new();
    let explicit = stored.iter().any(|one| one.subscribe.is_some());
    if !explicit {
        choices.push(Choice {
            value: SUBSCRIBE.to_owned(),
            label: "Subscribers".to_owned(),
            about: "They pull with the gRPC call Subscribe; nothing is sent to anybody.".to_owned(),
            ticked: stored.is_empty(),
        });
    }
    choices.extend(stored.iter().map(|one| {
        let (kind, url) = kind(one);
        Choice {
            value: format!("{KEEP}{}", name_of(one)),
            label: match one.subscribe {
                Some(_) => "Subscribers".to_owned(),
                None => name_of(one).to_owned(),
            },
            about: match facts(one) {
                facts if facts.is_empty() => weight::cut(format!("{kind} {url}").trim_end(), ABOUT),
                facts => weight::cut(&format!("{kind} {url} ({facts})"), ABOUT),
            },
            ticked: true,
        }
    }));
    let request = v1::ListDestinationsRequest {
        parent: format!("orgs/{org}"),
        page_size: OFFERED,
        page_token: String::new(),
    };
    let answer = visitor
        .api
        .destinations()
        .list_destinations(request)
        .await?;
    let answer = answer.into_inner();
    let mut more = !answer.next_page_token.is_empty();
    let mut room = Room::of(ROOM);
    for destination in answer.destinations {
        let name = destination.metadata.unwrap_or_default().name;
        if stored.iter().any(|one| one.r#ref == name) {
            continue;
        }
        let spec = destination.spec.unwrap_or_default();
        let kind = match (&spec.http, &spec.salesforce) {
            (Some(http), _) => format!("HTTP {}", http.url),
            (_, Some(salesforce)) => format!("Salesforce {}", salesforce.url),
            _ => String::new(),
        };
        let about = format!("{} {kind}", spec.display_name);
        let about = weight::cut(about.trim(), ABOUT);
        if !room.takes(200 + 2 * name.len() + weight::of(&about)) {
            more = true;
            break;
        }
        choices.push(Choice {
            value: format!("{ADD}{name}"),
            about,
            label: name,
            ticked: false,
        });
    }
    Ok((choices, more))
}

/// One to be added, HTTP and of the webhook's own, as it is typed; without its secrets.
#[derive(Default)]
pub(super) struct Own {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) header: String,
}

impl Own {
    pub(super) fn typed(form: &Form) -> Self {
        Self {
            name: form.text("own_name").to_owned(),
            url: form.text("own_url").to_owned(),
            header: form.text("own_header").to_owned(),
        }
    }

    pub(super) fn is_blank(&self) -> bool {
        self.name.is_empty() && self.url.is_empty() && self.header.is_empty()
    }

    fn destination(self, form: &Form) -> Option<v1::WebhookDestination> {
        if self.is_blank() && form.text("own_secret").is_empty() {
            return None;
        }
        let secret = |value: &str| v1::Secret {
            value: value.to_owned(),
            ..Default::default()
        };
        let signing = Some(form.text("own_secret")).filter(|value| !value.is_empty());
        let value = form.raw("own_header_value");
        let header = (!self.header.is_empty()).then(|| (self.header, secret(value)));
        Some(v1::WebhookDestination {
            http: Some(v1::HttpTarget {
                url: self.url,
                signing_secret: signing.map(secret),
                headers: header.into_iter().collect(),
            }),
            name: self.name,
            ..Default::default()
        })
    }
}

/// As ticked, and typed.
pub(super) fn read(form: &Form, stored: &[v1::WebhookDestination]) -> Vec<v1::WebhookDestination> {
    let ticked: Vec<&str> = form.all("destination").collect();
    let kept = stored.iter().filter(|one| {
        let name = name_of(one);
        ticked
            .iter()
            .any(|value| value.strip_prefix(KEEP) == Some(name))
    });
    let mut read: Vec<_> = kept.cloned().collect();
    let added = ticked.iter().filter_map(|value| value.strip_prefix(ADD));
    let added: Vec<_> = added
        .map(|name| v1::WebhookDestination {
            r#ref: name.to_owned(),
            ..Default::default()
        })
        .chain(Own::typed(form).destination(form))
        .collect();
    let there = read.iter().any(|one| one.subscribe.is_some());
    // Subscribers alone are what nothing at all means.
    if ticked.contains(&SUBSCRIBE) && !there && !(read.is_empty() && added.is_empty()) {
        read.push(v1::WebhookDestination {
            subscribe: Some(v1::SubscribeDestination {}),
            ..Default::default()
        });
    }
    read.extend(added);
    read
}

/// Nothing is ticked: that is no way to say "nobody".
pub(super) fn nothing(form: &Form) -> bool {
    form.all("destination").next().is_none() && Own::typed(form).url.is_empty()
}

/// After a refusal: as they were ticked.
pub(super) fn tick(choices: &mut [Choice], form: &Form) {
    for choice in choices {
        choice.ticked = form.all("destination").any(|value| value == choice.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(name: &str) -> v1::WebhookDestination {
        v1::WebhookDestination {
            http: Some(v1::HttpTarget::default()),
            name: name.to_owned(),
            paused: true,
            ..Default::default()
        }
    }

    fn read_of(text: &str, stored: &[v1::WebhookDestination]) -> Vec<v1::WebhookDestination> {
        read(&Form::read(text.as_bytes()).unwrap(), stored)
    }

    #[test]
    fn subscribers_alone_stay_what_nothing_means() {
        assert!(read_of("destination=subscribe", &[]).is_empty());
        let with = read_of("destination=subscribe&destination=add:crm", &[]);
        assert!(with[0].subscribe.is_some() && with[1].r#ref == "crm");
    }

    #[test]
    fn one_of_its_own_is_added_to_what_is_ticked() {
        let own = "own_url=https://a.example/&own_name=mine&own_secret=whsec_x&own_header=authorization&own_header_value=+v";
        let read = read_of(&format!("destination=subscribe&{own}"), &[]);
        assert!(read[0].subscribe.is_some());
        let http = read[1].http.clone().unwrap();
        assert_eq!((&*read[1].name, &*http.url), ("mine", "https://a.example/"));
        assert_eq!(http.signing_secret.unwrap().value, "whsec_x");
        assert_eq!(http.headers["authorization"].value, " v");
        let alone = Form::read(own.as_bytes()).unwrap();
        assert!(!nothing(&alone) && super::read(&alone, &[]).len() == 1);
    }

    #[test]
    fn what_stays_ticked_stays_as_it_is() {
        let stored = [http("erp"), http("")];
        assert_eq!(
            read_of("destination=keep:http&destination=keep:erp", &stored),
            stored
        );
        assert_eq!(read_of("destination=keep:erp", &stored), stored[..1]);
        assert!(read_of("destination=keep:other", &stored).is_empty());
    }
}
