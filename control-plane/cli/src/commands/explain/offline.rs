//! One captured request before a manifest's group: the rules that a listener runs, run here.

use std::path::Path;
use std::sync::Arc;

use hookplane_control_plane::catalogue::Catalogue;
use hookplane_control_plane::manifest::Document;
use hookplane_proto::v1;
use hookplane_proto::v1::manifest::Resource;
use hookplane_rules::{
    Callback, Clock as _, Connector, Effort, FieldError, Group, Head, NoKeys, Proven, Refusal,
    RefusalKind, Timestamp, Unproven, Visit,
};

use super::captured::{self, Captured};
use crate::args::Explain;
use crate::commands::apply::{self, Instead};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, note, visible};
use crate::servers::clock::SystemClock;
use crate::times;

/// The largest secret's file.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

pub(super) fn explain(
    request: &Path,
    file: &Path,
    name: Option<&Name>,
    explain: &Explain,
) -> Result<(), Failure> {
    let Captured { callback, url, now } = captured::read(request)?;
    let secret = explain.secret_file.as_deref().map(secret).transpose()?;
    let instead = secret.as_deref().map_or(Instead::Refused, Instead::Text);
    let (file, documents) = apply::read(file, &instead)?;
    let mut group = find(&file, &documents, name)?;
    let at = explain.at.as_deref().map(times::rfc3339).transpose();
    let at = at.map_err(Failure::Usage)?;
    let now = at.or(now).unwrap_or_else(|| SystemClock.now());
    let is_guessed = explain.url.is_none() && url.is_some();
    let url = explain.url.clone().or(url).unwrap_or_default();
    group.status = Some(v1::WebhookGroupStatus {
        callback_url: url.clone(),
        ..Default::default()
    });
    if let Some(value) = secret {
        let spec = group.spec.get_or_insert_default();
        spec.signature_secrets = vec![v1::SignatureSecret {
            value,
            ..Default::default()
        }];
    }
    let group = compile(&file, &documents, &group)?;
    match prove(&group, callback.clone(), now) {
        Ok(Proven::Handshake(shaken)) => output::line(&format!(
            "genuine: it proves the URL, and is answered {}",
            shaken.reply.status
        )),
        Ok(Proven::Genuine(verified)) => {
            let extracted = group
                .extract(verified)
                .map_err(|refusal| refused(&refusal))?;
            let matched = group.match_events(extracted);
            let report = matched.into_report([0; 16], 0, now);
            output::text(&genuine(&report))
        }
        Err(Unproven::NeedsKey(needed)) => Err(Failure::new(format!(
            "it is verified with the public key at {}, which isn't fetched here",
            needed.source
        ))
        .hint("a listener fetches it: `hookplane explain ORG/GROUP` shows what it found")),
        Err(Unproven::Refused(why)) => {
            let refusal = why.refusal;
            let line = format!("refused by {}: {}", refusal.kind.clause(), refusal.reason);
            output::line(&visible(&line))?;
            if [RefusalKind::Signature, RefusalKind::Timestamp].contains(&refusal.kind) {
                let diagnosis = group.diagnose(Visit {
                    callback: &callback,
                    clause: refusal.kind,
                    keys: &NoKeys,
                    now,
                    effort: Effort::Thorough,
                    go_on: &mut || true,
                });
                let cause = diagnosis.cause.name();
                output::line(&visible(&format!("likely cause: {cause}")))?;
                output::line(&visible(&diagnosis.advice))?;
            }
            if is_guessed {
                note(
                    "the callback URL is taken to be on the request's own host; --url says what the provider was given",
                );
            }
            if refusal.kind == RefusalKind::Timestamp && at.is_none() {
                note("--at says when it came, if that was long ago");
            }
            Err(Failure::new("the request is refused"))
        }
    }
}

fn secret(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;

    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_SECRET_BYTES).read_to_string(&mut text))
        .map_err(|error| Failure::new(format!("read {}: {error}", path.display())))?;
    Ok(apply::without_line_break(&text).to_owned())
}

