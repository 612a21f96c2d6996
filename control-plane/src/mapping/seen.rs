//! What a mapping sees of an event, as JSON texts.

use hookplane_proto::v1;
use hookplane_rules::payload::{self, Json, decode_form};

/// As in filters.
pub(crate) const EVENT_FIELDS: [&str; 3] = ["type", "deliveryId", "externalId"];

/// One event. What no row reads is left empty.
pub(crate) struct Seen {
    pub(crate) payload: Json,
    pub(crate) headers: String,
    pub(crate) query: String,
    pub(crate) event: String,
    /// Of what came as a form or XML, where a list of one can't be told from a value.
    pub(crate) one_is_a_list: bool,
}

impl Seen {
    /// The reason says what can't be read.
    pub(crate) fn of(event: &v1::Event, reads: &Reads) -> Result<Self, (&'static str, String)> {
        let mut seen = Self::payload_of(event)?;
        seen.add(event, reads)?;
        Ok(seen)
    }

    /// Without what goes with the payload.
    pub(crate) fn payload_of(event: &v1::Event) -> Result<Self, (&'static str, String)> {
        let payload = payload::json_of(event)
            .map_err(|reason| ("payload", format!("can't be decoded: {reason}")))?;
        Ok(Self {
            payload,
            headers: String::new(),
            query: String::new(),
            event: String::new(),
            one_is_a_list: [event.format(), event.came_as()].iter().any(|format| {
                matches!(
                    format,
                    v1::PayloadFormat::Form | v1::PayloadFormat::Multipart | v1::PayloadFormat::Xml
                )
            }),
        })
    }

    /// What is read besides, unless it is there already.
    pub(crate) fn add(
        &mut self,
        event: &v1::Event,
        reads: &Reads,
    ) -> Result<(), (&'static str, String)> {
        // Maps of strings always serialize.
        if reads.headers && self.headers.is_empty() {
            self.headers = serde_json::to_string(&event.headers).unwrap_or_default();
        }
        if reads.query && self.query.is_empty() {
            let fields = decode_form(event.query.as_bytes())
                .ok_or_else(|| ("query", "can't be decoded".to_owned()))?;
            self.query = payload::form_json(&fields);
        }
        if reads.event && self.event.is_empty() {
            self.event = serde_json::json!({
                "type": event.r#type,
                "deliveryId": event.delivery_id,
                "externalId": event.external_id,
            })
            .to_string();
        }
        Ok(())
    }
}

/// What any row names, besides the payload.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    pub(crate) headers: bool,
    pub(crate) query: bool,
    pub(crate) event: bool,
}

impl Reads {
    pub(crate) fn note(&mut self, variable: &str) {
        match variable {
            "headers" => self.headers = true,
            "query" => self.query = true,
            "event" => self.event = true,
            _ => {}
        }
    }
}
