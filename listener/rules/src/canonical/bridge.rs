//! Bridge (bridge.xyz): the 32 bytes of SHA-256 over `time.body`, which the signature then hashes once more. The time is the header's
//! own, `t` of its pairs. (From its documentation, as integrations have it.)

use super::{Covered, Unwritten, read_or};
use crate::connector::HashKind;
use crate::location::Location;
use crate::request::{Around, Request};
use crate::verify::hash::MacState;

pub(super) fn write(
    request: &Request,
    around: Around<'_>,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Unwritten> {
    let mut state = MacState::plain(HashKind::Sha256);
    state.update(read_or(request, &time(), around)?.as_bytes());
    state.update(b".");
    state.update(&request.callback.body);
    sink(&state.finish());
    Ok(())
}

fn time() -> Location {
    Location::Sig("t".to_owned())
}

pub(super) fn covered() -> Covered {
    Covered {
        body: true,
        locations: vec![time()],
        ..Covered::default()
    }
}
