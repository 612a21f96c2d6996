//! Amazon SNS: a line with the name and one with the value of each of these that the message has (AWS's documentation of the
//! signature; npm sns-validator 0.3, which leaves one of them out for one type of message).

use super::{Covered, Unwritten, read_or, unlike};
use crate::location::Location;
use crate::payload::{Kind, Payload, kind};
use crate::request::{Around, Request};

/// In this order; the last tells whether it must be there.
const NAMES: [(&str, bool); 8] = [
    ("Message", true),
    ("MessageId", true),
    ("Subject", false),
    ("SubscribeURL", false),
    ("Timestamp", true),
    ("Token", false),
    ("TopicArn", true),
    ("Type", true),
];

pub(super) fn write(
    request: &Request,
    around: Around<'_>,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Unwritten> {
    for (name, must_be_there) in NAMES {
        let at = vec![name.to_owned()];
        let there = match request.payload() {
            Payload::Json(json) => json.at(&at).map(kind),
            _ => None,
        };
        match there {
            Some(Kind::String) => {
                let location = Location::Json(at);
                let value = read_or(request, &location, around)?;
                for piece in [name.as_bytes(), b"\n", value.as_bytes(), b"\n"] {
                    sink(piece);
                }
            }
            None | Some(Kind::Null) if !must_be_there => {}
            None | Some(Kind::Null) => {
                // Says why, where the body can't be read at all.
                read_or(request, &Location::Json(at), around)?;
                return Err(unlike(format!("{name} is missing")));
            }
            Some(_) => return Err(unlike(format!("{name} is no text"))),
        }
    }
    Ok(())
}

pub(super) fn covered() -> Covered {
    Covered {
        locations: NAMES
            .iter()
            .map(|(name, _)| Location::Json(vec![(*name).to_owned()]))
            .collect(),
        ..Covered::default()
    }
}
