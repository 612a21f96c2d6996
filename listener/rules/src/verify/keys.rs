//! Secrets as pasted, and the keys they become.
//!
//! A key's HMAC state is made once, when its group is compiled; a callback clones it. Nothing here can be printed.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use crate::connector::{HashKind, Proof, TextEncoding};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, LENIENT.with_encode_padding(false));

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

    pub(crate) fn text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// As a key: without its prefix, decoded. The error says what the secret should look like and never how it looks.
    pub(crate) fn key(
        &self,
        strip_prefix: &str,
        decode: TextEncoding,
        hmac: Option<HashKind>,
    ) -> Result<Key, String> {
        let text = self.text.strip_prefix(strip_prefix).unwrap_or(&self.text);
        let bytes = decode.decode(text).ok_or_else(|| {
            let after = if strip_prefix.is_empty() {
                String::new()
            } else {
                format!(" after `{strip_prefix}`")
            };
            format!(
                "must be {}{after}; paste it as the provider shows it",
                decode.name()
            )
        })?;
        if bytes.is_empty() {
            return Err("is empty".to_owned());
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
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn equals(&self, sent: &[u8]) -> bool {
        same(&self.fingerprint, &fingerprint(sent))
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

/// A hash under way. Those that few providers use are twice as large, and would make all keys so.
#[derive(Clone)]
pub(crate) enum MacState {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Box<Hmac<Sha384>>),
    Sha512(Box<Hmac<Sha512>>),
    PlainSha1(Sha1),
    PlainSha256(Sha256),
    PlainSha384(Sha384),
    PlainSha512(Sha512),
}

impl MacState {
    pub(crate) fn new(hash: HashKind, key: &[u8]) -> Self {
        // An HMAC takes a key of any length.
        const ANY_LENGTH: &str = "an HMAC takes a key of any length";
        match hash {
            HashKind::Sha1 => Self::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            HashKind::Sha256 => Self::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            HashKind::Sha384 => {
                Self::Sha384(Box::new(Hmac::new_from_slice(key).expect(ANY_LENGTH)))
            }
            HashKind::Sha512 => {
                Self::Sha512(Box::new(Hmac::new_from_slice(key).expect(ANY_LENGTH)))
            }
        }
    }

    fn plain(hash: HashKind) -> Self {
        match hash {
            HashKind::Sha1 => Self::PlainSha1(Sha1::new()),
            HashKind::Sha256 => Self::PlainSha256(Sha256::new()),
            HashKind::Sha384 => Self::PlainSha384(Sha384::new()),
            HashKind::Sha512 => Self::PlainSha512(Sha512::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(state) => Mac::update(state, bytes),
            Self::Sha256(state) => Mac::update(state, bytes),
            Self::Sha384(state) => Mac::update(&mut **state, bytes),
            Self::Sha512(state) => Mac::update(&mut **state, bytes),
            Self::PlainSha1(state) => Digest::update(state, bytes),
            Self::PlainSha256(state) => Digest::update(state, bytes),
            Self::PlainSha384(state) => Digest::update(state, bytes),
            Self::PlainSha512(state) => Digest::update(state, bytes),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(state) => state.finalize().into_bytes().to_vec(),
            Self::Sha256(state) => state.finalize().into_bytes().to_vec(),
            Self::Sha384(state) => state.finalize().into_bytes().to_vec(),
            Self::Sha512(state) => state.finalize().into_bytes().to_vec(),
            Self::PlainSha1(state) => state.finalize().to_vec(),
            Self::PlainSha256(state) => state.finalize().to_vec(),
            Self::PlainSha384(state) => state.finalize().to_vec(),
            Self::PlainSha512(state) => state.finalize().to_vec(),
        }
    }
}

impl HashKind {
    /// The length of its output, in bytes.
    pub(crate) fn output_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl TextEncoding {
    pub(crate) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => BASE64.decode(text).ok(),
            Self::Base64Url => BASE64_URL.decode(text).ok(),
            Self::Raw => Some(text.as_bytes().to_vec()),
        }
    }

    pub(crate) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
            Self::Base64Url => BASE64_URL.encode(bytes),
            // A signature is never raw: no definition with that compiles.
            Self::Raw => String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Raw => "text",
        }
    }
}
