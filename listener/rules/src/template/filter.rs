//! Filters: what is done with a placeholder's bytes, left to right.

use std::borrow::Cow;

use base64::Engine;

use crate::connector::HashKind;
use crate::encoding::{BASE64, BASE64_URL, percent_encode};
use crate::verify::hash::MacState;

/// The most bytes that are made of a value that isn't hashed: 32 MiB. Filters make it longer, and several of them much longer.
const MAX_FILTERED_BYTES: usize = 32 << 20;

/// One filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// ASCII letters.
    Lower,
    /// ASCII letters.
    Upper,
    Hex,
    Base64,
    /// Without padding.
    Base64Url,
    /// Raw bytes: `hex` or `base64` come after it.
    Hash(HashKind),
    /// In decimal digits.
    Crc32,
    /// Percent-encoded.
    Pct,
    /// A JSON string with its quotes.
    Json,
}

impl Filter {
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        Ok(match name {
            "lower" => Self::Lower,
            "upper" => Self::Upper,
            "hex" => Self::Hex,
            "base64" => Self::Base64,
            "base64url" => Self::Base64Url,
            "sha1" => Self::Hash(HashKind::Sha1),
            "sha256" => Self::Hash(HashKind::Sha256),
            "sha512" => Self::Hash(HashKind::Sha512),
            "md5" => Self::Hash(HashKind::Md5),
            "crc32" => Self::Crc32,
            "pct" => Self::Pct,
            "json" => Self::Json,
            _ => {
                return Err(format!(
                    "`|{name}` is no filter; there are lower, upper, hex, base64, base64url, sha1, sha256, sha512, md5, crc32, pct and json"
                ));
            }
        })
    }

    /// A filter that takes its bytes piece by piece, so that nobody need copy them.
    pub(super) fn start(self) -> Option<Streaming> {
        match self {
            Self::Hash(kind) => Some(Streaming::Hash(MacState::plain(kind))),
            Self::Crc32 => Some(Streaming::Crc32(flate2::Crc::new())),
            _ => None,
        }
    }

    /// Of bytes as a whole. The reason is for an operator.
    pub(super) fn apply(self, mut bytes: Vec<u8>) -> Result<Vec<u8>, &'static str> {
        if let Some(mut state) = self.start() {
            state.update(&bytes);
            return Ok(state.finish());
        }
        let grows = match self {
            Self::Hex | Self::Base64 | Self::Base64Url => 2,
            Self::Pct => 3,
            Self::Json => 6,
            _ => 1,
        };
        if bytes.len().saturating_mul(grows) > MAX_FILTERED_BYTES {
            return Err("it would be longer than 32 MiB when it is encoded");
        }
        Ok(match self {
            Self::Lower => {
                bytes.make_ascii_lowercase();
                bytes
            }
            Self::Upper => {
                bytes.make_ascii_uppercase();
                bytes
            }
            Self::Hex => hex::encode(bytes).into_bytes(),
            Self::Base64 => BASE64.encode(bytes).into_bytes(),
            Self::Base64Url => BASE64_URL.encode(bytes).into_bytes(),
            Self::Pct => {
                let mut out = Vec::with_capacity(bytes.len());
                percent_encode(&bytes, &mut out);
                out
            }
            Self::Json => {
                let text = match String::from_utf8_lossy(&bytes) {
                    Cow::Borrowed(text) => text,
                    Cow::Owned(_) => return Err("it is not UTF-8, and so no JSON string"),
                };
                // A string always serializes.
                serde_json::to_vec(text).unwrap_or_default()
            }
            Self::Hash(_) | Self::Crc32 => bytes,
        })
    }
}

/// A filter under way.
pub(super) enum Streaming {
    Hash(MacState),
    Crc32(flate2::Crc),
}

impl Streaming {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Hash(state) => state.update(bytes),
            Self::Crc32(crc) => crc.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Hash(state) => state.finish(),
            Self::Crc32(crc) => crc.sum().to_string().into_bytes(),
        }
    }
}
