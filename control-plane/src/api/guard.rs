//! Keys that exist to be written: they make two writes conflict that touch different resources but decide about the same thing.
//!
//! A precondition holds for one key. "This org has no groups" and "these are the group's webhooks" are about many, so whoever adds to
//! them writes the guard, and whoever relies on them checks that it is as it was before they were read. A guard is apart from its resource,
//! whose revision and etag therefore stay.

use bytes::Bytes;

use super::desk::Desk;
use super::status::Problem;
use crate::store::{Precondition, Write};

/// What a guard holds; only its revision matters.
const VALUE: &[u8] = b"1";

/// For the one who adds.
pub(super) fn touch(key: String) -> Write {
    Write::Put(key, Bytes::from_static(VALUE))
}

/// For the one who relies on what is there: called before that is read.
pub(super) async fn read(desk: &Desk<'_>, key: String) -> Result<(String, Precondition), Problem> {
    let check = match desk.entry(&key).await? {
        Some(entry) => Precondition::At(entry.revision),
        None => Precondition::Absent,
    };
    Ok((key, check))
}
