//! Type, ids and events, read out of what is genuine.
//!
//! A value that can't be read for certain (it is there twice, it isn't text, it is longer than [`MAX_VALUE_BYTES`]) counts as missing. A body
//! that can't be decoded is one event of that body, flagged; what its headers say is still read.

mod split;

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;
use hookplane_proto::v1::{EventFlag, PayloadFormat};

use crate::connector::{Coverage, Source, Value};
use crate::location::Location;
use crate::payload::{Json, Kind, Payload, PayloadAt, kind, members, unescape};
use crate::request::{Around, Request, media_type, single};
use crate::{Group, Refusal, RefusalKind, Verified};

use split::{Item, split};

/// The longest event type or id, in bytes. A longer one counts as missing: a cut one could be taken for another.
pub(crate) const MAX_VALUE_BYTES: usize = 512;

/// Events times active webhooks of one callback. All of it is one append, which has to end within the shortest patience (3 s, of which we
/// use 2.4): 50,000 took 1.5 s in an unoptimised build on two cores. What is answered 503 each time it comes would never be kept.
pub(crate) const MAX_VERDICTS: usize = 50_000;

/// What was read out of a genuine callback.
#[derive(Debug)]
pub struct Extracted {
    pub(crate) verified: Verified,
    pub(crate) events: Vec<ExtractedEvent>,
    pub(crate) in_batch: bool,
    pub(crate) flags: Vec<EventFlag>,
    /// How the whole body is read.
    pub(crate) payload: Payload,
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
    /// What it was before something was taken out of it made JSON of it. Unspecified: it is as it came.
    pub came_as: PayloadFormat,
    /// Where it is when it isn't the whole body or item.
    pub payload: String,
    /// This item of a batch; empty means the whole body.
    pub item: Bytes,
    /// Those of `type`, `delivery_id` and `external_id` that the signature doesn't cover.
    pub unsigned_values: Vec<&'static str>,
    pub(crate) json: Option<Json>,
    /// SHA-256 of the item as it came, where something was taken out of it.
    pub(crate) item_digest: Bytes,
}

impl Extracted {
    /// The events, in the order they came.
    pub fn events(&self) -> &[ExtractedEvent] {
        &self.events
    }
}

pub(crate) fn extract(group: &Group, verified: Verified) -> Result<Extracted, Refusal> {
    let request = verified.request();
    let mut payload = match request.payload() {
        // A request without a body carries its values in query and headers; nothing failed to decode.
        Payload::Opaque(_) if is_bodiless(request) => Payload::Form(Default::default()),
        // What came with the token is not what it says.
        _ if request.reads_token() && !has_claims(request) => {
            Payload::Opaque("there is no token with claims, which are the payload".to_owned())
        }
        payload => payload.clone(),
    };
    let items = match (&group.function.protocol.batch, &payload) {
        (Some(batch), Payload::Json(json) | Payload::FormJson(_, json)) => {
            let active = group.webhooks.iter().filter(|webhook| webhook.active);
            split(batch, json, active.count())
        }
        _ => Ok(None),
    };
    let items = items.unwrap_or_else(|why| {
        payload = Payload::Opaque(why);
        None
    });
    let shared = Shared::default();
    let events: Vec<ExtractedEvent> = match &items {
        Some(items) => items
            .iter()
            .map(|item| event(group, &verified, &payload, Some(item), &shared))
            .collect(),
        None => vec![event(group, &verified, &payload, None, &shared)],
    };
    if let Some(expected) = &group.external_id {
        for event in &events {
            check_account(expected, &event.external_id)?;
        }
    }
    let mut flags = Vec::new();
    if matches!(payload, Payload::Opaque(_)) {
        flags.push(EventFlag::Undecodable);
    }
    if verified.is_unsigned() {
        flags.push(EventFlag::Unsigned);
    }
    Ok(Extracted {
        in_batch: items.is_some(),
        events,
        flags,
        payload,
        verified,
    })
}

