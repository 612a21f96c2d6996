//! A request as it came, before anybody believes it.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// The request line and headers, while the body is still to come.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// Everything before the question mark, as it came.
    pub path: &'a str,
    /// Everything after the first question mark, as it came; empty without one.
    pub query: &'a str,
    /// As they came.
    pub headers: &'a HeaderMap,
}

/// A whole request, unverified.
#[derive(Clone, Default)]
pub struct Callback {
    /// The method.
    pub method: Method,
    /// Everything after the first question mark, as it came; empty without one.
    pub query: String,
    /// As they came.
    pub headers: HeaderMap,
    /// The raw bytes as they came.
    pub body: Bytes,
}

/// Names and sizes; credentials travel in headers, queries and bodies.
impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback")
            .field("method", &self.method)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What to answer a provider with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// None without a body.
    pub content_type: Option<String>,
    /// Others than the content type.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// May be empty.
    pub body: Bytes,
}
