//! The hash functions, plain and keyed, fed piece by piece.

use hmac::{Hmac, KeyInit, Mac, SimpleHmac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use sha3::Keccak256;

use crate::connector::HashKind;

/// A hash under way. Those that few providers use are large, and would make all keys so.
#[derive(Clone)]
pub(crate) enum MacState {
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Box<Hmac<Sha384>>),
    Sha512(Box<Hmac<Sha512>>),
    Keccak256(Box<SimpleHmac<Keccak256>>),
    PlainMd5(Md5),
    PlainSha1(Sha1),
    PlainSha256(Sha256),
    PlainSha384(Sha384),
    PlainSha512(Sha512),
    PlainKeccak256(Box<Keccak256>),
}

impl MacState {
    pub(crate) fn new(hash: HashKind, key: &[u8]) -> Self {
        // An HMAC takes a key of any length.
        const ANY_LENGTH: &str = "an HMAC takes a key of any length";
        match hash {
            HashKind::Md5 => Self::Md5(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            HashKind::Sha1 => Self::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            HashKind::Sha256 => Self::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            HashKind::Sha384 => {
                Self::Sha384(Box::new(Hmac::new_from_slice(key).expect(ANY_LENGTH)))
            }
            HashKind::Sha512 => {
                Self::Sha512(Box::new(Hmac::new_from_slice(key).expect(ANY_LENGTH)))
            }
            HashKind::Keccak256 => {
                Self::Keccak256(Box::new(SimpleHmac::new_from_slice(key).expect(ANY_LENGTH)))
            }
        }
    }

    pub(crate) fn plain(hash: HashKind) -> Self {
        match hash {
            HashKind::Md5 => Self::PlainMd5(Md5::new()),
            HashKind::Sha1 => Self::PlainSha1(Sha1::new()),
            HashKind::Sha256 => Self::PlainSha256(Sha256::new()),
            HashKind::Sha384 => Self::PlainSha384(Sha384::new()),
            HashKind::Sha512 => Self::PlainSha512(Sha512::new()),
            HashKind::Keccak256 => Self::PlainKeccak256(Box::new(Keccak256::new())),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(state) => Mac::update(state, bytes),
            Self::Sha1(state) => Mac::update(state, bytes),
            Self::Sha256(state) => Mac::update(state, bytes),
            Self::Sha384(state) => Mac::update(&mut **state, bytes),
            Self::Sha512(state) => Mac::update(&mut **state, bytes),
            Self::Keccak256(state) => Mac::update(&mut **state, bytes),
            Self::PlainMd5(state) => Digest::update(state, bytes),
            Self::PlainSha1(state) => Digest::update(state, bytes),
            Self::PlainSha256(state) => Digest::update(state, bytes),
            Self::PlainSha384(state) => Digest::update(state, bytes),
            Self::PlainSha512(state) => Digest::update(state, bytes),
            Self::PlainKeccak256(state) => Digest::update(&mut **state, bytes),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Md5(state) => state.finalize().into_bytes().to_vec(),
            Self::Sha1(state) => state.finalize().into_bytes().to_vec(),
            Self::Sha256(state) => state.finalize().into_bytes().to_vec(),
            Self::Sha384(state) => state.finalize().into_bytes().to_vec(),
            Self::Sha512(state) => state.finalize().into_bytes().to_vec(),
            Self::Keccak256(state) => state.finalize().into_bytes().to_vec(),
            Self::PlainMd5(state) => state.finalize().to_vec(),
            Self::PlainSha1(state) => state.finalize().to_vec(),
            Self::PlainSha256(state) => state.finalize().to_vec(),
            Self::PlainSha384(state) => state.finalize().to_vec(),
            Self::PlainSha512(state) => state.finalize().to_vec(),
            Self::PlainKeccak256(state) => state.finalize().to_vec(),
        }
    }
}

impl HashKind {
    /// The length of its output, in bytes.
    pub(crate) fn output_bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 | Self::Keccak256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The plain hash of these bytes.
    pub(crate) fn of_bytes(self, bytes: &[u8]) -> Vec<u8> {
        let mut state = MacState::plain(self);
        state.update(bytes);
        state.finish()
    }
}
