//! `preview`: what a webhook, saved or not, would make of an event.

mod records;

use std::future::Future;
use std::io::Read as _;
use std::path::Path;

use hookplane_control_plane::manifest::Document;
use hookplane_proto::v1;
use hookplane_proto::v1::manifest::Resource;
use hookplane_rules::text::cut;
use serde::Serialize;
use serde_json::value::RawValue;

use super::apply::{self, Instead};
use crate::args::{Preview, ShortFormat};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, json, visible};

/// One byte more than the API takes tells that there is more.
const MAX_PAYLOAD_BYTES: u64 = 1024 * 1024 + 1;
/// Of a request's body that people are shown, in bytes.
const SHOWN_BODY_BYTES: usize = 16 * 1024;
const SHAPE: &str = "ORG/GROUP/WEBHOOK";

pub(crate) async fn run<R>(preview: &Preview, connect: impl FnOnce() -> R) -> Result<(), Failure>
where
    R: Future<Output = Result<Api, Failure>>,
{
    let name = preview.webhook.as_deref();
    let name = name.map(|name| Name::exact(name, 3, SHAPE)).transpose()?;
    let (webhook, manifests) = match (&preview.file, &name) {
        (Some(file), name) => {
            // Nothing is sent: a secret that can't be brought in is the stored one, or none.
            let (file, documents) = apply::read(file, &Instead::Stored)?;
            let webhook = of_manifest(&file, &documents, name.as_ref())?;
            let before = before(&documents, &webhook);
            (webhook, before)
        }
        (None, Some(name)) => (
            v1::Webhook {
                metadata: Some(v1::Metadata {
                    org: name.part(0).to_owned(),
                    group: name.part(1).to_owned(),
                    name: name.part(2).to_owned(),
                    ..Default::default()
                }),
                ..Default::default()
            },
            Vec::new(),
        ),
        (None, None) => return Err(Failure::Usage(format!("give one {SHAPE}"))),
    };
    let payload_json = preview.payload.as_deref().map(read).transpose()?;
    let request = v1::PreviewRequest {
        webhook: Some(webhook),
        event_id: preview.event.clone().unwrap_or_default(),
        sample: preview.sample.clone().unwrap_or_default(),
        payload_json: payload_json.unwrap_or_default(),
        event_type: preview.event_type.clone().unwrap_or_default(),
        check_destinations: preview.check,
        manifests,
    };
    let answer = connect().await?.previews().preview(request).await?;
    let answer = answer.into_inner();
    match preview.output {
        ShortFormat::Json => output::line(&as_json(&answer)?),
        ShortFormat::Table => output::text(&render(&answer)),
    }
}

/// The webhook that is meant, as the manifest has it.
fn of_manifest(
    file: &str,
    documents: &[Document],
    name: Option<&Name>,
) -> Result<v1::Webhook, Failure> {
    let webhooks: Vec<&v1::Webhook> = webhooks(documents).collect();
    let path = |webhook: &v1::Webhook| {
        let metadata = webhook.metadata.clone().unwrap_or_default();
        format!("{}/{}/{}", metadata.org, metadata.group, metadata.name)
    };
    let named = |webhook: &&&v1::Webhook| {
        let metadata = webhook.metadata.clone().unwrap_or_default();
        name.is_none_or(|name| {
            [&metadata.org, &metadata.group, &metadata.name]
                .iter()
                .enumerate()
                .all(|(at, part)| name.part(at) == part.as_str())
        })
    };
    let found: Vec<_> = webhooks.iter().filter(named).collect();
    match found.as_slice() {
        [webhook] => Ok((**webhook).clone()),
        [] => {
            let failure = Failure::new(format!("{file}: there is no such webhook in it"));
            let there: Vec<String> = webhooks.iter().map(|webhook| path(webhook)).collect();
            Err(match there.is_empty() {
                true => failure,
                false => failure.hint(format!("it has {}", there.join(", "))),
            })
        }
        several => Err(Failure::Usage(format!(
            "{file} has {} webhooks: say which, as in {}",
            several.len(),
            path(several[0])
        ))),
    }
}

