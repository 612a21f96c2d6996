//! What a group's configuration says never to write anywhere, and shared secrets that stand in bodies, taken out of what is genuine.
//!
//! ```text
//!  verify ─▶ extract ─▶ redact ─▶ match ─▶ report
//!                         │
//!                         ├─ JSON: by one walk and one copy      ├─ XML, lines, parts: as the JSON that they read as
//!                         ├─ a form: field by field              └─ can't be decoded: without its body
//! ```
//!
//! Guarantees:
//! - Filters, reports and whatever comes after them see the payload without it. Type, ids and accounts were read before.
//! - What isn't redacted stays byte for byte, the digits of numbers too; of JSON and of forms that is the body itself.
//! - It fails closed: a body in which a path can't be looked for is not handed on at all.
//! - A group without redactions pays one test of a pointer.

mod form;
mod json;
mod path;
mod rule;
mod wire;

use std::collections::BTreeSet;

use bytes::Bytes;
use hookplane_proto::v1::{self, PayloadFormat};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::Callback;
use crate::connector::{Errors, Function, Proof, TokenPlace};
use crate::encoding::BASE64;
use crate::extract::ExtractedEvent;
use crate::group::KeyedScheme;
use crate::payload::{self, Json, Payload, PayloadAt, Reading, form_json};
use crate::request::single;
pub use path::{Part as PathPart, Path};

use form::Becomes;
use json::Edits;
use rule::{Rule, Tokens};

/// Of one group.
const MAX_REDACTIONS: usize = 50;
/// Redacted instead of a path where the whole body was left out.
const WHOLE: &str = "payload";
/// What may be said of a body that is left out: why it can't be decoded may quote it.
const LEFT_OUT: &str = "the body can't be decoded; it was left out, since what this group redacts can't be found in it";
/// Headers that no longer say anything true of the body; digests of it may even tell what was taken out.
const STALE: [HeaderName; 6] = [
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// What a group takes out of its callbacks.
#[derive(Debug)]
pub(crate) struct Redaction {
    own: Vec<Rule>,
    tokens: Tokens,
}

/// What was taken out of one.
#[derive(Debug, Default)]
pub(crate) struct Redacted {
    /// As an operator is told.
    pub(crate) paths: Vec<String>,
    /// Of the body as it came, where it or an item of it isn't handed on like that. Empty: all is.
    pub(crate) body_digest: Bytes,
}

/// One callback on its way from what was read out of it to those who want it.
pub(crate) struct Passing<'a> {
    pub(crate) callback: &'a mut Callback,
    pub(crate) payload: &'a mut Payload,
    pub(crate) events: &'a mut [ExtractedEvent],
}

impl Redaction {
    /// None where there is nothing to take out. `keyed`: beside the function's schemes.
    pub(crate) fn compile(
        spec: &v1::WebhookGroupSpec,
        function: &Function,
        keyed: &[KeyedScheme],
        errors: &mut Errors,
    ) -> Option<Box<Self>> {
        let list = &spec.redact;
        errors.at_most("spec.redact", list.len(), MAX_REDACTIONS, "redactions");
        if !list.is_empty() && function.protocol.body == Some(PayloadFormat::Opaque) {
            errors.add(
                "spec.redact",
                "is of no use here: this function's bodies are handed on without being decoded; leave it out",
            );
        }
        let own = list.iter().take(MAX_REDACTIONS).enumerate();
        let own = own.filter_map(|(index, one)| {
            let path = errors.take(format!("spec.redact[{index}].path"), Path::parse(&one.path))?;
            Some(Rule::written(path, one.mask))
        });
        let own: Vec<Rule> = own.collect();
        let mut tokens = Tokens::default();
        let payload = function.protocol.extraction.payload.as_ref();
        for (scheme, keyed) in function.protocol.schemes.iter().zip(keyed) {
            let Proof::Token(token) = &scheme.proof else {
                continue;
            };
            if token.is_public {
                continue;
            }
            match &token.place {
                TokenPlace::Everywhere(pattern) => {
                    tokens.add_everywhere(pattern, function.protocol.batch.as_ref());
                }
                TokenPlace::At(location) => {
                    tokens.add(keyed.token.as_ref().unwrap_or(location), payload);
                }
            }
        }
        (!own.is_empty() || !tokens.is_empty()).then(|| Box::new(Self { own, tokens }))
    }

