//! How bytes are written as text, and read back: one rule for all who do.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hookplane_proto::v1;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// The standard alphabet, padded; without padding it is read as well.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
/// The alphabet for URLs, without padding; with it it is read as well.
pub(crate) const BASE64_URL: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, LENIENT.with_encode_padding(false));

/// Base64 of either alphabet, with or without padding. Line breaks are left out: encoders for mail write them.
pub(crate) fn any_base64(text: &str) -> Option<Vec<u8>> {
    let standard: Vec<u8> = text
        .bytes()
        .filter(|b| !matches!(b, b'\r' | b'\n'))
        .map(|b| match b {
            b'-' => b'+',
            b'_' => b'/',
            b => b,
        })
        .collect();
    BASE64.decode(standard).ok()
}

/// Every escape undone. None for a percent sign that begins none, or for what isn't UTF-8 then.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    let digit = |byte: Option<u8>| {
        char::from(byte?)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next())? << 4 | digit(rest.next())?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// All escaped but letters, digits and `-._~` (RFC 3986's unreserved ones).
pub(crate) fn percent_encode(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            let [high, low] = [byte >> 4, byte & 0xf].map(|digit| DIGITS[usize::from(digit)]);
            out.extend([b'%', high, low]);
        }
    }
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextEncoding {
    Hex,
    Base64,
    Base64Url,
    Raw,
    /// The base64 of the hex digits.
    Base64OfHex,
}

impl TextEncoding {
    pub(crate) fn of(value: i32) -> Result<Self, String> {
        match v1::Encoding::try_from(value) {
            Ok(v1::Encoding::Hex) => Ok(Self::Hex),
            Ok(v1::Encoding::Base64) => Ok(Self::Base64),
            Ok(v1::Encoding::Base64url) => Ok(Self::Base64Url),
            Ok(v1::Encoding::Raw) => Ok(Self::Raw),
            Ok(v1::Encoding::Base64OfHex) => Ok(Self::Base64OfHex),
            Ok(v1::Encoding::Unspecified) | Err(_) => {
                Err("is missing; it is hex, base64, base64url, base64_of_hex or raw".to_owned())
            }
        }
    }

    pub(crate) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => BASE64.decode(text).ok(),
            Self::Base64Url => BASE64_URL.decode(text).ok(),
            Self::Raw => Some(text.as_bytes().to_vec()),
            Self::Base64OfHex => hex::decode(BASE64.decode(text).ok()?).ok(),
        }
    }

    pub(crate) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
            Self::Base64Url => BASE64_URL.encode(bytes),
            // A signature is never raw: no definition with that compiles.
            Self::Raw => String::from_utf8_lossy(bytes).into_owned(),
            Self::Base64OfHex => BASE64.encode(hex::encode(bytes)),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Raw => "text",
            Self::Base64OfHex => "hex in base64",
        }
    }
}