/// What of the file would be saved before the webhook, and matters to it.
pub(super) fn before(documents: &[Document], webhook: &v1::Webhook) -> Vec<v1::Manifest> {
    let of = webhook.metadata.clone().unwrap_or_default();
    let spec = webhook.spec.clone().unwrap_or_default();
    let is = |metadata: &Option<v1::Metadata>, named: &dyn Fn(&str) -> bool| {
        let metadata = metadata.as_ref();
        metadata.is_some_and(|metadata| metadata.org == of.org && named(&metadata.name))
    };
    let refers = |name: &str| spec.destinations.iter().any(|one| one.r#ref == name);
    let matters = |manifest: &&v1::Manifest| match &manifest.resource {
        Some(Resource::Org(org)) => org.metadata.as_ref().is_some_and(|m| m.name == of.org),
        Some(Resource::Connector(connector)) => is(&connector.metadata, &|_| true),
        Some(Resource::WebhookGroup(group)) => is(&group.metadata, &|name| name == of.group),
        Some(Resource::Destination(destination)) => is(&destination.metadata, &refers),
        Some(Resource::Webhook(_)) | None => false,
    };
    let all = documents.iter().map(|document| &document.manifest);
    let mut found: Vec<_> = all.filter(matters).cloned().collect();
    found.sort_by_key(apply::rank);
    found
}

/// Those of a file.
pub(super) fn webhooks(documents: &[Document]) -> impl Iterator<Item = &v1::Webhook> {
    documents
        .iter()
        .filter_map(|document| match &document.manifest.resource {
            Some(Resource::Webhook(webhook)) => Some(webhook),
            _ => None,
        })
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let done = if path == Path::new("-") {
        std::io::stdin()
            .take(MAX_PAYLOAD_BYTES)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_PAYLOAD_BYTES).read_to_string(&mut text))
    };
    done.map_err(|error| Failure::new(format!("read {}: {error}", path.display())))?;
    if text.is_empty() {
        return Err(Failure::new(format!("{}: it is empty", path.display())));
    }
    Ok(text)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    matched: bool,
    held: bool,
    reason: &'a str,
    event: Event<'a>,
    order_key: &'a str,
    /// Null without a mapping, or where there is nothing of one; with problems, without the fields that have one.
    records: Option<Box<RawValue>>,
    problems: Vec<Problem<'a>>,
    without_value: Vec<Problem<'a>>,
    requests: Vec<Sent<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<Check<'a>>,
}

/// What a destination says of the mapping.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check<'a> {
    destination: &'a str,
    problems: Vec<Problem<'a>>,
    /// Why it wasn't asked.
    #[serde(skip_serializing_if = "str::is_empty")]
    not_checked: &'a str,
}

#[derive(Serialize)]
struct Event<'a> {
    /// Empty where it isn't recorded.
    id: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    sample: &'a str,
}

#[derive(Serialize)]
struct Problem<'a> {
    field: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent<'a> {
    destination: &'a str,
    method: &'a str,
    url: &'a str,
    headers: &'a std::collections::BTreeMap<String, String>,
    body: &'a str,
    /// Why there is none.
    #[serde(skip_serializing_if = "str::is_empty")]
    not_made: &'a str,
}

fn as_json(answer: &v1::PreviewResponse) -> Result<String, Failure> {
    json::line(&Shown {
        matched: answer.matched,
        held: answer.held,
        reason: &answer.reason,
        event: Event {
            id: &answer.event_id,
            event_type: &answer.event_type,
            sample: &answer.sample,
        },
        order_key: &answer.order_key,
        records: json::raw(&answer.records_json),
        problems: of(&answer.problems),
        without_value: of(&answer.without_value),
        requests: answer
            .requests
            .iter()
            .map(|request| Sent {
                destination: &request.destination,
                method: &request.method,
                url: &request.url,
                headers: &request.headers,
                body: &request.body,
                not_made: &request.not_made,
            })
            .collect(),
        checks: answer
            .checks
            .iter()
            .map(|check| Check {
                destination: &check.destination,
                problems: of(&check.problems),
                not_checked: &check.not_checked,
            })
            .collect(),
    })
}

fn of(problems: &[v1::FieldProblem]) -> Vec<Problem<'_>> {
    let shown = problems.iter().map(|problem| Problem {
        field: &problem.field,
        reason: &problem.reason,
    });
    shown.collect()
}

