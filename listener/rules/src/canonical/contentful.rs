//! Contentful's requests (npm @contentful/node-apps-toolkit 3.16, `signRequest`):
//!
//! ```text
//!  method \n path[?query] \n name:value;name:value… \n body
//! ```
//!
//! Path and query as JavaScript's encodeURI makes them, the query escaped once before that. The headers are those that
//! `X-Contentful-Signed-Headers` lists, in order of their names; the list itself is among them, sorted.

use http::HeaderName;

use super::{Covered, Unwritten, read_or, unlike, url_of};
use crate::location::Location;
use crate::request::{Around, Request, path_of};

const SIGNED_HEADERS: HeaderName = HeaderName::from_static("x-contentful-signed-headers");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-contentful-timestamp");
/// Headers of one signature.
const MAX_HEADERS: usize = 64;

pub(super) fn write(
    request: &Request,
    around: Around<'_>,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Unwritten> {
    let callback = &request.callback;
    let url = url_of(around)?;
    // Their code signs what is between the first two question marks only; the rest could be anything.
    if callback.query.contains('?') {
        return Err(unlike("the query has a question mark"));
    }
    let list = Location::Header(SIGNED_HEADERS);
    let list = read_or(request, &list, around)?.to_ascii_lowercase();
    let mut names: Vec<&str> = list.split(',').map(str::trim).collect();
    names.sort_unstable();
    if names.len() > MAX_HEADERS {
        return Err(unlike(format!(
            "more than {MAX_HEADERS} headers are signed"
        )));
    }
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(unlike("a header is signed twice"));
    }
    for needed in [SIGNED_HEADERS, TIMESTAMP] {
        if !names.contains(&needed.as_str()) {
            return Err(unlike(format!("header {needed} isn't signed")));
        }
    }
    sink(callback.method.as_str().as_bytes());
    sink(b"\n");
    let mut target = path_of(url).to_owned();
    if !callback.query.is_empty() {
        target.push('?');
        target.push_str(&encode(&callback.query, b"-_.!~*'()"));
    }
    sink(encode(&target, b";,/?:@&=+$-_.!~*'()#").as_bytes());
    let mut separator: &[u8] = b"\n";
    for name in &names {
        let value = match *name == SIGNED_HEADERS.as_str() {
            true => names.join(","),
            false => {
                let header = HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| unlike(format!("`{name}` is no header")))?;
                let location = Location::Header(header);
                read_or(request, &location, around)?.trim().to_owned()
            }
        };
        for piece in [separator, name.as_bytes(), b":", value.as_bytes()] {
            sink(piece);
        }
        separator = b";";
    }
    sink(b"\n");
    sink(&callback.body);
    Ok(())
}

/// Percent-encoded but for letters, digits and these.
fn encode(text: &str, plain: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Of the headers only those that every request must have signed.
pub(super) fn covered() -> Covered {
    Covered {
        body: true,
        query: true,
        url: true,
        method: true,
        locations: vec![
            Location::Header(SIGNED_HEADERS),
            Location::Header(TIMESTAMP),
        ],
        ..Covered::default()
    }
}
