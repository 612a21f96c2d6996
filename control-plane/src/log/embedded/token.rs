//! Names of leases.
//!
//! A token names its delivery and attempt and is signed with the log's own key, so that an ack from a lease that has ended, even before a
//! restart, is still known as genuine.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::fault::Fault;
use crate::log::LogError;

/// Of the signature, in bytes: 128 bits can't be guessed.
const SIGNATURE_BYTES: usize = 16;

/// What nobody can guess.
pub(super) fn random() -> Result<u64, Fault> {
    getrandom::u64()
        .map_err(|error| Fault::Own(LogError::Unavailable(format!("no random numbers: {error}"))))
}

fn signature(key: &[u8; 32], named: &[u8]) -> Result<Hmac<Sha256>, Fault> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|error| Fault::Own(LogError::Unavailable(format!("lease token: {error}"))))?;
    mac.update(named);
    Ok(mac)
}

/// Names a lease.
pub(super) fn token(key: &[u8; 32], delivery: i64, nonce: u64) -> Result<String, Fault> {
    let mut bytes = delivery.to_be_bytes().to_vec();
    bytes.extend(nonce.to_be_bytes());
    let signature = signature(key, &bytes)?.finalize().into_bytes();
    bytes.extend(&signature[..SIGNATURE_BYTES]);
    Ok(hex::encode(bytes))
}

/// The delivery and the nonce, when we made the token.
pub(super) fn parse(key: &[u8; 32], token: &str) -> Option<(i64, u64)> {
    let mut bytes = [0u8; 16 + SIGNATURE_BYTES];
    hex::decode_to_slice(token, &mut bytes).ok()?;
    let (named, signed) = bytes.split_at(16);
    signature(key, named)
        .ok()?
        .verify_truncated_left(signed)
        .ok()?;
    let (delivery, nonce) = named.split_at(8);
    Some((
        i64::from_be_bytes(delivery.try_into().ok()?),
        u64::from_be_bytes(nonce.try_into().ok()?),
    ))
}
