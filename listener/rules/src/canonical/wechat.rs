//! WeChat's official accounts: the token, the query's timestamp and its nonce, sorted as texts and joined. Nothing of the body is in it.
//! In safe mode the encrypted text is sorted in with them, as `wechat:/xml/Encrypt`. (From the provider's documentation, as many
//! integrations have it.)

use super::{Covered, Unwritten, read_or};
use crate::location::Location;
use crate::request::{Around, Missing, Request};

pub(super) fn write(
    at: Option<&Vec<String>>,
    request: &Request,
    around: Around<'_>,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Unwritten> {
    let secret = around
        .secret
        .ok_or_else(|| (Missing::Absent, "the secret is not known".to_owned()))?;
    let places = places(at);
    let mut texts = Vec::with_capacity(places.len());
    for place in &places {
        texts.push(read_or(request, place, around)?);
    }
    let mut parts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    parts.push(secret);
    parts.sort_unstable();
    parts.into_iter().for_each(sink);
    Ok(())
}

fn places(at: Option<&Vec<String>>) -> Vec<Location> {
    let query = |name: &str| Location::Query(name.to_owned());
    let mut places = vec![query("timestamp"), query("nonce")];
    places.extend(at.map(|at| Location::Json(at.clone())));
    places
}

pub(super) fn covered(at: Option<&Vec<String>>) -> Covered {
    Covered {
        locations: places(at),
        ..Covered::default()
    }
}
