//! How a function speaks, but for its schemes and handshakes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookplane_proto::v1;
use http::Method;

use super::compile::Errors;
use super::{
    Answer, Answering, Batch, Extraction, Proof, Protocol, Scheme, Value, handshake, scheme,
};
use crate::callback::Reply;
use crate::location::{self, Condition, Location};

/// The most a group can take: what a listener can hold of many at a time, and what GitHub sends at most.
pub(crate) const MAX_BODY_BYTES: u64 = 26_214_400;
const MAX_METHODS: usize = 8;
const MAX_CONTENT_TYPES: usize = 16;
const MAX_ALTERNATIVES: usize = 16;
const MAX_JOINED: usize = 8;
const DEFAULT_BATCH_ITEMS: usize = 1_000;
const MAX_BATCH_ITEMS: usize = 10_000;
/// No provider waits longer; a larger number is a mistake in units.
const MAX_PATIENCE_SECONDS: u32 = 300;
const MAX_ANSWER_BYTES: usize = 4_096;

/// Compiles what is set. What isn't stays empty, for [`over`] to fill.
pub(super) fn compile(
    protocol: Option<&v1::Protocol>,
    at: &str,
    parameters: &[v1::ConnectorParameter],
    errors: &mut Errors,
) -> Protocol {
    let Some(protocol) = protocol else {
        return Protocol::default();
    };
    too_many(
        protocol.methods.len(),
        MAX_METHODS,
        &format!("{at}.methods"),
        errors,
    );
    too_many(
        protocol.content_types.len(),
        MAX_CONTENT_TYPES,
        &format!("{at}.contentTypes"),
        errors,
    );
    too_many(
        protocol.schemes.len(),
        MAX_ALTERNATIVES,
        &format!("{at}.schemes"),
        errors,
    );
    too_many(
        protocol.handshakes.len(),
        MAX_ALTERNATIVES,
        &format!("{at}.handshakes"),
        errors,
    );
    if protocol
        .max_body_bytes
        .is_some_and(|bytes| bytes == 0 || bytes > MAX_BODY_BYTES)
    {
        errors.add(
            format!("{at}.maxBodyBytes"),
            format!("is 1 to {MAX_BODY_BYTES}"),
        );
    }
    let mut methods = Vec::new();
    for (index, name) in protocol.methods.iter().enumerate() {
        let method = method(name);
        methods.extend(errors.take(&format!("{at}.methods[{index}]"), method));
    }
    for (index, name) in protocol.content_types.iter().enumerate() {
        if !name.contains('/') || name.contains(';') || *name != name.to_ascii_lowercase() {
            errors.add(
                format!("{at}.contentTypes[{index}]"),
                format!("`{name}` is no content type: lower case, without parameters, as in application/json"),
            );
        }
    }
    let schemes = protocol
        .schemes
        .iter()
        .enumerate()
        .filter_map(|(index, message)| {
            scheme::compile(
                message,
                &format!("{at}.schemes[{index}]"),
                parameters,
                errors,
            )
        })
        .map(Arc::new)
        .collect();
    let handshakes = protocol
        .handshakes
        .iter()
        .enumerate()
        .filter_map(|(index, message)| {
            handshake::compile(message, &format!("{at}.handshakes[{index}]"), errors)
        })
        .map(Arc::new)
        .collect();
    Protocol {
        methods,
        content_types: protocol.content_types.clone(),
        max_body_bytes: protocol.max_body_bytes,
        schemes,
        handshakes,
        extract: protocol
            .extract
            .as_ref()
            .map(|message| Arc::new(extraction(message, &format!("{at}.extract"), errors))),
        batch: protocol
            .batch
            .as_ref()
            .and_then(|message| batch(message, &format!("{at}.batch"), errors)),
        answer: protocol
            .answer
            .as_ref()
            .map(|message| answer(message, &format!("{at}.answer"), errors)),
    }
}

/// A function's own protocol over its connector's: what is set wins, field by field.
pub(super) fn over(shared: &Protocol, own: Protocol) -> Protocol {
    fn either<T: Clone>(own: Vec<T>, shared: &[T]) -> Vec<T> {
        if own.is_empty() { shared.to_vec() } else { own }
    }
    Protocol {
        methods: either(own.methods, &shared.methods),
        content_types: either(own.content_types, &shared.content_types),
        max_body_bytes: own.max_body_bytes.or(shared.max_body_bytes),
        schemes: either(own.schemes, &shared.schemes),
        handshakes: either(own.handshakes, &shared.handshakes),
        extract: own.extract.or_else(|| shared.extract.clone()),
        batch: own.batch.or_else(|| shared.batch.clone()),
        answer: own.answer.or_else(|| shared.answer.clone()),
    }
}

/// What only shows once a function's parts are together. `all` are the schemes of all functions: one secret may be set for several.
pub(super) fn together(protocol: &Protocol, all: &[Arc<Scheme>], at: &str, errors: &mut Errors) {
    // Risk 35: a reply that is a MAC under the signing secret must not be one of signed content.
    for handshake in &protocol.handshakes {
        let Answering::Hmac { .. } = handshake.answering else {
            continue;
        };
        for scheme in all {
            let (Proof::Hmac(keyed) | Proof::Digest(keyed)) = &scheme.proof else {
                continue;
            };
            let told_apart = keyed.content.pieces.iter().any(|piece| match piece {
                location::Piece::Text(text) => text.chars().any(|c| !handshake.allows(c)),
                _ => false,
            });
            if !told_apart {
                errors.add(
                    at,
                    format!(
                        "handshake `{}` would sign content that scheme `{}` takes: the challenge's characters must exclude one of the literals in its content",
                        handshake.name, scheme.name
                    ),
                );
            }
        }
    }
}

