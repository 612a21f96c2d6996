//! What can be wrong with a configuration, and why a callback is refused.

use std::fmt;

/// One thing to mend in a resource, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// As a manifest writes it: `spec.functions[0].protocol.schemes[1].hmac.content`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    /// An error at `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Why a callback is turned away. The outsider is told the status and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Decides the status.
    pub kind: RefusalKind,
    /// For an operator: the clause that decided, such as `timestamp is 412 s old, 300 s are allowed`. Never a credential.
    pub reason: String,
    /// What this provider wants to hear, where that is another status than the kind's.
    pub status: Option<u16>,
}

impl Refusal {
    /// A refusal of this kind.
    pub fn new(kind: RefusalKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            status: None,
        }
    }

    /// With the status that this provider wants to hear.
    pub(crate) fn answered(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

/// The kinds of refusal, by what decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The group doesn't take this method.
    Method,
    /// The group doesn't take this content type.
    MediaType,
    /// The body is larger than the group takes.
    BodyTooLarge,
    /// The signature or credential is missing or wrong.
    Signature,
    /// The signed time is outside the window.
    Timestamp,
    /// A handshake that is not as its provider makes it.
    Handshake,
    /// Genuine, but of another account.
    ExternalId,
    /// The body can't be decoded, and what is signed depends on it.
    Undecodable,
}

impl RefusalKind {
    /// The status that an outsider is told, unless the provider wants to hear another.
    pub fn status(self) -> u16 {
        match self {
            Self::Signature | Self::Timestamp => 401,
            Self::ExternalId => 403,
            Self::Method => 405,
            Self::BodyTooLarge => 413,
            Self::MediaType => 415,
            Self::Undecodable | Self::Handshake => 400,
        }
    }

    /// The clause's name, as operators and metrics see it.
    pub fn clause(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::MediaType => "media-type",
            Self::BodyTooLarge => "body-too-large",
            Self::Signature => "signature",
            Self::Timestamp => "timestamp",
            Self::Handshake => "handshake",
            Self::ExternalId => "external-id",
            Self::Undecodable => "undecodable",
        }
    }
}
