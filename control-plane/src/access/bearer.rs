//! A token's text: `hkp_ID_SECRET`. The prefix helps whoever scans code for secrets that were left there.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const PREFIX: &str = "hkp_";
/// 96 bits: never the same twice.
const ID_BYTES: usize = 12;
/// 256 bits: never guessed.
const SECRET_BYTES: usize = 32;
/// Longer ones are not looked at.
pub(super) const MAX_BYTES: usize = 1_024;

/// A new token's parts.
pub(crate) struct Bearer {
    /// Names the token, and is no secret.
    pub(crate) id: String,
    secret: Zeroizing<String>,
}

impl Bearer {
    /// Made from the system's randomness.
    pub(crate) fn mint() -> Result<Self, getrandom::Error> {
        let mut id = [0; ID_BYTES];
        getrandom::fill(&mut id)?;
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(secret.as_mut())?;
        Ok(Self {
            id: hex::encode(id),
            secret: Zeroizing::new(hex::encode(secret.as_ref())),
        })
    }

    /// What its bearer sends.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}_{}", self.id, *self.secret))
    }

    /// What is stored of its secret.
    pub(crate) fn hash(&self) -> [u8; 32] {
        hash(self.secret.as_bytes())
    }
}

/// Takes a token's text apart: its id, and the hash of its secret. None for a text of another form.
pub(super) fn read(text: &[u8]) -> Option<(&str, [u8; 32])> {
    let text = std::str::from_utf8(text).ok()?;
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    (id.len() == 2 * ID_BYTES && secret.len() == 2 * SECRET_BYTES)
        .then(|| (id, hash(secret.as_bytes())))
}

pub(super) fn hash(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_read_back_and_no_two_are_the_same() {
        let (one, two) = (Bearer::mint().unwrap(), Bearer::mint().unwrap());
        let text = one.text();
        assert_eq!(read(text.as_bytes()), Some((one.id.as_str(), one.hash())));
        assert!(one.id != two.id && one.hash() != two.hash());
        assert!(text.starts_with("hkp_") && text.len() == 4 + 24 + 1 + 64);
    }

    #[test]
    fn a_text_of_another_form_is_no_token() {
        let text = Bearer::mint().unwrap().text().to_string();
        for wrong in [
            "",
            "hkp_",
            "hkp__",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}0"),
            &text.replacen('_', "-", 2),
        ] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(read(&[0xff, 0xfe]), None);
    }
}
