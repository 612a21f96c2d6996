//! Secrets as keys, ready to use: decoded and keyed once, when a group is compiled.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;

use crate::connector::{Encoding, Hash, Key};

/// Providers pad, or don't; what is decoded is compared, so both are fine.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// One secret for one scheme. Never printed.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) name: Arc<str>,
    pub(crate) key: Vec<u8>,
    pub(crate) mac: Option<Mac>,
    /// Of the key: so that comparing takes the same time whatever the lengths.
    digest: [u8; 32],
}

/// All secrets of a group for one scheme.
#[derive(Clone, Default)]
pub(crate) struct Keyring {
    pub(crate) secrets: Vec<Secret>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} secrets)", self.secrets.len())
    }
}

/// A keyed hash, keyed: cloning it is cheaper than keying it anew.
#[derive(Clone)]
pub(crate) enum Mac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

/// Keys an HMAC. None can't happen: it takes keys of any length.
pub(crate) fn mac(hash: Hash, key: &[u8]) -> Option<Mac> {
    Some(match hash {
        Hash::Sha1 => Mac::Sha1(Hmac::new_from_slice(key).ok()?),
        Hash::Sha256 => Mac::Sha256(Hmac::new_from_slice(key).ok()?),
        Hash::Sha384 => Mac::Sha384(Hmac::new_from_slice(key).ok()?),
        Hash::Sha512 => Mac::Sha512(Hmac::new_from_slice(key).ok()?),
    })
}

impl Mac {
    pub(crate) fn update(&mut self, part: &[u8]) {
        match self {
            Self::Sha1(mac) => mac.update(part),
            Self::Sha256(mac) => mac.update(part),
            Self::Sha384(mac) => mac.update(part),
            Self::Sha512(mac) => mac.update(part),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha256(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha384(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha512(mac) => mac.finalize().into_bytes().to_vec(),
        }
    }
}

/// A plain hash.
pub(crate) fn digest(hash: Hash, content: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha1 => Sha1::digest(content).to_vec(),
        Hash::Sha256 => Sha256::digest(content).to_vec(),
        Hash::Sha384 => Sha384::digest(content).to_vec(),
        Hash::Sha512 => Sha512::digest(content).to_vec(),
    }
}

impl Secret {
    pub(crate) fn new(name: &str, key: Vec<u8>, hash: Option<Hash>) -> Self {
        Self {
            name: name.into(),
            mac: hash.and_then(|hash| mac(hash, &key)),
            digest: Sha256::digest(&key).into(),
            key,
        }
    }

    /// Whether a credential is this secret.
    pub(crate) fn is(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.digest.ct_eq(&given).into()
    }
}

/// Equality in constant time, whatever the lengths.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && bool::from(a.ct_eq(b))
}

/// The secret as pasted, as a key. The error says what is wrong and never what was pasted.
pub(crate) fn decode_key(key: &Key, secret: &str) -> Result<Vec<u8>, String> {
    let bare = secret
        .strip_prefix(key.strip_prefix.as_str())
        .unwrap_or(secret);
    let decoded = decode(key.decode, bare)
        .ok_or_else(|| format!("is not {}, as this connector's keys are", key.decode.name()))?;
    if decoded.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(decoded)
}

/// Text in an encoding, as bytes.
pub(crate) fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(text).ok(),
        Encoding::Base64 => BASE64.decode(text).ok(),
        Encoding::Base64Url => BASE64_URL.decode(text).ok(),
        Encoding::Raw => Some(text.as_bytes().to_vec()),
    }
}

/// Bytes as text. Only MACs and digests are written, which are never raw text.
pub(crate) fn encode(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        Encoding::Hex => hex::encode(bytes),
        Encoding::Base64 => BASE64.encode(bytes),
        Encoding::Base64Url => BASE64_URL.encode(bytes),
        Encoding::Raw => String::from_utf8_lossy(bytes).into_owned(),
    }
}