/// The group that is meant, as the manifest has it.
fn find(
    file: &str,
    documents: &[Document],
    name: Option<&Name>,
) -> Result<v1::WebhookGroup, Failure> {
    let groups: Vec<&v1::WebhookGroup> = documents
        .iter()
        .filter_map(|document| match &document.manifest.resource {
            Some(Resource::WebhookGroup(group)) => Some(group),
            _ => None,
        })
        .collect();
    let is_named = |group: &&&v1::WebhookGroup| {
        let metadata = group.metadata.clone().unwrap_or_default();
        name.is_none_or(|name| name.part(0) == metadata.org && name.part(1) == metadata.name)
    };
    let mut found = groups.iter().filter(is_named);
    match (found.next(), found.next()) {
        (Some(group), None) => Ok((*group).clone()),
        (Some(_), Some(_)) => Err(Failure::Usage(format!(
            "{file} has several groups: name the one that is meant, ORG/GROUP"
        ))),
        (None, _) => Err(match groups.is_empty() {
            false => Failure::new(format!("{file} has no such group"))
                .hint("it needs a document of kind WebhookGroup with this org and name"),
            true => Failure::new(format!("{file} has no WebhookGroup"))
                .hint("it needs a document of kind WebhookGroup"),
        }),
    }
}

fn compile(
    file: &str,
    documents: &[Document],
    group: &v1::WebhookGroup,
) -> Result<Arc<Group>, Failure> {
    let said = |errors: Vec<FieldError>| {
        let errors: Vec<String> = errors
            .iter()
            .map(|error| visible(&error.to_string()))
            .collect();
        Failure::new(format!("{file}: {}", errors.join("\n")))
    };
    let spec = group.spec.clone().unwrap_or_default();
    let org = group.metadata.as_ref().map_or("", |metadata| &metadata.org);
    let own = documents
        .iter()
        .find_map(|document| match &document.manifest.resource {
            Some(Resource::Connector(connector)) => {
                let metadata = connector.metadata.as_ref()?;
                let is_it = metadata.org == org && metadata.name == spec.connector;
                is_it.then_some(connector)
            }
            _ => None,
        });
    let catalogue = Catalogue::built_in();
    let definition = own.or_else(|| catalogue.get(&spec.connector));
    let definition = definition.ok_or_else(|| {
        Failure::new(format!(
            "{file}: connector `{}` is not built in and not in this file",
            visible(&spec.connector)
        ))
        .hint("`hookplane get connectors` lists the built-in ones; one of your own stands in the same file")
    })?;
    let connector = Connector::compile(definition).map_err(said)?;
    Group::compile(group, connector, Vec::new()).map_err(said)
}

/// As a listener does it: the head first.
fn prove(group: &Group, callback: Callback, now: Timestamp) -> Result<Proven, Unproven> {
    let head = Head {
        method: &callback.method,
        path: "/",
        query: &callback.query,
        headers: &callback.headers,
    };
    group.admit(head, Some(callback.body.len() as u64))?;
    group.verify_with(callback, &NoKeys, now)
}

fn refused(refusal: &Refusal) -> Failure {
    Failure::new(visible(&format!(
        "refused by {}: {}",
        refusal.kind.clause(),
        refusal.reason
    )))
}

fn genuine(report: &v1::ReportedCallback) -> String {
    let mut text = format!("genuine: {} event(s)\n", report.events.len());
    for event in &report.events {
        let or_none = |text: &str| match text {
            "" => "none".to_owned(),
            text => visible(text),
        };
        text.push_str(&format!(
            "{}  delivery id: {}  external id: {}  registered: {}\n",
            or_none(&event.r#type),
            or_none(&event.delivery_id),
            or_none(&event.external_id),
            if event.registered { "yes" } else { "no" },
        ));
    }
    if !report.undecodable_reason.is_empty() {
        text.push_str(&format!(
            "its body can't be decoded: {}\n",
            visible(&report.undecodable_reason)
        ));
    }
    text
}
