//! Catalogue samples, signed as the provider would.

use bytes::Bytes;

/// A test callback, ready to post.
#[derive(Debug, Clone)]
pub struct SignedSample {
    /// The method.
    pub method: String,
    /// The group's callback URL with the sample's query.
    pub url: String,
    /// Content type and signature among them.
    pub headers: Vec<(String, String)>,
    /// The body, exactly as signed.
    pub body: Bytes,
}

/// Why there is no sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The connector's function has no such event, or none with a sample.
    #[error("no sample for event `{event}`; there are samples for {known}")]
    NoSample {
        /// What was asked for.
        event: String,
        /// What there is.
        known: String,
    },
    /// The scheme's private key is the provider's alone.
    #[error("{0}")]
    CannotSign(String),
}
