//! Bodies, decoded by one stated rule, within bounds.
//!
//! JSON gets one validating pass that builds no tree: UTF-8, RFC 8259, nothing after the document, at most [`MAX_DEPTH`] deep, no key
//! twice in an object. What fails is undecodable, for everybody. What passes is read lazily, and any parser reads the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use hookplane_proto::v1;

/// Arrays and objects inside each other.
pub const MAX_DEPTH: usize = 64;

/// A decoded body.
#[derive(Debug, Clone)]
pub enum Payload {
    /// A JSON document.
    Json(Json),
    /// Form fields in order of their names; each has one value or more, in the order they came.
    Form(BTreeMap<String, Vec<String>>),
    /// A form with JSON in one of its fields: the fields, and the JSON.
    FormJson(BTreeMap<String, Vec<String>>, Json),
    /// Not decodable, or of a type nobody decodes. With the reason.
    Opaque(String),
}

/// A JSON text that passed the validating pass.
#[derive(Debug, Clone)]
pub struct Json {
    text: Bytes,
}

impl Json {
    /// The validating pass. The reason says what and where.
    pub fn validate(_text: Bytes) -> Result<Self, String> {
        todo!()
    }

    /// The text as it came.
    pub fn text(&self) -> &str {
        todo!()
    }

    /// The raw text of the value at a pointer's unescaped tokens; a token that is digits indexes an array.
    pub fn at(&self, _pointer: &[String]) -> Option<&str> {
        todo!()
    }

    /// The value at a pointer as text: a string's content, a number or boolean as written. None for null, arrays, objects and what is missing.
    pub fn scalar_at(&self, _pointer: &[String]) -> Option<String> {
        todo!()
    }

    /// The elements of the array at a pointer, as slices of this text without copying. None when there is no array.
    pub fn items_at(&self, _pointer: &[String]) -> Option<Vec<Json>> {
        todo!()
    }

    /// As shared bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.text
    }
}

/// Decodes a body by its content type and content encoding (identity, gzip, deflate; decompressed to at most `max_bytes`).
/// `json_form_field` is the form field that holds JSON, where the connector has one.
pub fn decode(
    _content_type: Option<&str>,
    _content_encoding: Option<&str>,
    _body: &Bytes,
    _json_form_field: Option<&str>,
    _max_bytes: usize,
) -> Payload {
    todo!()
}

/// Splits `application/x-www-form-urlencoded` text. None when it is not valid (bad percent escapes or UTF-8).
pub fn decode_form(_body: &[u8]) -> Option<BTreeMap<String, Vec<String>>> {
    todo!()
}

/// The payload of a kept event as JSON text: JSON as it came, a form as an object of strings and lists. None when it can't be decoded.
pub fn to_json(_event: &v1::Event) -> Option<String> {
    todo!()
}
