//! Type, ids and events, read out of what is genuine.
//!
//! A value that can't be read for certain (it is there twice, it isn't text, it is longer than [`MAX_VALUE_BYTES`]) counts as missing. A body
//! that can't be decoded is one event of that body, flagged; what its headers say is still read.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;
use hookplane_proto::v1::{EventFlag, PayloadFormat};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::connector::{Batch, Coverage, Value};
use crate::payload::{self, Json, Payload};
use crate::request::{Around, Request, media_type, single};
use crate::{Group, Refusal, RefusalKind, Verified};

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
    /// This item of a batch; empty means the whole body.
    pub item: Bytes,
    /// Those of `type`, `delivery_id` and `external_id` that the signature doesn't cover.
    pub unsigned_values: Vec<&'static str>,
    pub(crate) json: Option<Json>,
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
            check_account(expected, event)?;
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
    let callback = &request.callback;
    let text = |name| single(&callback.headers, name);
    let (content_type, encoding) = (text(&CONTENT_TYPE), text(&CONTENT_ENCODING));
    if callback.body.is_empty() {
        return false;
    }
    let Some(json) = payload::if_valid(content_type, encoding, &callback.body) else {
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

fn is_bodiless(request: &Request) -> bool {
    let callback = &request.callback;
    callback.body.is_empty()
        && single(&callback.headers, &http::header::CONTENT_TYPE).is_none_or(|sent| {
            media_type(sent).eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}

/// The items; None for a body that is one event. More than the definition allows are no items at all.
fn split(batch: &Batch, json: &Json, webhooks: usize) -> Result<Option<Vec<Json>>, String> {
    match json.items_at(&batch.items) {
        None => Ok(None),
        Some(items) if items.is_empty() => Ok(None),
        Some(items) if items.len() > batch.max_items => Err(format!(
            "it holds {} items, at most {} are taken",
            items.len(),
            batch.max_items
        )),
        Some(items) if items.len().saturating_mul(webhooks) > MAX_VERDICTS => Err(format!(
            "it holds {} items for {webhooks} webhooks, at most {MAX_VERDICTS} pairs are taken",
            items.len(),
        )),
        Some(items) => Ok(Some(items)),
    }
}

fn event(
    group: &Group,
    verified: &Verified,
    payload: &Payload,
    item: Option<&Json>,
    shared: &Shared,
) -> ExtractedEvent {
    let extraction = &group.function.protocol.extraction;
    let around = Around {
        item,
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
    // A provider names the account in several ways (an id, a login, a domain); the operator wrote one of them.
    let named_as_expected = group.external_id.as_ref().and_then(|expected| {
        let read_as_expected = |value: &&[Value]| {
            first(value, verified.request(), around, coverage, shared)
                .is_some_and(|(text, _)| text == *expected)
        };
        let mut each = extraction.external_id.chunks(1);
        each.find(read_as_expected)
    });
    let external_id = read(
        named_as_expected.unwrap_or(&extraction.external_id),
        "external_id",
    );
    let format = match (item, payload) {
        (Some(_), _) | (None, Payload::Json(_)) => PayloadFormat::Json,
        (None, Payload::Form(_)) => PayloadFormat::Form,
        (None, Payload::FormJson(..)) => PayloadFormat::FormJson,
        (None, Payload::Opaque(_)) => PayloadFormat::Opaque,
    };
    ExtractedEvent {
        event_type: event_type.unwrap_or_default(),
        delivery_id: delivery_id.unwrap_or_default(),
        external_id: external_id.unwrap_or_default(),
        format,
        item: item.map(|item| item.bytes().clone()).unwrap_or_default(),
        unsigned_values,
        json: item.cloned(),
    }
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
    let (head, tail) = value.parts.split_first()?;
    let mut text = request.read(head, around).ok()?.into_owned();
    let mut is_covered = coverage.covers(head);
    for part in tail {
        if let Ok(more) = request.read(part, around)
            && !more.is_empty()
        {
            text.push_str(&value.separator);
            text.push_str(&more);
            is_covered &= coverage.covers(part);
        }
    }
    (!text.is_empty() && text.len() <= MAX_VALUE_BYTES).then_some((text, is_covered))
}

fn check_account(expected: &str, event: &ExtractedEvent) -> Result<(), Refusal> {
    if event.external_id == expected {
        return Ok(());
    }
    let reason = if event.external_id.is_empty() {
        format!("it names no account, and the group takes only those of `{expected}`")
    } else {
        format!(
            "it is of account `{}`, and the group takes only those of `{expected}`",
            event.external_id
        )
    };
    Err(Refusal::new(RefusalKind::ExternalId, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    const PROTOCOL: &str = r#"
schemes: [{name: token, token: {location: "header:X-Token"}}]
extract:
  eventType: [{join: ["item:/type", "item:/action"], separator: .}, {from: "header:X-Type"}]
  deliveryId: [{from: "item:/id"}]
  externalId: [{from: "item:/account"}]
  jsonFormField: payload
batch: {items: "json:", maxItems: 3}
"#;

    const HMAC: &str = r#"
schemes: [{name: one, hmac: {hash: sha256, content: "{body}", signature: "header:X-Sig", encoding: hex, key: {decode: raw}}}]
extract:
  eventType: [{join: ["header:X-Type", "json:/action"], separator: .}]
  deliveryId: [{from: "header:X-Id"}]
  externalId: [{from: "json:/account"}]
"#;

    fn read(group: &Group, headers: &[(&str, &str)], body: &str) -> Result<Extracted, Refusal> {
        let mut all = vec![("x-token", SECRET)];
        all.extend_from_slice(headers);
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type", "application/json"));
        }
        group.extract(genuine(group, callback(&all, body.to_owned())))
    }

    // What one callback can cost is bounded, and past the bound it is kept whole and flagged, not lost.
    #[test]
    fn a_batch_for_more_webhooks_than_one_append_can_serve_is_kept_whole() {
        let protocol = PROTOCOL.replace("maxItems: 3", "maxItems: 10000");
        let body = format!("[{}]", vec![r#"{"type":"a"}"#; 1_000].join(","));
        let events_for = |webhooks: usize| {
            let webhooks: Vec<_> = (0..webhooks)
                .map(|number| webhook(&format!("w{number}"), &["*"], ""))
                .collect();
            let group = group_of(&protocol, &webhooks, |_| {});
            let extracted = read(&group, &[], &body).unwrap();
            let flagged = extracted.flags == [EventFlag::Undecodable];
            (extracted.events().len(), flagged)
        };
        assert_eq!(events_for(MAX_VERDICTS / 1_000), (1_000, false));
        assert_eq!(events_for(MAX_VERDICTS / 1_000 + 1), (1, true));
    }

    #[test]
    fn a_batch_is_split_into_slices_of_the_body() {
        let group = group(PROTOCOL);
        let body = r#"[{"type": "a", "id": 1, "price": 12.50}, {"type": "b", "action": "c"}]"#;
        let extracted = read(&group, &[], body).unwrap();
        assert!(extracted.in_batch);
        assert!(extracted.flags.is_empty());
        let [one, two] = extracted.events() else {
            panic!("not two events")
        };
        assert_eq!(
            (one.event_type.as_str(), one.delivery_id.as_str()),
            ("a", "1")
        );
        assert_eq!(one.item, r#"{"type": "a", "id": 1, "price": 12.50}"#);
        assert_eq!(
            (two.event_type.as_str(), two.delivery_id.as_str()),
            ("b.c", "")
        );
        // Without copying: the item's bytes lie within the body's.
        let whole = extracted.verified.request().callback.body.as_ptr_range();
        assert!(whole.contains(&one.item.as_ptr()));
    }

    #[test]
    fn a_body_without_an_array_is_one_event() {
        let group = group(PROTOCOL);
        for body in [r#"{"type": "a"}"#, "[]"] {
            let extracted = read(&group, &[], body).unwrap();
            assert!(!extracted.in_batch);
            assert_eq!(extracted.events().len(), 1);
            assert!(extracted.events()[0].item.is_empty());
        }
    }

    #[test]
    fn too_many_items_are_kept_as_one_undecodable_body() {
        let extracted = read(&group(PROTOCOL), &[("x-type", "many")], "[1, 2, 3, 4]").unwrap();
        assert_eq!(extracted.flags, [EventFlag::Undecodable]);
        assert_eq!(extracted.events()[0].format, PayloadFormat::Opaque);
        assert_eq!(extracted.events()[0].event_type, "many");
    }

    // Risk 41: two parsers disagree.
    #[test]
    fn what_parsers_read_differently_is_undecodable_and_kept() {
        let group = group(PROTOCOL);
        for body in [
            r#"{"type": "a", "type": "b"}"#,
            r#"{"type": "a"} x"#,
            "not json",
            "",
        ] {
            let extracted = read(&group, &[("x-type", "told")], body).unwrap();
            assert_eq!(extracted.flags, [EventFlag::Undecodable], "{body}");
            assert_eq!(extracted.events()[0].format, PayloadFormat::Opaque);
            assert_eq!(extracted.events()[0].event_type, "told");
        }
    }

    #[test]
    fn json_in_a_form_field_is_read_as_json() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let extracted = read(
            &group(PROTOCOL),
            &[form],
            "payload=%7B%22type%22%3A%22a%22%7D&x=1",
        )
        .unwrap();
        assert_eq!(extracted.events()[0].event_type, "a");
        assert_eq!(extracted.events()[0].format, PayloadFormat::FormJson);
    }

    #[test]
    fn another_account_or_none_is_refused_and_one_of_a_batch_refuses_it_all() {
        let group = group_with(PROTOCOL, |spec| spec.external_id = "acc-1".to_owned()).unwrap();
        read(&group, &[], r#"[{"account": "acc-1"}]"#).unwrap();
        for body in [
            r#"{"account": "acc-2"}"#,
            r#"{"type": "a"}"#,
            r#"[{"account": "acc-1"}, {"account": "acc-2"}]"#,
            "not json",
        ] {
            let refused = read(&group, &[], body).unwrap_err();
            assert_eq!(refused.kind, RefusalKind::ExternalId, "{body}");
        }
    }

    #[test]
    fn a_value_that_is_too_long_or_there_twice_counts_as_missing() {
        let group = group(PROTOCOL);
        let long = "x".repeat(MAX_VALUE_BYTES + 1);
        let extracted = read(
            &group,
            &[],
            &format!(r#"{{"type": "{long}", "id": "{long}"}}"#),
        )
        .unwrap();
        assert_eq!(extracted.events()[0].event_type, "");
        assert_eq!(extracted.events()[0].delivery_id, "");
        let extracted = read(&group, &[("x-type", "a"), ("x-type", "b")], "{}").unwrap();
        assert_eq!(extracted.events()[0].event_type, "");
    }

    #[test]
    fn what_the_signature_does_not_cover_is_named() {
        use hmac::{Hmac, KeyInit, Mac};
        let group = group(HMAC);
        let body = r#"{"action": "opened", "account": "acc-1"}"#;
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let headers = [
            ("x-sig", signature.as_str()),
            ("x-type", "issue"),
            ("x-id", "1"),
            ("content-type", "application/json"),
        ];
        let extracted = group
            .extract(genuine(&group, callback(&headers, body)))
            .unwrap();
        assert_eq!(extracted.events()[0].event_type, "issue.opened");
        assert_eq!(
            extracted.events()[0].unsigned_values,
            ["type", "delivery_id"]
        );
        let token = read(
            &crate::testing::group(PROTOCOL),
            &[],
            r#"{"type": "a", "id": "1", "account": "x"}"#,
        )
        .unwrap();
        assert_eq!(
            token.events()[0].unsigned_values,
            ["type", "delivery_id", "external_id"]
        );
    }

    // Ten thousand items, each with a value that stands once, at the end of a large body: scanned anew for each it would take minutes.
    #[test]
    fn what_all_items_share_is_read_once() {
        let protocol = r#"
maxBodyBytes: 26214400
schemes: [{name: token, token: {location: "header:X-Token"}}]
extract:
  eventType: [{from: "item:/type"}]
  externalId: [{from: "json:/account", when: {present: "json:/account"}}]
batch: {items: "json:/items", maxItems: 10000}
"#;
        let item = format!(r#"{{"type":"made","pad":"{}"}}"#, "x".repeat(500));
        let body = format!(
            r#"{{"items":[{}],"account":"acc-1"}}"#,
            vec![item; 10_000].join(",")
        );
        let group = group(protocol);
        let started = std::time::Instant::now();
        let callback = callback(&[("x-token", SECRET)], body);
        let extracted = group.extract(genuine(&group, callback)).unwrap();
        assert_eq!(extracted.events.len(), 10_000);
        assert!(
            extracted
                .events
                .iter()
                .all(|event| event.external_id == "acc-1")
        );
        assert!(started.elapsed() < std::time::Duration::from_secs(20));
    }

    const TYPED: &str = r#"
schemes: [{name: token, token: {location: "header:X-Token"}}]
extract:
  eventType: [{join: ["header:X-Type", "json:/action"], separator: .}, {from: "json:/kind"}]
"#;

    /// What a look ahead says, and what the whole way says.
    fn left_out(group: &Group, headers: &[(&str, &str)], body: &str) -> (bool, bool) {
        let mut all = vec![("x-token", SECRET)];
        all.extend_from_slice(headers);
        let mut verified = genuine(group, callback(&all, body.to_owned()));
        let told = verified.is_unregistered(group);
        let matched = group.match_events(group.extract(verified).unwrap());
        let is_unregistered = matches!(
            matched.outcome(),
            crate::Outcome::NotKept { clause, .. } if *clause == "not-registered"
        );
        (told, is_unregistered)
    }

    fn registering(names: &[&str]) -> std::sync::Arc<Group> {
        group_with(TYPED, |spec| {
            spec.registered_events = names.iter().map(|name| (*name).to_owned()).collect();
        })
        .unwrap()
    }

    #[test]
    fn what_is_not_registered_is_told_without_decoding() {
        let json = ("content-type", "application/json");
        let group = registering(&["issue.opened", "order"]);
        let opened = r#"{"action": "opened"}"#;
        assert_eq!(
            left_out(&group, &[json, ("x-type", "push")], opened),
            (true, true)
        );
        assert_eq!(
            left_out(&group, &[json, ("x-type", "issue")], opened),
            (false, false)
        );
        assert_eq!(
            left_out(&group, &[json], r#"{"kind": "order.paid"}"#),
            (false, false)
        );
        // Whatever the rest of it is.
        let torn = r#"{"action": "opened", "x": tr"#;
        assert_eq!(
            left_out(&group, &[json, ("x-type", "push")], torn),
            (true, true)
        );
        // Undecodable it is of the type that its header names, which is registered.
        let group = registering(&["issue"]);
        let twice = r#"{"action": "opened", "action": "closed"}"#;
        assert_eq!(
            left_out(&group, &[json, ("x-type", "issue")], twice),
            (false, false)
        );
        // What isn't plain JSON goes the whole way.
        for header in [("content-type", "text/plain"), ("content-encoding", "gzip")] {
            let (told, _) = left_out(&group, &[header, ("x-type", "push")], opened);
            assert!(!told, "{header:?}");
        }
    }

    // What an HMAC proves needs no decoding, so verifying must leave the body alone.
    #[test]
    fn a_signed_callback_is_left_out_undecoded() {
        use hmac::{Hmac, KeyInit, Mac};
        let group = group_with(HMAC, |spec| {
            spec.registered_events = vec!["order".to_owned()]
        });
        let group = group.unwrap();
        let body = r#"{"action": "opened"}"#;
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let headers = [("x-sig", signature.as_str()), ("x-type", "issue")];
        let mut verified = genuine(&group, callback(&headers, body));
        assert!(verified.is_unregistered(&group));
    }

    #[test]
    fn another_accounts_callback_is_refused_before_it_is_left_out() {
        let group = group_with(TYPED, |spec| spec.external_id = "acc-1".to_owned()).unwrap();
        let mut verified = genuine(
            &group,
            callback(&[("x-token", SECRET), ("x-type", "none")], "{}"),
        );
        assert!(!verified.is_unregistered(&group));
    }

    proptest::proptest! {
        // Risk 45: nothing that would be kept may be left out by looking ahead, decodable or not.
        #[test]
        fn what_is_told_ahead_is_what_the_whole_way_says(
            names in proptest::collection::vec("(a|b)([.](a|b))?", 1..3),
            header in proptest::option::of("a|b|c"),
            body in "[{](\"(action|kind)\":(\"(a|b|c)\"|1|null|tru),?){0,3}[}]?",
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let group = registering(&names);
            let mut headers = vec![("content-type", "application/json")];
            headers.extend(header.as_deref().map(|text| ("x-type", text)));
            let (told, is_unregistered) = left_out(&group, &headers, &body);
            proptest::prop_assert!(!told || is_unregistered, "{body}");
        }
    }
}