    /// Takes it out.
    pub(crate) fn apply(&self, reading: &Reading, passing: Passing<'_>) -> Redacted {
        let Passing {
            callback,
            payload,
            events,
        } = passing;
        let came = callback.body.clone();
        let mut hits = Hits::default();
        let mut items_differ = false;
        if matches!(payload, Payload::Opaque(_)) {
            if !came.is_empty() {
                hits.paths.insert(WHOLE.to_owned());
                *payload = Payload::Opaque(LEFT_OUT.to_owned());
                callback.body.clear();
            }
        } else if events.iter().any(|event| event.json.is_some()) {
            // Each event has a payload of its own, and the body around them is nobody's.
            items_differ = self.items(payload, events, &mut hits);
            callback.body.clear();
        } else if let [event] = events {
            let done = self.whole(reading, callback, payload, event, &mut hits);
            if done.is_none() {
                hits.paths.insert(WHOLE.to_owned());
                *payload = Payload::Opaque(LEFT_OUT.to_owned());
                event.format = PayloadFormat::Opaque;
                event.payload.clear();
                callback.body.clear();
            }
        }
        if callback.body == came && !items_differ {
            return Redacted::default();
        }
        for name in &STALE {
            callback.headers.remove(name);
        }
        Redacted {
            paths: hits.paths.into_iter().collect(),
            body_digest: digest(&came),
        }
    }

