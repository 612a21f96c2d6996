//! WeChat's official accounts: the token, the query's timestamp and its nonce, sorted as texts and joined. Nothing of the body is in it.
//! (From the provider's documentation as remembered by several integrations; its encrypted mode is another form.)

use super::{Covered, Unwritten, read_or};
use crate::location::Location;
use crate::request::{Around, Missing, Request};

pub(super) fn write(
    request: &Request,
    around: Around<'_>,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Unwritten> {
    let secret = around
        .secret
        .ok_or_else(|| (Missing::Absent, "the secret is not known".to_owned()))?;
    let [timestamp, nonce] = places();
    let timestamp = read_or(request, &timestamp, around)?;
    let nonce = read_or(request, &nonce, around)?;
    let mut parts = [secret, timestamp.as_bytes(), nonce.as_bytes()];
    parts.sort_unstable();
    parts.into_iter().for_each(sink);
    Ok(())
}

fn places() -> [Location; 2] {
    ["timestamp", "nonce"].map(|name| Location::Query(name.to_owned()))
}

pub(super) fn covered() -> Covered {
    Covered {
        locations: places().into(),
        ..Covered::default()
    }
}
