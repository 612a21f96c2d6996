//! Secrets as pasted, and the keys they become.
//!
//! A key's HMAC state is made once, when its group is compiled; a callback clones it. Nothing here can be printed.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use hookplane_proto::v1::PublicKeyFormat;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::hash::MacState;
use crate::Callback;
use crate::connector::{HashKind, KeySpec, Proof};
use crate::public::formats;
use crate::public::{Algorithm, PublicKey};
use crate::request::{Around, Decoding, Request};

/// A secret as it was pasted.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) name: Arc<str>,
    text: Arc<str>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.name)
    }
}

/// A key of one scheme.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) name: Arc<str>,
    bytes: Arc<[u8]>,
    /// For comparing without telling the length.
    fingerprint: [u8; 32],
    /// Only where the scheme is an HMAC.
    mac: Option<MacState>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

impl Secret {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// As the provider's public keys, in this format and for these algorithms.
    pub(crate) fn public_keys(
        &self,
        format: PublicKeyFormat,
        algorithms: &[Algorithm],
    ) -> Result<Vec<PublicKey>, String> {
        formats::pasted(format, algorithms, &self.text, &self.name)
    }

    /// As a key: without its prefix, put into the template, decoded, hashed. The error says what the secret should look like and never
    /// how it looks.
    pub(crate) fn key(
        &self,
        spec: &KeySpec,
        hmac: Option<HashKind>,
        decoding: &Arc<Decoding>,
    ) -> Result<Key, String> {
        // Anybody has it, and could sign with it (risk 36).
        if formats::is_public(&self.text) {
            return Err(
                "is a public key or certificate, and a shared secret is asked for; copy that from the provider"
                    .to_owned(),
            );
        }
        let text = self
            .text
            .strip_prefix(spec.strip_prefix.as_str())
            .unwrap_or(&self.text);
        let text = match &spec.template {
            None => Cow::Borrowed(text),
            Some(template) => {
                let around = Around {
                    secret: Some(text.as_bytes()),
                    ..Around::default()
                };
                // A key's template reads nothing of a request, so that any will do.
                let request = Request::new(Callback::default(), Arc::clone(decoding));
                let made = request.rendered(template, around).map_err(|(_, why)| why)?;
                String::from_utf8(made)
                    .map(Cow::Owned)
                    .map_err(|_| "makes a key that is no text before it is decoded".to_owned())?
            }
        };
        let mut bytes = spec.decode.decode(&text).ok_or_else(|| {
            let after = if spec.strip_prefix.is_empty() {
                String::new()
            } else {
                format!(" after `{}`", spec.strip_prefix)
            };
            format!(
                "must be {}{after}; paste it as the provider shows it",
                spec.decode.name()
            )
        })?;
        if bytes.is_empty() {
            return Err("is empty".to_owned());
        }
        if let Some(hash) = spec.digest {
            bytes = hash.of_bytes(&bytes);
        }
        Ok(Key {
            name: self.name.clone(),
            fingerprint: fingerprint(&bytes),
            mac: hmac.map(|hash| MacState::new(hash, &bytes)),
            bytes: bytes.into(),
        })
    }
}

impl Key {
    /// Of these very bytes, whatever a secret would have to look like.
    pub(crate) fn of(name: &str, bytes: &[u8], hmac: Option<HashKind>) -> Self {
        Self {
            name: name.into(),
            fingerprint: fingerprint(bytes),
            mac: hmac.map(|hash| MacState::new(hash, bytes)),
            bytes: bytes.into(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether this is the fingerprint of the key's own text.
    pub(crate) fn equals(&self, sent: &[u8; 32]) -> bool {
        same(&self.fingerprint, sent)
    }

    /// A hash to feed: the key's HMAC, or the plain hash of a digest. None for an HMAC without its key, which would be a hash that
    /// anybody can make.
    pub(crate) fn start(&self, proof: &Proof) -> Option<MacState> {
        match proof {
            Proof::Hmac(_) => self.mac.clone(),
            Proof::Digest(keyed) => Some(MacState::plain(keyed.hash)),
            _ => None,
        }
    }
}

/// In constant time for texts of one length.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// Stands for a text in comparisons, so that they take as long for any text.
pub(crate) fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
