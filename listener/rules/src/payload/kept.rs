//! The payload of an event that was kept, from what was kept of it.

use bytes::Bytes;
use hookplane_proto::v1::{self, PayloadFormat};

use super::decode::{PayloadAt, read};
use super::form::{form_json, form_json_within};
use super::unpack::unpack_any;
use super::{Json, Payload};

/// A kept event's body was within its group's limit when it came. This only bounds what it may inflate to when it is read again:
/// the largest body a group can take.
const MAX_KEPT_BYTES: usize = 26_214_400;

/// As JSON text: JSON as it came, a form as an object of strings and lists, what was inside of a form's field by itself, XML as the JSON that
/// it stands for, NDJSON as a list. None when it can't be decoded.
pub fn to_json(event: &v1::Event) -> Option<String> {
    Some(to_json_within(event, usize::MAX)?.0)
}

/// The same, or its beginning: so many bytes at most, up to a whole character. Says whether it is cut.
pub fn to_json_within(event: &v1::Event, max: usize) -> Option<(String, bool)> {
    match payload_of(event)? {
        Payload::Json(json) | Payload::FormJson(_, json) => {
            let text = json.text();
            let shown = &text[..text.floor_char_boundary(max)];
            Some((shown.to_owned(), shown.len() < text.len()))
        }
        Payload::Form(fields) => Some(form_json_within(&fields, max)),
        Payload::Opaque(_) => None,
    }
}

/// The same, to be read in place. The reason says why it can't be decoded.
pub fn json_of(event: &v1::Event) -> Result<Json, String> {
    match payload_of(event) {
        Some(Payload::Json(json) | Payload::FormJson(_, json)) => Ok(json),
        Some(Payload::Form(fields)) => Json::validate(form_json(&fields).into()),
        Some(Payload::Opaque(reason)) => Err(reason),
        None if event.undecodable_reason.is_empty() => Err("it is none that is decoded".to_owned()),
        None => Err(event.undecodable_reason.clone()),
    }
}

/// The payload. None when it can't be decoded.
pub(crate) fn payload_of(event: &v1::Event) -> Option<Payload> {
    let format = event.format();
    if matches!(format, PayloadFormat::Opaque | PayloadFormat::Unspecified) {
        return None;
    }
    // An item of a batch was cut out of the unpacked body, so it stands for itself whatever the headers say. Nothing packed is JSON.
    if format == PayloadFormat::Json
        && let Ok(json) = Json::validate(event.body.clone())
    {
        return Some(Payload::Json(json));
    }
    let content_encoding = event.headers.get("content-encoding").map(String::as_str);
    let content_type = Some(event.content_type.as_str()).filter(|text| !text.is_empty());
    let payload = PayloadAt::parse(&event.payload).ok();
    let body: Bytes = unpack_any(content_encoding, &event.body, MAX_KEPT_BYTES).ok()?;
    read(format, content_type, body, payload.as_ref()).ok()
}
