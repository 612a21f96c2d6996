//! What a reported callback may be at most, whoever reports it.

use std::collections::BTreeSet;

use hookplane_proto::v1;

/// Events of one callback.
pub(super) const MAX_EVENTS: usize = 10_000;
/// A body: what a group may ask for at most.
pub(super) const MAX_BODY_BYTES: usize = 26_214_400;
/// Headers, names and values together, and the query.
pub(super) const MAX_HEAD_BYTES: usize = 256 * 1024;
/// What all events of a callback have in common, once for each of them: as much as 1,000 events with the largest head take.
pub(super) const MAX_COPIED_BYTES: usize = 64 * 1024 * 1024;
/// Events times webhooks, as the rules have it.
pub(super) const MAX_MATCHES: usize = 50_000;
/// A value read out of a callback.
pub(super) const MAX_TEXT_BYTES: usize = 64 * 1024;

/// The request's id, if everything is within bounds.
pub(super) fn checked(callback: &v1::ReportedCallback) -> Result<[u8; 16], String> {
    let id = <[u8; 16]>::try_from(callback.request_id.as_ref())
        .map_err(|_| "request_id must have 16 bytes".to_owned())?;
    if callback.events.is_empty() || callback.events.len() > MAX_EVENTS {
        return Err(format!("events must be 1 to {MAX_EVENTS}"));
    }
    if callback.body.len() > MAX_BODY_BYTES {
        return Err(format!("body is larger than {MAX_BODY_BYTES} bytes"));
    }
    let head: usize = callback
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum::<usize>()
        + callback.query.len()
        + callback.method.len()
        + callback.content_type.len();
    if head > MAX_HEAD_BYTES {
        return Err(format!(
            "method, headers and query are larger than {MAX_HEAD_BYTES} bytes"
        ));
    }
    let texts = callback.redacted.iter().map(String::len).sum::<usize>();
    if texts > MAX_TEXT_BYTES {
        return Err(format!("redacted is larger than {MAX_TEXT_BYTES} bytes"));
    }
    if callback.undecodable_reason.len() > MAX_TEXT_BYTES {
        return Err(format!(
            "undecodable_reason is larger than {MAX_TEXT_BYTES} bytes"
        ));
    }
    let copied =
        (head + texts + callback.undecodable_reason.len()).saturating_mul(callback.events.len());
    if copied > MAX_COPIED_BYTES {
        return Err(format!(
            "headers, query, redacted and undecodable_reason times events are larger than {MAX_COPIED_BYTES} bytes"
        ));
    }
    // One event has no other to be told from.
    let mut indexes = BTreeSet::new();
    let several = callback.events.len() > 1;
    let (mut items, mut matches) = (0, 0);
    for event in &callback.events {
        items += event.item.len();
        matches += event.matches.len();
        for (field, text) in [
            ("type", &event.r#type),
            ("delivery_id", &event.delivery_id),
            ("external_id", &event.external_id),
            ("payload", &event.payload),
        ] {
            if text.len() > MAX_TEXT_BYTES {
                return Err(format!("{field} is larger than {MAX_TEXT_BYTES} bytes"));
            }
        }
        if several && !indexes.insert(event.index) {
            return Err(format!("index {} comes twice", event.index));
        }
        if several && !event.in_batch {
            return Err("several events, and one is not in_batch".to_owned());
        }
        // The whole body would be kept once for each.
        if several && event.item.is_empty() {
            return Err("several events, and one has no item".to_owned());
        }
        let texts = event.unsigned_values.iter().map(String::len).sum::<usize>();
        if texts > MAX_TEXT_BYTES {
            return Err(format!(
                "unsigned_values are larger than {MAX_TEXT_BYTES} bytes"
            ));
        }
        if event
            .matches
            .iter()
            .any(|of| of.webhook_uid.len() + of.hold.len() + of.reason.len() > MAX_TEXT_BYTES)
        {
            return Err(format!("a match is larger than {MAX_TEXT_BYTES} bytes"));
        }
    }
    // Items are slices of the body, decompressed at most.
    if items > MAX_BODY_BYTES {
        return Err(format!("items are larger than {MAX_BODY_BYTES} bytes"));
    }
    if matches > MAX_MATCHES {
        return Err(format!("matches of all events are more than {MAX_MATCHES}"));
    }
    Ok(id)
}
