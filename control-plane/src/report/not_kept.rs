//! Examples of what was genuine and not kept: by the listener, or here, where a callback is matched again or is a repeat.

use std::collections::BTreeMap;

use hookplane_proto::v1;

use crate::config::GroupRecord;
use crate::context::Context;
use crate::log::notes::VERDICTS;
use crate::log::{Note, NoteKind};

/// Remembers one for its group's operators, its webhooks by their names.
pub(super) fn remember(context: &Context, record: &GroupRecord, mut example: v1::Refusal) {
    let metadata = record.group.metadata.clone().unwrap_or_default();
    let names: BTreeMap<&str, &str> = record
        .webhooks
        .iter()
        .filter_map(|webhook| webhook.metadata.as_ref())
        .map(|m| (m.uid.as_str(), m.name.as_str()))
        .collect();
    // A webhook deleted meanwhile has no name to be shown under.
    example.verdicts.retain_mut(|verdict| {
        let name = names.get(verdict.webhook_uid.as_str());
        verdict.webhook = name.copied().unwrap_or_default().to_owned();
        name.is_some()
    });
    (example.org, example.group) = (metadata.org, metadata.name);
    let note = Note::new(NoteKind::NotKept, &metadata.uid, example);
    context.log.notes().note(note);
}

/// One that came as far as here.
pub(super) fn example(
    callback: &v1::ReportedCallback,
    clause: &str,
    reason: String,
) -> v1::Refusal {
    let registered = callback.events.iter().find(|event| event.registered);
    let event = registered.or(callback.events.first());
    v1::Refusal {
        time: callback.receive_time,
        status: 200,
        clause: clause.to_owned(),
        reason,
        method: callback.method.clone(),
        header_names: callback.headers.keys().cloned().collect(),
        body_bytes: callback.body.len() as u64,
        event_type: event.map(|e| e.r#type.clone()).unwrap_or_default(),
        delivery_id: event.map(|e| e.delivery_id.clone()).unwrap_or_default(),
        verdicts: event
            .into_iter()
            .flat_map(|event| event.matches.iter().filter(|of| !of.matched))
            .take(VERDICTS)
            .map(|of| v1::WebhookVerdict {
                webhook_uid: of.webhook_uid.clone(),
                reason: of.reason.clone(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}
