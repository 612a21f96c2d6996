//! What TrueLayer's detached token is over (npm truelayer-signing, version 2 of the signature):
//!
//! ```text
//!  POST path \n Name: value \n Name: value \n body
//! ```
//!
//! The headers are those that the token's own header lists under `tl_headers`, spelt and ordered as there.

use http::HeaderName;

use super::{Unwritten, read_or, unlike, url_of};
use crate::encoding::any_base64;
use crate::location::Location;
use crate::payload::Json;
use crate::request::{Around, Request, path_of};

const SIGNATURE: HeaderName = HeaderName::from_static("tl-signature");
/// Headers of one signature.
const MAX_HEADERS: usize = 64;

pub(super) fn write(
    request: &Request,
    around: Around<'_>,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Unwritten> {
    let callback = &request.callback;
    let list = signed_headers(request, around)?;
    let names: Vec<&str> = list.split(',').filter(|name| !name.is_empty()).collect();
    if names.len() > MAX_HEADERS {
        return Err(unlike(format!(
            "more than {MAX_HEADERS} headers are signed"
        )));
    }
    for piece in [
        callback.method.as_str(),
        " ",
        path_of(url_of(around)?),
        "\n",
    ] {
        sink(piece.as_bytes());
    }
    for name in names {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| unlike(format!("`{name}` is no header")))?;
        let location = Location::Header(header);
        let value = read_or(request, &location, around)?;
        for piece in [name, ": ", &value, "\n"] {
            sink(piece.as_bytes());
        }
    }
    sink(&callback.body);
    Ok(())
}

fn signed_headers(request: &Request, around: Around<'_>) -> Result<String, Unwritten> {
    let location = Location::Header(SIGNATURE);
    let token = read_or(request, &location, around)?;
    let no_token = || unlike("header tl-signature is no token");
    let (header, _) = token.split_once('.').ok_or_else(no_token)?;
    let header = any_base64(header).ok_or_else(no_token)?;
    let header = Json::validate(header.into()).map_err(|_| no_token())?;
    let field = |name: &str| header.scalar_at(&[name.to_owned()]);
    if field("tl_version").as_deref() != Some("2") {
        return Err(unlike("the signature is not of version 2"));
    }
    Ok(field("tl_headers").unwrap_or_default())
}
