//! The request of which an Atlassian Connect token holds the hash (npm atlassian-jwt 2.0, `createCanonicalRequest`):
//!
//! ```text
//!  METHOD & path & name=value&name=value…
//! ```
//!
//! The path is relative to the app's base URL, which must be the host alone here; `&` in it is escaped, a slash at its end left out.
//! Parameters by name, values of one name sorted and joined by a comma; `jwt` isn't among them.

use std::collections::BTreeMap;

use super::{Covered, Unwritten, unlike, url_of};
use crate::encoding::percent_encode;
use crate::location::Location;
use crate::request::{Around, Request, path_of};

/// Parameters of a query.
const MAX_PARAMETERS: usize = 1_000;

pub(super) fn write(
    request: &Request,
    around: Around<'_>,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Unwritten> {
    let callback = &request.callback;
    let path = path_of(url_of(around)?);
    let path = match path.strip_suffix('/') {
        Some("") | None => path,
        Some(shorter) => shorter,
    };
    sink(callback.method.as_str().as_bytes());
    sink(b"&");
    sink(path.replace('&', "%26").as_bytes());
    sink(b"&");
    let mut parameters: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (count, (name, value)) in form_urlencoded::parse(callback.query.as_bytes()).enumerate() {
        if count == MAX_PARAMETERS {
            return Err(unlike(format!(
                "the query has more than {MAX_PARAMETERS} parameters"
            )));
        }
        if name != "jwt" {
            parameters.entry(name).or_default().push(value);
        }
    }
    let mut line = Vec::new();
    for (name, mut values) in parameters {
        if !line.is_empty() {
            line.push(b'&');
        }
        percent_encode(name.as_bytes(), &mut line);
        values.sort_unstable();
        let mut separator = b'=';
        for value in values {
            line.push(separator);
            percent_encode(value.as_bytes(), &mut line);
            separator = b',';
        }
    }
    sink(&line);
    Ok(())
}

pub(super) fn covered() -> Covered {
    Covered {
        query: true,
        url: true,
        method: true,
        but_not: vec![Location::Query("jwt".to_owned())],
        ..Covered::default()
    }
}
