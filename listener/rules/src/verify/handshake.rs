//! Answers to challenges. Risk 35: never a signing oracle.

use bytes::Bytes;
use serde_json::json;

use super::keys::{self, Secret};
use crate::callback::Reply;
use crate::connector::{Answering, Handshake};
use crate::error::{Refusal, RefusalKind};
use crate::group::Group;
use crate::location::Source;

pub(super) fn reply(
    group: &Group,
    handshake: &Handshake,
    secret: Option<&Secret>,
    source: &Source<'_>,
) -> Result<Reply, Refusal> {
    let refused = |reason: String| Refusal::new(RefusalKind::Handshake, reason);
    if matches!(handshake.answering, Answering::Acknowledge) {
        return Ok(group.success().clone());
    }
    let challenge = handshake
        .challenge
        .as_ref()
        .and_then(|shape| shape.location.read(source, None, None))
        .ok_or_else(|| refused(format!("handshake `{}` has no challenge", handshake.name)))?;
    if !handshake.fits(&challenge) {
        return Err(refused(format!(
            "the challenge of handshake `{}` is not of its provider's shape: {} bytes",
            handshake.name,
            challenge.len()
        )));
    }
    let (content_type, body) = match &handshake.answering {
        Answering::Echo {
            content_type,
            field,
        } if content_type == "application/json" => (
            content_type.clone(),
            json!({ field.as_str(): challenge }).to_string(),
        ),
        Answering::Echo { content_type, .. } => (content_type.clone(), challenge.into_owned()),
        Answering::Hmac {
            hash,
            encoding,
            challenge_field,
            mac_field,
        } => {
            let secret = secret.ok_or_else(|| {
                refused(format!(
                    "handshake `{}` is answered with a secret, and the group has none",
                    handshake.name
                ))
            })?;
            let mut mac = keys::mac(*hash, &secret.key)
                .ok_or_else(|| refused("the secret can't key this handshake's hash".to_owned()))?;
            mac.update(challenge.as_bytes());
            let answer = json!({
                challenge_field.as_str(): challenge,
                mac_field.as_str(): keys::encode(*encoding, &mac.finish()),
            });
            ("application/json".to_owned(), answer.to_string())
        }
        Answering::Acknowledge => return Ok(group.success().clone()),
    };
    Ok(Reply {
        status: 200,
        content_type: Some(content_type),
        body: Bytes::from(body),
    })
}