fn too_many(count: usize, max: usize, at: &str, errors: &mut Errors) {
    if count > max {
        errors.add(at, format!("more than {max}"));
    }
}

pub(super) fn method(name: &str) -> Result<Method, String> {
    match name {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => {
            Method::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no method"))
        }
        _ => Err(format!(
            "`{name}` is none of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        )),
    }
}

/// A location at a field.
pub(super) fn location(text: &str, at: &str, errors: &mut Errors) -> Option<Location> {
    errors.take(at, Location::parse(text))
}

pub(super) fn condition(
    message: Option<&v1::Condition>,
    at: &str,
    errors: &mut Errors,
) -> Option<Condition> {
    let message = message?;
    let at = format!("{at}.when");
    let mut condition = Condition::default();
    let set = |text: &str| !text.is_empty();
    if set(&message.method) {
        condition.method = errors.take(&format!("{at}.method"), method(&message.method));
    }
    if set(&message.content_type) {
        condition.content_type = Some(message.content_type.clone());
    }
    if set(&message.present) {
        condition.present = location(&message.present, &format!("{at}.present"), errors);
    }
    if set(&message.absent) {
        condition.absent = location(&message.absent, &format!("{at}.absent"), errors);
    }
    if set(&message.location) {
        condition.equals = location(&message.location, &format!("{at}.location"), errors)
            .map(|location| (location, message.equals.clone()));
        if !set(&message.equals) {
            errors.add(format!("{at}.equals"), "is missing beside `location`");
        }
    } else if set(&message.equals) {
        errors.add(format!("{at}.location"), "is missing beside `equals`");
    }
    if condition == Condition::default() {
        errors.add(
            at,
            "says nothing: set method, contentType, present, absent, or location and equals",
        );
    }
    Some(condition)
}

fn extraction(message: &v1::Extraction, at: &str, errors: &mut Errors) -> Extraction {
    Extraction {
        event_type: values(&message.event_type, &format!("{at}.eventType"), errors),
        delivery_id: values(&message.delivery_id, &format!("{at}.deliveryId"), errors),
        delivery_id_is_unique: message.delivery_id_is_unique,
        external_id: values(&message.external_id, &format!("{at}.externalId"), errors),
        json_form_field: Some(message.json_form_field.clone()).filter(|name| !name.is_empty()),
    }
}

fn values(messages: &[v1::Value], at: &str, errors: &mut Errors) -> Vec<Value> {
    too_many(messages.len(), MAX_ALTERNATIVES, at, errors);
    messages
        .iter()
        .enumerate()
        .map(|(index, message)| {
            let at = format!("{at}[{index}]");
            too_many(
                message.join.len(),
                MAX_JOINED,
                &format!("{at}.join"),
                errors,
            );
            let mut parts = Vec::new();
            if message.from.is_empty() == message.join.is_empty() {
                errors.add(&*at, "takes either `from` or `join`");
            } else if message.join.is_empty() {
                parts.extend(location(&message.from, &format!("{at}.from"), errors));
            } else {
                for (part, text) in message.join.iter().enumerate() {
                    parts.extend(location(text, &format!("{at}.join[{part}]"), errors));
                }
            }
            Value {
                parts,
                separator: message.separator.clone(),
                when: condition(message.when.as_ref(), &at, errors),
            }
        })
        .collect()
}

fn batch(message: &v1::Batch, at: &str, errors: &mut Errors) -> Option<Batch> {
    let max_items = match usize::try_from(message.max_items).unwrap_or(usize::MAX) {
        0 => DEFAULT_BATCH_ITEMS,
        more if more > MAX_BATCH_ITEMS => {
            errors.add(
                format!("{at}.maxItems"),
                format!("is at most {MAX_BATCH_ITEMS}"),
            );
            MAX_BATCH_ITEMS
        }
        fine => fine,
    };
    match location(&message.items, &format!("{at}.items"), errors)? {
        Location::Json(items) => Some(Batch { items, max_items }),
        _ => {
            errors.add(
                format!("{at}.items"),
                "is `json:` for a body that is an array, or `json:/pointer`",
            );
            None
        }
    }
}

fn answer(message: &v1::Answer, at: &str, errors: &mut Errors) -> Answer {
    let status = match message.status {
        0 => 200,
        other => u16::try_from(other).unwrap_or_default(),
    };
    if !(200..300).contains(&status) {
        errors.add(format!("{at}.status"), "is 200 to 299");
    }
    if message.body.len() > MAX_ANSWER_BYTES {
        errors.add(
            format!("{at}.body"),
            format!("is longer than {MAX_ANSWER_BYTES} bytes"),
        );
    }
    if status == 204 && !message.body.is_empty() {
        errors.add(format!("{at}.body"), "can't go with status 204");
    }
    if http::HeaderValue::from_str(&message.content_type).is_err() {
        errors.add(format!("{at}.contentType"), "is no header value");
    }
    if message.patience_seconds > MAX_PATIENCE_SECONDS {
        errors.add(
            format!("{at}.patienceSeconds"),
            format!("is at most {MAX_PATIENCE_SECONDS}"),
        );
    }
    Answer {
        reply: Reply {
            status,
            content_type: Some(message.content_type.clone()).filter(|name| !name.is_empty()),
            body: Bytes::copy_from_slice(message.body.as_bytes()),
        },
        patience: (message.patience_seconds > 0)
            .then(|| Duration::from_secs(message.patience_seconds.into())),
    }
}
