//! What the backends' rows have in common: how an event comes back out of its record, and what a delivery's id says.

use hookplane_proto::v1;
use prost::Message;

/// An event from its record and what was found when it was kept: `flags` has a bit for each [`v1::EventFlag`].
pub(super) fn event(
    record: &[u8],
    flags: i64,
    duplicate_of: Option<String>,
    duplicates: i64,
) -> Result<v1::Event, prost::DecodeError> {
    let mut event = v1::Event::decode(record)?;
    for flag in 1..i32::try_from(i64::BITS).unwrap_or(0) {
        if flags & (1 << flag) != 0 && !event.flags.contains(&flag) {
            event.flags.push(flag);
        }
    }
    if let Some(of) = duplicate_of {
        event.duplicate_of = of;
    }
    event.duplicates = u32::try_from(duplicates).unwrap_or(u32::MAX);
    Ok(event)
}

/// A delivery's id: its event's, and which of the event's it is.
pub(super) fn parse_delivery_id(id: &str) -> Option<(&str, i64)> {
    let (event, ordinal) = id.rsplit_once('-')?;
    let plain = !ordinal.starts_with('0') && ordinal.bytes().all(|byte| byte.is_ascii_digit());
    Some((event, ordinal.parse().ok().filter(|_| plain)?))
}