/// See [`Verified::is_unregistered`].
pub(crate) fn is_unregistered(group: &Group, verified: &mut Verified) -> bool {
    // Events of a batch have types of their own, and another account's callback is refused, not left out.
    if group.function.protocol.batch.is_some() || group.external_id.is_some() {
        return false;
    }
    let coverage = verified.shared_coverage();
    let request = verified.request_mut();
    if request.callback.body.is_empty() {
        return false;
    }
    let Some(json) = request.if_valid() else {
        return false;
    };
    let types = &group.function.protocol.extraction.event_type;
    let mut is_left_out = |payload| {
        request.suppose(payload, |request| {
            let read = first(
                types,
                request,
                Around::default(),
                &coverage,
                &Shared::default(),
            );
            let event_type = read.map(|(text, _)| text).unwrap_or_default();
            !group.registers(&event_type)
        }) == Some(true)
    };
    is_left_out(Payload::Json(json)) && is_left_out(Payload::Opaque(String::new()))
}

fn has_claims(request: &Request) -> bool {
    request.said().is_some_and(|said| said.claims.is_some())
}

fn is_bodiless(request: &Request) -> bool {
    let callback = &request.callback;
    callback.body.is_empty()
        && single(&callback.headers, &http::header::CONTENT_TYPE).is_none_or(|sent| {
            media_type(sent).eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}

fn event(
    group: &Group,
    verified: &Verified,
    payload: &Payload,
    item: Option<&Item>,
    shared: &Shared,
) -> ExtractedEvent {
    let extraction = &group.function.protocol.extraction;
    let of = item.and_then(|item| item.of.as_deref());
    let item = item.map(|item| &item.json);
    let around = Around {
        item,
        parent: of.map(|of| &of.parent),
        key: of.and_then(|of| of.key.as_deref()),
        ..Around::default()
    };
    let coverage = verified.coverage();
    let mut unsigned_values = Vec::new();
    let mut read = |values: &[Value], name: &'static str| {
        let (text, is_covered) = first(values, verified.request(), around, coverage, shared)?;
        if !is_covered {
            unsigned_values.push(name);
        }
        Some(text)
    };
    let event_type = read(&extraction.event_type, "type");
    let delivery_id = read(&extraction.delivery_id, "delivery_id");
    let named = account(group, verified.request(), around, coverage, shared);
    let external_id = read(named, "external_id");
    // What a token says is kept for itself, as an item of a batch is: nobody has to take the token apart again.
    let item = item.or(verified.request().told());
    let format = match (item, payload) {
        (Some(_), _) => PayloadFormat::Json,
        (None, Payload::Opaque(_)) => PayloadFormat::Opaque,
        (None, Payload::Form(_)) if is_bodiless(verified.request()) => PayloadFormat::Form,
        (None, _) => verified.request().format(),
    };
    let place = match (item, payload) {
        (None, Payload::FormJson(..)) => extraction.payload.as_ref().map(PayloadAt::written),
        _ => None,
    };
    // Whoever reads it again has no token that is verified, so the claims go along.
    let claims = match payload {
        Payload::Json(json) if verified.request().reads_token() => Some(json),
        _ => None,
    };
    ExtractedEvent {
        event_type: event_type.unwrap_or_default(),
        delivery_id: delivery_id.unwrap_or_default(),
        external_id: external_id.unwrap_or_default(),
        format,
        came_as: PayloadFormat::Unspecified,
        payload: place.unwrap_or_default(),
        item: item
            .or(claims)
            .map(|item| item.bytes().clone())
            .unwrap_or_default(),
        unsigned_values,
        json: item.cloned(),
        item_digest: Bytes::new(),
    }
}

/// Where the account is that counts. A provider names it in several ways (an id, a login, a domain); the operator wrote one of them. Where one of them is
/// proven, only what is proven counts: some sign for all their customers with one key, and anybody may write a header.
fn account<'g>(
    group: &'g Group,
    request: &Request,
    around: Around<'_>,
    coverage: &Coverage,
    shared: &Shared,
) -> &'g [Value] {
    let all = &group.function.protocol.extraction.external_id;
    let Some(expected) = &group.external_id else {
        return all;
    };
    let named: Vec<_> = all
        .chunks(1)
        .filter_map(|value| {
            let (text, is_covered) = first(value, request, around, coverage, shared)?;
            Some((value, text, is_covered))
        })
        .collect();
    let is_proven = named.iter().any(|(_, _, is_covered)| *is_covered);
    let mut counting = named
        .iter()
        .filter(|(_, _, is_covered)| *is_covered || !is_proven);
    let as_expected = counting.clone().find(|(_, text, _)| text == expected);
    let counts = as_expected.or_else(|| counting.next());
    counts.map_or(all.as_slice(), |(value, _, _)| value)
}

