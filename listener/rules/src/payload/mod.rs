//! Bodies, decoded by one stated rule, within bounds.
//!
//! ```text
//!  body ── content-encoding ──▶ bytes ── connector, or content-type ──▶ Json | Form | FormJson | Opaque(reason)
//!          (unpack, bounded)              (decode: json · xml · ndjson,
//!                                                  form · multipart)
//! ```
//!
//! JSON gets one validating pass that builds no tree: UTF-8, RFC 8259, nothing after the document, at most [`MAX_DEPTH`] deep, no key
//! twice in an object, no number beyond a double. What fails is undecodable, for everybody. What passes is read lazily, and any
//! parser reads the same. XML and NDJSON become JSON and go through the same pass, so that locations and filters know one kind of tree.

mod decode;
mod form;
mod json;
mod kept;
mod multipart;
mod scan;
mod unpack;
mod validate;
mod xml;

use std::collections::BTreeMap;

pub(crate) use decode::{Decoded, PayloadAt, Reading, decode, if_valid, read};
pub use form::decode_form;
pub use form::form_json;
pub(crate) use form::form_pairs;
pub use json::Json;
pub(crate) use kept::payload_of;
pub use kept::{json_of, to_json, to_json_within};
pub(crate) use scan::scalars;
pub use scan::{Kind, elements, kind, member, members, unescape};
pub(crate) use unpack::{is_packed, unpack_any};
pub(crate) use xml::xml;

/// Arrays and objects inside each other.
pub const MAX_DEPTH: usize = 64;

/// Fields of a form. More is undecodable.
pub const MAX_FORM_FIELDS: usize = 10_000;

/// Form fields in order of their names; each has one value or more, in the order they came.
pub type Fields = BTreeMap<String, Vec<String>>;

/// A decoded body.
#[derive(Debug, Clone)]
pub enum Payload {
    /// A JSON document, or what another one reads as.
    Json(Json),
    /// The fields of a form.
    Form(Fields),
    /// A form with the payload in one of its fields: the fields, and the payload.
    FormJson(Fields, Json),
    /// Not decodable, or of a type nobody decodes. With the reason.
    Opaque(String),
}

#[cfg(test)]
mod tests;
