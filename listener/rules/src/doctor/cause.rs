//! What a callback was likely refused for.

/// One conclusion, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The likely cause.
    pub cause: Cause,
    /// For an operator: what was found, and what to do. Never a secret, a signature, a path or anything of a body.
    pub advice: String,
}

impl Diagnosis {
    pub(super) fn new(cause: Cause, advice: impl Into<String>) -> Self {
        Self {
            cause,
            advice: advice.into(),
        }
    }
}

/// The causes that the doctor knows. Metrics count by these, so that the list is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Nothing in the request is a signature.
    SignatureMissing,
    /// What would verify is under another name.
    SignatureElsewhere,
    /// The signature is right, and written in another encoding or with another prefix.
    SignatureEncoding,
    /// Made with another hash function.
    HashFunction,
    /// Something that is signed didn't arrive.
    SignedPartMissing,
    /// The group has no secret that is a key of the scheme.
    NoSecret,
    /// A prefix of the secret is missing, or there and too much.
    SecretPrefix,
    /// The secret is to be decoded and isn't, or the other way round.
    SecretEncoding,
    /// A space or line break around the secret.
    SecretWhitespace,
    /// The secret was pasted with something around it.
    SecretWrapped,
    /// Another value that the group holds is the key.
    SecretSwapped,
    /// Basic authentication: the password is right.
    UserName,
    /// Another of the function's schemes fits.
    AnotherScheme,
    /// Another function of the connector fits.
    AnotherFunction,
    /// The time is written in another unit.
    TimestampUnit,
    /// It is off by whole hours, as a local time taken for UTC is.
    TimestampZone,
    /// It came long after it was signed.
    TimestampStale,
    /// It was signed in our future.
    TimestampAhead,
    /// Another form of the URL was signed.
    Url,
    /// The body is not as long as was said.
    BodyLength,
    /// A line break was added, taken away or changed.
    BodyLineBreak,
    /// The body was parsed and written anew.
    BodyReencoded,
    /// The body was unpacked, or is to be unpacked.
    BodyPacked,
    /// No body was signed.
    BodyUnsigned,
    /// The signature fits, and something that it covers is not what it must be.
    SignedValue,
    /// A token's algorithm is not one of the provider's.
    TokenAlgorithm,
    /// The token's name of its key is not among the keys.
    KeyUnknown,
    /// Nothing that is tried helps: another secret, most likely.
    SecretUnknown,
    /// Nothing that is tried helps: another public key, most likely.
    PublicKeyUnknown,
    /// Not everything was tried.
    Undetermined,
}

impl Cause {
    /// Every one there is.
    pub const ALL: [Self; 30] = [
        Self::SignatureMissing,
        Self::SignatureElsewhere,
        Self::SignatureEncoding,
        Self::HashFunction,
        Self::SignedPartMissing,
        Self::NoSecret,
        Self::SecretPrefix,
        Self::SecretEncoding,
        Self::SecretWhitespace,
        Self::SecretWrapped,
        Self::SecretSwapped,
        Self::UserName,
        Self::AnotherScheme,
        Self::AnotherFunction,
        Self::TimestampUnit,
        Self::TimestampZone,
        Self::TimestampStale,
        Self::TimestampAhead,
        Self::Url,
        Self::BodyLength,
        Self::BodyLineBreak,
        Self::BodyReencoded,
        Self::BodyPacked,
        Self::BodyUnsigned,
        Self::SignedValue,
        Self::TokenAlgorithm,
        Self::KeyUnknown,
        Self::SecretUnknown,
        Self::PublicKeyUnknown,
        Self::Undetermined,
    ];

    /// Its name, as operators and metrics see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignatureMissing => "signature-missing",
            Self::SignatureElsewhere => "signature-elsewhere",
            Self::SignatureEncoding => "signature-encoding",
            Self::HashFunction => "hash-function",
            Self::SignedPartMissing => "signed-part-missing",
            Self::NoSecret => "no-secret",
            Self::SecretPrefix => "secret-prefix",
            Self::SecretEncoding => "secret-encoding",
            Self::SecretWhitespace => "secret-whitespace",
            Self::SecretWrapped => "secret-wrapped",
            Self::SecretSwapped => "secret-swapped",
            Self::UserName => "user-name",
            Self::AnotherScheme => "another-scheme",
            Self::AnotherFunction => "another-function",
            Self::TimestampUnit => "timestamp-unit",
            Self::TimestampZone => "timestamp-zone",
            Self::TimestampStale => "timestamp-stale",
            Self::TimestampAhead => "timestamp-ahead",
            Self::Url => "url",
            Self::BodyLength => "body-length",
            Self::BodyLineBreak => "body-line-break",
            Self::BodyReencoded => "body-reencoded",
            Self::BodyPacked => "body-packed",
            Self::BodyUnsigned => "body-unsigned",
            Self::SignedValue => "signed-value",
            Self::TokenAlgorithm => "token-algorithm",
            Self::KeyUnknown => "key-unknown",
            Self::SecretUnknown => "secret-unknown",
            Self::PublicKeyUnknown => "public-key-unknown",
            Self::Undetermined => "undetermined",
        }
    }
}