/// Whether a request that is no event is of the account that the group takes: another customer's may be signed with the same key.
pub(crate) fn check_account_of(
    group: &Group,
    request: &Request,
    coverage: &Coverage,
) -> Result<(), Refusal> {
    let Some(expected) = &group.external_id else {
        return Ok(());
    };
    let (around, shared) = (Around::default(), Shared::default());
    let named = account(group, request, around, coverage, &shared);
    let found = first(named, request, around, coverage, &shared);
    check_account(expected, found.as_ref().map_or("", |(text, _)| text))
}

/// What is the same for all items of a batch, by where its definition is. Reading it for each of ten thousand items would scan the
/// whole body as often.
#[derive(Default)]
struct Shared(RefCell<HashMap<*const Value, Option<(String, bool)>>>);

/// The first value that is there, and whether all of it is covered by the signature.
fn first(
    values: &[Value],
    request: &Request,
    around: Around<'_>,
    coverage: &Coverage,
    shared: &Shared,
) -> Option<(String, bool)> {
    values.iter().find_map(|value| {
        if around.item.is_none() || value.is_of_item() {
            return read(value, request, around, coverage);
        }
        shared
            .0
            .borrow_mut()
            .entry(std::ptr::from_ref(value))
            .or_insert_with(|| read(value, request, around, coverage))
            .clone()
    })
}

fn read(
    value: &Value,
    request: &Request,
    around: Around<'_>,
    coverage: &Coverage,
) -> Option<(String, bool)> {
    if let Some(when) = &value.when
        && !when.holds(request, around)
    {
        return None;
    }
    let (mut text, is_covered) = match &value.source {
        Source::Parts { parts, separator } => joined(parts, separator, request, around, coverage)?,
        Source::MemberOf {
            location,
            skip,
            ending,
        } => {
            let name = request.object(location, around).and_then(|object| {
                members(object)
                    .filter(|(_, value)| kind(value) != Kind::Null)
                    .map(|(key, _)| unescape(key))
                    .find(|name| name.ends_with(ending) && !skip.iter().any(|one| one == name))
            })?;
            (name.into_owned(), coverage.covers(location))
        }
    };
    if let Some(meant) = value.values.get(&text) {
        text.clone_from(meant);
    }
    (!text.is_empty() && text.len() <= MAX_VALUE_BYTES).then_some((text, is_covered))
}

/// The first part, and what there is of the others.
fn joined(
    parts: &[Location],
    separator: &str,
    request: &Request,
    around: Around<'_>,
    coverage: &Coverage,
) -> Option<(String, bool)> {
    let (head, tail) = parts.split_first()?;
    let mut text = request.read(head, around).ok()?.into_owned();
    let mut is_covered = coverage.covers(head);
    for part in tail {
        if let Ok(more) = request.read(part, around)
            && !more.is_empty()
        {
            text.push_str(separator);
            text.push_str(&more);
            is_covered &= coverage.covers(part);
        }
    }
    Some((text, is_covered))
}

fn check_account(expected: &str, found: &str) -> Result<(), Refusal> {
    if found == expected {
        return Ok(());
    }
    let reason = if found.is_empty() {
        format!("it names no account, and the group takes only those of `{expected}`")
    } else {
        format!("it is of account `{found}`, and the group takes only those of `{expected}`")
    };
    Err(Refusal::new(RefusalKind::ExternalId, reason))
}

#[cfg(test)]
mod batches;
#[cfg(test)]
mod tests;
