//! Names an attempt, so that only who was handed a lease can settle it: signed with the log's own key, the same at every replica.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::log::LogError;

/// Of the signature, in bytes: 128 bits can't be guessed.
const SIGNATURE_BYTES: usize = 16;

/// Longer than any we make: ids are bounded where they come in.
const MAX_CHARS: usize = 4_096;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) group_uid: String,
    pub(super) event_id: String,
    /// Which of the event's deliveries.
    pub(super) n: i32,
    /// As in the row while the lease is held.
    pub(super) lease: i64,
}

impl Token {
    /// `lease`, `n`, how long the group's uid is, the uid, the event's id; and the signature over all of it.
    pub(super) fn sign(&self, key: &[u8; 32]) -> Result<String, LogError> {
        let group_bytes = u16::try_from(self.group_uid.len())
            .map_err(|_| LogError::Damaged("a group's uid is longer than any".into()))?;
        let mut bytes = self.lease.to_be_bytes().to_vec();
        bytes.extend(self.n.to_be_bytes());
        bytes.extend(group_bytes.to_be_bytes());
        bytes.extend(self.group_uid.as_bytes());
        bytes.extend(self.event_id.as_bytes());
        let signature = mac(key, &bytes)?.finalize().into_bytes();
        bytes.extend(&signature[..SIGNATURE_BYTES]);
        Ok(hex::encode(bytes))
    }

    /// None for one that this log didn't make.
    pub(super) fn parse(key: &[u8; 32], token: &str) -> Option<Self> {
        if token.len() > MAX_CHARS {
            return None;
        }
        let bytes = hex::decode(token).ok()?;
        let (named, signed) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_BYTES)?)?;
        mac(key, named).ok()?.verify_truncated_left(signed).ok()?;
        let (lease, rest) = named.split_first_chunk()?;
        let (n, rest) = rest.split_first_chunk()?;
        let (group_bytes, rest) = rest.split_first_chunk()?;
        let (group, event) = rest.split_at_checked(u16::from_be_bytes(*group_bytes).into())?;
        Some(Self {
            group_uid: String::from_utf8(group.to_vec()).ok()?,
            event_id: String::from_utf8(event.to_vec()).ok()?,
            n: i32::from_be_bytes(*n),
            lease: i64::from_be_bytes(*lease),
        })
    }
}

fn mac(key: &[u8; 32], named: &[u8]) -> Result<Hmac<Sha256>, LogError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|error| LogError::Unavailable(format!("lease token: {error}")))?;
    mac.update(named);
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was_and_one_with_any_bit_changed_does_not() {
        let token = Token {
            group_uid: "0f".into(),
            event_id: "e-é".into(),
            n: 3,
            lease: -5,
        };
        let (key, other) = ([7; 32], [8; 32]);
        let signed = token.sign(&key).expect("signs");
        assert_eq!(Token::parse(&key, &signed), Some(token));
        assert_eq!(Token::parse(&other, &signed), None);
        let bytes = hex::decode(&signed).expect("hex");
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Token::parse(&key, &hex::encode(forged)), None, "bit {bit}");
        }
        for short in ["", "00", &"0".repeat(MAX_CHARS + 2)] {
            assert_eq!(Token::parse(&key, short), None);
        }
    }
}
