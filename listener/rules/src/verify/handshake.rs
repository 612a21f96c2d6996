//! Answering handshakes. Nothing is echoed or signed but a text of the declared shape (risk 35).

use bytes::Bytes;

use super::hash::MacState;
use super::keys::Key;
use crate::connector::{Challenge, Handshake, HandshakeReply};
use crate::request::{Around, Request};
use crate::{Group, Refusal, RefusalKind, Reply};

pub(super) fn answer(
    handshake: &Handshake,
    request: &Request,
    key: Option<&Key>,
    group: &Group,
) -> Result<Reply, Refusal> {
    match &handshake.reply {
        HandshakeReply::Acknowledge => Ok(group.success().clone()),
        HandshakeReply::Echo(challenge, None) => Ok(Reply {
            status: 200,
            content_type: Some("text/plain".to_owned()),
            body: Bytes::from(read(handshake, challenge, request)?),
        }),
        HandshakeReply::Echo(challenge, Some(field)) => {
            let text = read(handshake, challenge, request)?;
            Ok(json([(field.as_str(), text)]))
        }
        HandshakeReply::Hmac {
            challenge,
            hash,
            encoding,
            challenge_field,
            mac_field,
        } => {
            let text = read(handshake, challenge, request)?;
            // Under what the request was signed with: while a secret is rotated the provider knows just one of them.
            let key = key.ok_or_else(|| {
                refuse(
                    handshake,
                    "the group has no secret to answer with".to_owned(),
                )
            })?;
            let mut state = MacState::new(*hash, key.bytes());
            state.update(text.as_bytes());
            let mac = encoding.encode(&state.finish());
            Ok(json([
                (challenge_field.as_str(), text),
                (mac_field.as_str(), mac),
            ]))
        }
    }
}

fn read(
    handshake: &Handshake,
    challenge: &Challenge,
    request: &Request,
) -> Result<String, Refusal> {
    let text = request
        .read(&challenge.location, Around::default())
        .map_err(|missing| refuse(handshake, missing.explain(&challenge.location)))?;
    if challenge.fits(&text) {
        Ok(text.into_owned())
    } else {
        Err(refuse(
            handshake,
            format!(
                "{} is not of the shape that this provider's challenges have",
                challenge.location.describe()
            ),
        ))
    }
}

fn refuse(handshake: &Handshake, why: String) -> Refusal {
    Refusal::new(
        RefusalKind::Handshake,
        format!("handshake `{}`: {why}", handshake.name),
    )
}

fn json<const N: usize>(fields: [(&str, String); N]) -> Reply {
    let object: serde_json::Map<String, serde_json::Value> = fields
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    Reply {
        status: 200,
        content_type: Some("application/json".to_owned()),
        body: serde_json::Value::Object(object).to_string().into(),
    }
}
