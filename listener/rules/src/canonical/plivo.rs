//! Plivo's signature V3 (npm plivo 4.79, `v3Security.js`). What stands between the parts depends on which of them there are:
//!
//! ```text
//!  URL                         neither query nor fields
//!  URL ? a=1&b=2               a query: by name, values decoded
//!  URL ? x1y2                  fields: names and values by name
//!  URL ? a=1&b=2 . x1y2        both
//! ```
//!
//! A point and the nonce's header follow, for which a template will do.

use http::Method;

use super::{Unwritten, unlike, url_of};
use crate::request::{Around, Request};

/// Parameters of a query: as many as the library reads.
const MAX_PARAMETERS: usize = 1_000;

pub(super) fn write(
    request: &Request,
    around: Around<'_>,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Unwritten> {
    let callback = &request.callback;
    let mut fields = Vec::new();
    match callback.method {
        Method::GET if callback.body.is_empty() => {}
        Method::POST if callback.body.is_empty() => {}
        Method::POST => {
            for (name, values) in request.form_fields()? {
                fields.extend(values.iter().map(|value| (name.as_str(), value.as_str())));
            }
        }
        _ => return Err(unlike("it is neither a GET nor a POST of a form")),
    }
    let mut query: Vec<_> = form_urlencoded::parse(callback.query.as_bytes())
        .take(MAX_PARAMETERS + 1)
        .collect();
    if query.len() > MAX_PARAMETERS {
        return Err(unlike(format!(
            "the query has more than {MAX_PARAMETERS} parameters"
        )));
    }
    query.sort_unstable();
    fields.sort_unstable();
    sink(url_of(around)?.as_bytes());
    if !query.is_empty() || !fields.is_empty() {
        sink(b"?");
    }
    let mut separator: &[u8] = b"";
    for (name, value) in &query {
        for piece in [separator, name.as_bytes(), b"=", value.as_bytes()] {
            sink(piece);
        }
        separator = b"&";
    }
    if !query.is_empty() && !fields.is_empty() {
        sink(b".");
    }
    for (name, value) in fields {
        sink(name.as_bytes());
        sink(value.as_bytes());
    }
    Ok(())
}