    /// A batch's events, or the one that a token tells. True when something was taken out of any.
    fn items(&self, payload: &Payload, events: &mut [ExtractedEvent], hits: &mut Hits) -> bool {
        let text = match payload {
            Payload::Json(json) | Payload::FormJson(_, json) => json.text(),
            Payload::Form(_) | Payload::Opaque(_) => "",
        };
        // A secret's place is said from the whole payload on, and masks leave everything else where it is.
        let masks = Edits::find(text, &self.tokens.rules, &mut |rule| {
            hits.of(&self.tokens.rules, rule);
        });
        let mut differ = false;
        for event in events {
            let Some(item) = event.json.take() else {
                continue;
            };
            let start = (item.bytes().as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
            let inside = masks.within(start..start.saturating_add(item.bytes().len()));
            let masked = inside.apply(item.text());
            let rules = |text: &str, rules: &[Rule], hits: &mut Hits| {
                Edits::find(text, rules, &mut |rule| hits.of(rules, rule)).apply(text)
            };
            let masked = rules(&masked, &self.tokens.of_items, hits);
            let new = rules(&masked, &self.own, hits);
            if new == item.text() {
                event.json = Some(item);
                continue;
            }
            differ = true;
            event.item_digest = digest(item.bytes());
            // What a valid text becomes is valid, and were it not, it would be held as what it is: no JSON.
            let new = Bytes::from(new);
            event.item = new.clone();
            event.json = Json::validate(new.clone())
                .ok()
                .or(Some(Json::unvalidated(new)));
        }
        differ
    }

    /// The one event of a body. None when nothing may be handed on.
    fn whole(
        &self,
        reading: &Reading,
        callback: &mut Callback,
        payload: &mut Payload,
        event: &mut ExtractedEvent,
        hits: &mut Hits,
    ) -> Option<()> {
        if callback.body.is_empty() {
            return Some(());
        }
        match (&*payload, event.format) {
            (Payload::Json(json), PayloadFormat::Json) => {
                if let Some(text) = self.json(json.text(), hits) {
                    *payload = Payload::Json(Json::validate(text.clone()).ok()?);
                    callback.body = text;
                }
            }
            (Payload::Json(json), _) => {
                if let Some(text) = self.json(json.text(), hits) {
                    become_json(callback, payload, event, text)?;
                }
            }
            (Payload::Form(_) | Payload::FormJson(..), PayloadFormat::Form) => {
                let encoding = single(&callback.headers, &CONTENT_ENCODING);
                let body = payload::unpack_any(encoding, &callback.body, reading.max_bytes).ok()?;
                // Nearly anything reads as a form; what begins so is something else under its name, and has its paths elsewhere.
                if !self.own.is_empty()
                    && matches!(body.trim_ascii_start().first(), Some(b'{' | b'[' | b'<'))
                {
                    return None;
                }
                let before = hits.paths.len();
                let body = Bytes::from(self.form(&body, payload, reading.payload.as_ref(), hits));
                if hits.paths.len() > before {
                    let content_type = single(&callback.headers, &CONTENT_TYPE);
                    let read = payload::read(
                        PayloadFormat::Form,
                        content_type,
                        body.clone(),
                        reading.payload.as_ref(),
                    );
                    *payload = read.ok()?;
                    callback.body = body;
                }
            }
            // Of parts, files are among them, in which no path can be looked for.
            (Payload::Form(fields), _) => {
                let mut fields = fields.clone();
                for name in &self.tokens.fields {
                    if fields.remove(name).is_some() {
                        hits.field(name);
                    }
                }
                let text = form_json(&fields);
                let text = self.json(&text, hits).unwrap_or_else(|| text.into());
                become_json(callback, payload, event, text)?;
            }
            (Payload::FormJson(_, json), _) => {
                let text = self.json(json.text(), hits);
                let text = text.unwrap_or_else(|| json.bytes().clone());
                become_json(callback, payload, event, text)?;
            }
            (Payload::Opaque(_), _) => {}
        }
        Some(())
    }

    /// None where there is nothing to take out.
    fn json(&self, text: &str, hits: &mut Hits) -> Option<Bytes> {
        let all = [&self.tokens.rules, &self.tokens.of_items, &self.own];
        let mut now: Option<String> = None;
        for rules in all {
            let before = now.as_deref().unwrap_or(text);
            let edits = Edits::find(before, rules, &mut |rule| hits.of(rules, rule));
            if !edits.is_empty() {
                now = Some(edits.apply(before));
            }
        }
        now.map(Bytes::from)
    }

    /// A form's text.
    fn form(
        &self,
        body: &[u8],
        payload: &Payload,
        place: Option<&PayloadAt>,
        hits: &mut Hits,
    ) -> Vec<u8> {
        // The payload's field, and what it becomes.
        let field = match (payload, place) {
            (Payload::FormJson(_, json), Some(PayloadAt::Form { name, base64 })) => {
                let text = self.json(json.text(), hits);
                text.map(|text| (name, written(&text, *base64)))
            }
            _ => None,
        };
        let is_payload = matches!(payload, Payload::FormJson(..));
        form::rewrite(body, &mut |name, count| {
            if let Some((of, text)) = &field
                && name == of.as_str()
            {
                return Some(Becomes::Value(text.clone().into()));
            }
            if self.tokens.fields.iter().any(|one| one == name) {
                hits.field(name);
                return Some(form::masked());
            }
            if is_payload {
                return None;
            }
            let mut said = None;
            for rules in [&self.tokens.rules, &self.tokens.of_items, &self.own] {
                said =
                    form::of_rules(rules, name, count, &mut |rule| hits.of(rules, rule)).or(said);
            }
            said
        })
    }
}

/// What was found, once each.
#[derive(Default)]
struct Hits {
    paths: BTreeSet<String>,
}

impl Hits {
    fn of(&mut self, rules: &[Rule], rule: usize) {
        let shown = rules[rule].shown();
        if !self.paths.contains(shown) {
            self.paths.insert(shown.to_owned());
        }
    }

    fn field(&mut self, name: &str) {
        self.paths.insert(format!("form field {name}"));
    }
}

/// As it stands in a form's field.
fn written(text: &Bytes, base64: bool) -> String {
    use base64::Engine as _;
    match base64 {
        true => BASE64.encode(text),
        false => String::from_utf8_lossy(text).into_owned(),
    }
}

/// The body is JSON from now on, and says so; what it was stays known, since that tells what its values may stand for.
fn become_json(
    callback: &mut Callback,
    payload: &mut Payload,
    event: &mut ExtractedEvent,
    text: Bytes,
) -> Option<()> {
    *payload = Payload::Json(Json::validate(text.clone()).ok()?);
    event.came_as = event.format;
    event.format = PayloadFormat::Json;
    event.payload.clear();
    callback.body = text;
    let json = HeaderValue::from_static("application/json");
    callback.headers.insert(CONTENT_TYPE, json);
    Some(())
}

fn digest(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests;
