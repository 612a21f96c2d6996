//! A stored group with its secrets opened: for the rules and for listeners, never for a caller of the API.
//!
//! A secret is sealed for its group's uid and its field. The fields' names are stored inside the sealed bytes' authentication, so they
//! are written down here and nowhere else: a signature secret's field is the secret's name, a parameter's is `parameters.NAME`.

use hookplane_proto::v1;

use crate::seal::{SealError, SealKey};

/// The field a secret parameter is sealed under.
pub fn parameter_field(name: &str) -> String {
    format!("parameters.{name}")
}

/// The group with every secret opened and nothing sealed left in it. One that can't be opened fails the whole group: a group with
/// half of its secrets would refuse genuine callbacks.
pub fn open_group(seal: &SealKey, group: &v1::WebhookGroup) -> Result<v1::WebhookGroup, SealError> {
    let mut opened = group.clone();
    let uid = group
        .metadata
        .as_ref()
        .map(|m| m.uid.as_str())
        .unwrap_or_default();
    let Some(spec) = opened.spec.as_mut() else {
        return Ok(opened);
    };
    for secret in &mut spec.signature_secrets {
        if secret.sealed.is_empty() {
            continue;
        }
        secret.value = text(uid, &seal.open(uid, &secret.name, &secret.sealed)?)?;
        secret.sealed.clear();
    }
    for (name, sealed) in std::mem::take(&mut spec.sealed_parameters) {
        let plain = seal.open(uid, &parameter_field(&name), &sealed)?;
        spec.parameters.insert(name, text(uid, &plain)?);
    }
    Ok(opened)
}

fn text(uid: &str, plain: &[u8]) -> Result<String, SealError> {
    std::str::from_utf8(plain)
        .map(str::to_owned)
        .map_err(|_| SealError {
            uid: uid.to_owned(),
        })
}