fn render(answer: &v1::PreviewResponse) -> String {
    let mut text = String::new();
    let mut say = |line: &str| {
        text.push_str(&visible(line));
        text.push('\n');
    };
    let of = match (answer.event_id.as_str(), answer.sample.as_str()) {
        ("", "") => "the payload".to_owned(),
        ("", sample) => format!("the sample {sample}"),
        (id, _) => id.to_owned(),
    };
    say(&format!("event:    {of}, type {}", answer.event_type));
    let verdict = match (answer.matched, answer.held) {
        (true, true) => "matched, and held",
        (true, false) => "matched",
        _ => "not matched",
    };
    let why = match answer.reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    say(&format!("verdict:  {verdict}{why}"));
    if !answer.order_key.is_empty() {
        say(&format!(
            "order:    after earlier ones of `{}`",
            answer.order_key
        ));
    }
    let shows_more = !answer.records_json.is_empty() || !answer.requests.is_empty();
    if !answer.matched && shows_more {
        say("If it matched:");
    }
    if !answer.problems.is_empty() {
        say("problems:");
        for problem in &answer.problems {
            say(&format!("  {}: {}", problem.field, problem.reason));
        }
    }
    if !answer.records_json.is_empty() {
        say(match answer.problems.is_empty() {
            true => "records:",
            false => "records, without the fields that have a problem:",
        });
        for line in records::tree(&answer.records_json) {
            say(&line);
        }
    }
    if !answer.without_value.is_empty() {
        say("without a value:");
        for one in &answer.without_value {
            say(&format!("  {}: {}", one.field, one.reason));
        }
    }
    for check in &answer.checks {
        let name = &check.destination;
        if !check.not_checked.is_empty() {
            say(&format!("{name} couldn't be asked: {}", check.not_checked));
        } else if check.problems.is_empty() {
            say(&format!("{name} has all these objects and fields"));
        } else {
            say(&format!("{name} says:"));
        }
        for problem in &check.problems {
            say(&format!("  {}: {}", problem.field, problem.reason));
        }
    }
    for request in &answer.requests {
        if !request.not_made.is_empty() {
            say(&format!(
                "no request to {}: {}",
                request.destination, request.not_made
            ));
            continue;
        }
        say(&format!(
            "request to {}:  {} {}",
            request.destination, request.method, request.url
        ));
        for (name, value) in &request.headers {
            say(&format!("  {name}: {value}"));
        }
        let shown = cut(&request.body, SHOWN_BODY_BYTES);
        for line in shown.lines() {
            say(&format!("  | {line}"));
        }
        if shown.len() < request.body.len() {
            say(&format!(
                "  | … {} bytes more; -o json has all of it",
                request.body.len() - shown.len()
            ));
        }
    }
    if answer.requests.is_empty() && !answer.held && answer.problems.is_empty() {
        say("requests: none; subscribers get it when they ask");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookplane_control_plane::manifest;

    fn answer() -> v1::PreviewResponse {
        v1::PreviewResponse {
            matched: true,
            event_id: "e-1".into(),
            event_type: "orders/paid".into(),
            records_json: r#"[{"object":"Order__c","operation":"upsert","key":"Id__c","fields":{"Id__c":"7","Total__c":12.50}}]"#.into(),
            requests: vec![v1::OutboundRequest {
                destination: "http".into(),
                method: "POST".into(),
                url: "https://erp.example.com/".into(),
                headers: [("webhook-signature".to_owned(), "***".to_owned())].into(),
                body: "{\"a\":1}".into(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn people_read_verdict_records_and_requests() {
        assert_eq!(
            render(&answer()),
            "event:    e-1, type orders/paid\n\
             verdict:  matched\n\
             records:\n  Order__c  upsert by Id__c\n    Id__c = \"7\"\n    Total__c = 12.50\n\
             request to http:  POST https://erp.example.com/\n  webhook-signature: ***\n  | {\"a\":1}\n"
        );
        let mut held = answer();
        held.held = true;
        held.records_json.clear();
        held.requests.clear();
        held.problems = vec![v1::FieldProblem {
            field: "base.fields.Total__c".into(),
            reason: "is\u{1b}[2J missing".into(),
        }];
        let text = render(&held);
        assert!(text.contains("matched, and held"), "{text}");
        assert!(text.contains("  base.fields.Total__c: is"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn json_keeps_the_digits_and_is_one_line() {
        let text = as_json(&answer()).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains(r#""Total__c":12.50"#), "{text}");
        assert!(text.contains(r#""event":{"id":"e-1","type":"orders/paid","sample":""}"#));
    }

    #[test]
    fn a_manifest_with_one_webhook_needs_no_name() {
        let one = "apiVersion: hookplane.dev/v1\nkind: Webhook\nmetadata: {org: a, group: g, name: w}\nspec: {label: W}\n";
        let two = format!("{one}---\n{}", one.replace("name: w", "name: v"));
        let (one, two) = (
            manifest::parse(one).unwrap(),
            manifest::parse(&two).unwrap(),
        );
        assert!(of_manifest("f", &one, None).is_ok());
        assert!(matches!(
            of_manifest("f", &two, None),
            Err(Failure::Usage(_))
        ));
        let name = Name::exact("a/g/v", 3, SHAPE).ok();
        assert!(of_manifest("f", &two, name.as_ref()).is_ok());
        let none = Name::exact("a/g/x", 3, SHAPE).ok();
        assert!(of_manifest("f", &two, none.as_ref()).is_err());
    }
}
