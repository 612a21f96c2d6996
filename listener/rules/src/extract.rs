//! Type, ids and events, read out of what is genuine.
//!
//! A value longer than [`MAX_VALUE_BYTES`] counts as missing: no provider's is, and it would be stored in indices. A batch of more items
//! than its connector allows counts as undecodable: kept whole, flagged.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use hookplane_proto::v1::PayloadFormat;

use crate::connector::{Extraction, Scheme, Value};
use crate::error::{Refusal, RefusalKind};
use crate::group::Group;
use crate::location::{SigFields, Source};
use crate::payload::{Json, Payload};
use crate::{Callback, Verified};

/// Bytes of an event type, delivery id or external id.
const MAX_VALUE_BYTES: usize = 512;

/// What was read out of a genuine callback.
#[derive(Debug)]
pub struct Extracted {
    pub(crate) callback: Callback,
    pub(crate) payload: Payload,
    pub(crate) events: Vec<ExtractedEvent>,
    pub(crate) in_batch: bool,
    pub(crate) unsigned: bool,
    pub(crate) secret_name: Option<Arc<str>>,
    /// Where the proof's credential travels, to be taken out of what is kept.
    pub(crate) scheme: Option<Arc<Scheme>>,
}

/// One event of it.
#[derive(Debug)]
pub struct ExtractedEvent {
    /// Empty when the provider gives none.
    pub event_type: String,
    /// Empty when the provider gives none.
    pub delivery_id: String,
    /// Empty when the provider gives none.
    pub external_id: String,
    /// How the payload is read.
    pub format: PayloadFormat,
    /// This item of a batch; empty means the whole body.
    pub item: Bytes,
    /// The values that the signature doesn't cover.
    pub unsigned_values: Vec<&'static str>,
}

pub(crate) fn extract(group: &Group, verified: Verified) -> Result<Extracted, Refusal> {
    let Verified {
        callback,
        payload,
        scheme,
        secret_name,
        sig,
    } = verified;
    let unsigned = secret_name.is_none();
    let default = Extraction::default();
    let protocol = group.protocol();
    let extraction = protocol.extract.as_deref().unwrap_or(&default);
    let (payload, items) = split(group, payload);
    let format = format_of(&payload);
    let source = group.source(&callback).with_payload(payload);
    let read = Reader {
        group,
        extraction,
        source: &source,
        sig: sig.as_ref(),
        scheme: scheme.as_deref(),
        shared: RefCell::default(),
    };
    let events = match &items {
        Some(items) => items
            .iter()
            .map(|item| read.event(Some(item), PayloadFormat::Json))
            .collect::<Result<Vec<_>, _>>()?,
        None => vec![read.event(None, format)?],
    };
    let in_batch = items.is_some();
    let payload = source.into_payload();
    Ok(Extracted {
        callback,
        payload,
        events,
        in_batch,
        unsigned,
        secret_name,
        scheme,
    })
}

/// The items of a batch, where the body is one.
fn split(group: &Group, payload: Payload) -> (Payload, Option<Vec<Json>>) {
    let Some(batch) = &group.protocol().batch else {
        return (payload, None);
    };
    let items = match &payload {
        Payload::Json(json) | Payload::FormJson(_, json) => json.items_at(&batch.items),
        _ => None,
    };
    match items {
        Some(items) if items.len() > batch.max_items => {
            let reason = format!(
                "{} events in one callback, {} are taken",
                items.len(),
                batch.max_items
            );
            (Payload::Opaque(reason), None)
        }
        items => (payload, items),
    }
}

pub(crate) fn format_of(payload: &Payload) -> PayloadFormat {
    match payload {
        Payload::Json(_) => PayloadFormat::Json,
        Payload::Form(_) => PayloadFormat::Form,
        Payload::FormJson(..) => PayloadFormat::FormJson,
        Payload::Opaque(_) => PayloadFormat::Opaque,
    }
}

struct Reader<'a> {
    group: &'a Group,
    extraction: &'a Extraction,
    source: &'a Source<'a>,
    sig: Option<&'a SigFields>,
    scheme: Option<&'a Scheme>,
    /// What is the same for all items of a batch, by where its definition is. Read once: reading it for each of ten thousand items would
    /// scan the whole body as often.
    shared: RefCell<HashMap<*const Value, Option<String>>>,
}

impl Reader<'_> {
    fn event(&self, item: Option<&Json>, format: PayloadFormat) -> Result<ExtractedEvent, Refusal> {
        let mut unsigned_values = Vec::new();
        let mut first = |values: &[Value], what: &'static str| {
            let (text, value) = values
                .iter()
                .find_map(|value| Some((self.value(value, item)?, value)))?;
            if !self.covers(value) {
                unsigned_values.push(what);
            }
            Some(text)
        };
        let event_type = first(&self.extraction.event_type, "type").unwrap_or_default();
        let delivery_id = first(&self.extraction.delivery_id, "delivery_id").unwrap_or_default();
        let external_id = match self.group.external_id() {
            None => first(&self.extraction.external_id, "external_id").unwrap_or_default(),
            // A provider names the account in several ways; the operator wrote one of them.
            Some(expected) => {
                let given: Vec<(String, &Value)> = self
                    .extraction
                    .external_id
                    .iter()
                    .filter_map(|value| Some((self.value(value, item)?, value)))
                    .collect();
                let Some((text, value)) = given.iter().find(|(text, _)| text == expected) else {
                    let given: Vec<&str> = given.iter().map(|(text, _)| text.as_str()).collect();
                    let given = if given.is_empty() {
                        "none".to_owned()
                    } else {
                        given.join(", ")
                    };
                    return Err(Refusal::new(
                        RefusalKind::ExternalId,
                        format!("external id is {given}; the group is for {expected}"),
                    ));
                };
                if !self.covers(value) {
                    unsigned_values.push("external_id");
                }
                text.clone()
            }
        };
        Ok(ExtractedEvent {
            event_type,
            delivery_id,
            external_id,
            format,
            item: item.map(|json| json.bytes().clone()).unwrap_or_default(),
            unsigned_values,
        })
    }

    fn value(&self, value: &Value, item: Option<&Json>) -> Option<String> {
        if item.is_none() || value.is_of_item() {
            return self.read(value, item);
        }
        self.shared
            .borrow_mut()
            .entry(std::ptr::from_ref(value))
            .or_insert_with(|| self.read(value, item))
            .clone()
    }

    /// The value, if its first part is there and it isn't too long.
    fn read(&self, value: &Value, item: Option<&Json>) -> Option<String> {
        if let Some(when) = &value.when
            && !when.holds(self.source, item)
        {
            return None;
        }
        let mut text = String::new();
        for (index, part) in value.parts.iter().enumerate() {
            match part.read(self.source, self.sig, item) {
                Some(read) => {
                    if index > 0 {
                        text.push_str(&value.separator);
                    }
                    text.push_str(&read);
                }
                None if index == 0 => return None,
                None => {}
            }
        }
        (!text.is_empty() && text.len() <= MAX_VALUE_BYTES).then_some(text)
    }

    fn covers(&self, value: &Value) -> bool {
        self.scheme
            .is_some_and(|scheme| value.parts.iter().all(|part| scheme.covers(part)))
    }
}
