//! Bodies, decoded by one stated rule, within bounds.
//!
//! ```text
//!  body ── content-encoding ──▶ bytes ── content-type ──▶ Json | Form | FormJson | Opaque(reason)
//!          (decode: inflate,             (json: validate,
//!           bounded)                      form: split)
//! ```
//!
//! JSON gets one validating pass that builds no tree: UTF-8, RFC 8259, nothing after the document, at most [`MAX_DEPTH`] deep, no key
//! twice in an object, no number beyond a double. What fails is undecodable, for everybody. What passes is read lazily, and any
//! parser reads the same.

mod decode;
mod form;
mod json;
mod scan;
mod validate;

use std::collections::BTreeMap;

pub(crate) use decode::if_valid;
pub use decode::{decode, to_json};
pub use form::decode_form;
pub(crate) use form::{form_json, form_pairs};
pub use json::Json;
pub(crate) use scan::{Kind, elements, kind, member, members, unescape};

/// Arrays and objects inside each other.
pub const MAX_DEPTH: usize = 64;

/// Fields of a form. More is undecodable.
pub const MAX_FORM_FIELDS: usize = 10_000;

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

#[cfg(test)]
mod tests;
