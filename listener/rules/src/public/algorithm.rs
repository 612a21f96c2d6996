//! Signature algorithms under public keys, each with its key parsed.
//!
//! Risk 36: a key is parsed for one algorithm and verifies under no other.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use aws_lc_rs::signature::{
    self, ParsedPublicKey, RsaParameters, RsaPssSaltLength, RsaPublicKeyComponents,
    VerificationAlgorithm,
};

/// The shortest RSA modulus, in bits. Some providers' keys are as old as that; those of PSS are not.
const MIN_RSA_BITS: u32 = 1_024;
const MIN_PSS_BITS: u32 = 2_048;
const MAX_RSA_BITS: u32 = 8_192;
/// The length of an Ed25519 key, in bytes.
pub(super) const ED25519_BYTES: usize = 32;

static PSS_SHA256_LONGEST_SALT: RsaParameters =
    signature::RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
static PSS_SHA512_LONGEST_SALT: RsaParameters =
    signature::RSA_PSS_2048_8192_SHA512.with_pss_salt_length(RsaPssSaltLength::Max);

/// The algorithms there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Algorithm {
    RsaSha1,
    RsaSha256,
    RsaSha512,
    PssSha256,
    PssSha512,
    /// r and s as a DER sequence.
    P256Sha256,
    P256Sha1,
    /// r and s side by side, as tokens have them.
    P256Sha256Fixed,
    P521Sha512Fixed,
    Ed25519,
}

/// A key as some format has it, before anybody says what for.
pub(super) enum Encoded {
    /// SPKI, or PKCS #1.
    Der(Vec<u8>),
    RsaNumbers {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point.
    Point(Vec<u8>),
    /// Of Ed25519.
    Raw(Vec<u8>),
}

/// A key, parsed for one algorithm.
#[derive(Clone)]
pub(crate) struct PublicKey {
    /// The secret that it was pasted as.
    pub(crate) name: Option<Arc<str>>,
    /// What the provider calls it.
    pub(crate) id: Option<Arc<str>>,
    pub(crate) algorithm: Algorithm,
    /// With PSS one for each length that a salt may have.
    parsed: Vec<ParsedPublicKey>,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("name", &self.name)
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Algorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RsaSha1 | Self::RsaSha256 | Self::RsaSha512 => "RSA",
            Self::PssSha256 | Self::PssSha512 => "RSA of 2,048 bits or more",
            Self::P256Sha256 | Self::P256Sha1 | Self::P256Sha256Fixed => "elliptic curve P-256",
            Self::P521Sha512Fixed => "elliptic curve P-521",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// More than one where salts may be of several lengths.
    fn rsa(self) -> Option<Vec<&'static RsaParameters>> {
        Some(match self {
            Self::RsaSha1 => vec![&signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY],
            Self::RsaSha256 => vec![&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY],
            Self::RsaSha512 => vec![&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY],
            Self::PssSha256 => vec![
                &signature::RSA_PSS_2048_8192_SHA256,
                &PSS_SHA256_LONGEST_SALT,
            ],
            Self::PssSha512 => vec![
                &signature::RSA_PSS_2048_8192_SHA512,
                &PSS_SHA512_LONGEST_SALT,
            ],
            _ => return None,
        })
    }

    fn other(self) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match self {
            Self::P256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::P256Sha1 => &signature::ECDSA_P256_SHA1_ASN1,
            Self::P256Sha256Fixed => &signature::ECDSA_P256_SHA256_FIXED,
            Self::P521Sha512Fixed => &signature::ECDSA_P521_SHA512_FIXED,
            Self::Ed25519 => &signature::ED25519,
            _ => return None,
        })
    }

    /// None where the whole content is signed.
    fn hash(self) -> Option<&'static digest::Algorithm> {
        Some(match self {
            Self::RsaSha1 | Self::P256Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::RsaSha256 | Self::PssSha256 | Self::P256Sha256 | Self::P256Sha256Fixed => {
                &digest::SHA256
            }
            Self::RsaSha512 | Self::PssSha512 | Self::P521Sha512Fixed => &digest::SHA512,
            Self::Ed25519 => return None,
        })
    }

    /// None where the key is of another kind, another curve, or too short.
    fn parse(self, key: &Encoded) -> Option<Vec<ParsedPublicKey>> {
        if let Some(all) = self.rsa() {
            let least = match self {
                Self::PssSha256 | Self::PssSha512 => MIN_PSS_BITS,
                _ => MIN_RSA_BITS,
            };
            let parse = |parameters: &&'static RsaParameters| match key {
                Encoded::Der(der) => ParsedPublicKey::new(*parameters, der).ok(),
                Encoded::RsaNumbers { modulus, exponent } => RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                }
                .to_parsed_public_key(parameters)
                .ok(),
                Encoded::Point(_) | Encoded::Raw(_) => None,
            };
            let parsed: Vec<ParsedPublicKey> = all.iter().map(parse).collect::<Option<_>>()?;
            let bits = rsa_bits(match key {
                Encoded::Der(der) => der,
                _ => parsed.first()?.as_ref(),
            })?;
            return (least..=MAX_RSA_BITS).contains(&bits).then_some(parsed);
        }
        let bytes = match (self, key) {
            (_, Encoded::Der(der)) => der,
            (Self::Ed25519, Encoded::Raw(raw)) => raw,
            (Self::Ed25519, _) | (_, Encoded::Raw(_) | Encoded::RsaNumbers { .. }) => return None,
            (_, Encoded::Point(point)) => point,
        };
        Some(vec![ParsedPublicKey::new(self.other()?, bytes).ok()?])
    }
}

fn rsa_bits(der: &[u8]) -> Option<u32> {
    let key = RsaPublicKey::from_der(der).ok()?;
    RsaParameters::public_modulus_len(key.as_ref()).ok()
}

impl PublicKey {
    /// None where the key is none of this algorithm's.
    pub(super) fn parse(algorithm: Algorithm, id: Option<&str>, key: &Encoded) -> Option<Self> {
        Some(Self {
            name: None,
            id: id.map(Arc::from),
            algorithm,
            parsed: algorithm.parse(key)?,
        })
    }

    /// True when this key's owner signed this content. Of another algorithm's content it never is.
    pub(crate) fn signed(&self, content: &Content, signature: &[u8]) -> bool {
        self.parsed.iter().any(|key| match content {
            Content::Hash(digest) => key.verify_digest_sig(digest, signature).is_ok(),
            Content::Whole(bytes) => {
                self.algorithm.hash().is_none() && key.verify_sig(bytes, signature).is_ok()
            }
        })
    }
}

/// What was signed, under way: a hash, so that nothing is copied, or all of it where the algorithm wants it so.
pub(crate) enum Signing {
    Hash(digest::Context),
    Whole(Vec<u8>),
}

/// What was signed.
pub(crate) enum Content {
    Hash(digest::Digest),
    Whole(Vec<u8>),
}

impl Signing {
    pub(crate) fn start(algorithm: Algorithm) -> Self {
        match algorithm.hash() {
            Some(hash) => Self::Hash(digest::Context::new(hash)),
            None => Self::Whole(Vec::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Hash(context) => context.update(bytes),
            Self::Whole(all) => all.extend_from_slice(bytes),
        }
    }

    pub(crate) fn finish(self) -> Content {
        match self {
            Self::Hash(context) => Content::Hash(context.finish()),
            Self::Whole(all) => Content::Whole(all),
        }
    }
}
