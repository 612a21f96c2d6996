//! The same for what a listener reported before it had heard of the group's newest redactions: nothing of it is written either.

use bytes::Bytes;
use hookplane_proto::v1;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};

use super::{Passing, Redaction, STALE};
use crate::Callback;
use crate::extract::ExtractedEvent;
use crate::payload::{Json, Payload, Reading};

impl Redaction {
    /// Takes it out of a report, and says whether there was anything. What was taken out before is not missed. `payload`: as the body of its
    /// one event reads.
    pub(crate) fn apply_to(
        &self,
        reading: &Reading,
        mut payload: Payload,
        report: &mut v1::ReportedCallback,
    ) -> bool {
        let mut callback = Callback {
            headers: HeaderMap::new(),
            body: std::mem::take(&mut report.body),
            ..Callback::default()
        };
        let encoding = report.headers.get(CONTENT_ENCODING.as_str());
        for (name, text) in [
            (CONTENT_TYPE, Some(&report.content_type)),
            (CONTENT_ENCODING, encoding),
        ] {
            let text = text.filter(|text| !text.is_empty());
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
                callback.headers.insert(name, value);
            }
        }
        let mut events: Vec<ExtractedEvent> = report.events.iter_mut().map(extracted).collect();
        let redacted = self.apply(
            reading,
            Passing {
                callback: &mut callback,
                payload: &mut payload,
                events: &mut events,
            },
        );
        report.body = callback.body;
        for (event, after) in report.events.iter_mut().zip(events) {
            event.format = after.format.into();
            event.came_as = after.came_as.into();
            event.payload = after.payload;
            event.item = after.item;
            // What the listener took out came before this.
            if event.item_digest.is_empty() {
                event.item_digest = after.item_digest;
            }
        }
        for path in redacted.paths {
            if !report.redacted.contains(&path) {
                report.redacted.push(path);
            }
        }
        if redacted.body_digest.is_empty() {
            return false;
        }
        if report.body_digest.is_empty() {
            report.body_digest = redacted.body_digest;
        }
        let text = |name: HeaderName| {
            let value = callback.headers.get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        if let Some(content_type) = text(CONTENT_TYPE)
            && content_type != report.content_type
        {
            report
                .headers
                .insert(CONTENT_TYPE.as_str().to_owned(), content_type.clone());
            report.content_type = content_type;
        }
        for name in STALE {
            report.headers.remove(name.as_str());
        }
        if let Payload::Opaque(why) = payload {
            report.undecodable_reason = why;
            let undecodable = i32::from(v1::EventFlag::Undecodable);
            if !report.flags.contains(&undecodable) {
                report.flags.push(undecodable);
            }
        }
        true
    }
}

/// As it was before it was reported, as far as redaction looks at it.
fn extracted(event: &mut v1::ReportedEvent) -> ExtractedEvent {
    let item = std::mem::take(&mut event.item);
    ExtractedEvent {
        event_type: String::new(),
        delivery_id: String::new(),
        external_id: String::new(),
        format: event.format(),
        came_as: event.came_as(),
        payload: event.payload.clone(),
        json: (!item.is_empty()).then(|| Json::unvalidated(item.clone())),
        item,
        unsigned_values: Vec::new(),
        item_digest: Bytes::new(),
    }
}
