//! Who calls: one bearer token for now, checked in one place before any service sees the request.
//!
//! The health service alone is open, so that a load balancer needs no credential. Everything else, reflection included, needs the token. A service
//! finds the caller as an [`Identity`] in the request's extensions; roles will be told from it.

use std::sync::Arc;
use std::task::{Context, Poll};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tonic::Status;
use tower::{Layer, Service};

const OPEN_PREFIX: &str = "/grpc.health.v1.Health/";

/// The caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Administers everything.
    Admin,
}

/// Checks every request.
#[derive(Clone)]
pub struct Auth {
    /// Hashed, so that compared lengths are equal and the token itself is not kept.
    admin: Arc<[u8; 32]>,
}

impl Auth {
    /// With the token that administers everything. An empty one lets nobody in.
    pub fn new(admin_token: &str) -> Self {
        let mut admin = digest(admin_token.as_bytes());
        if admin_token.is_empty() {
            // No request has a preimage of this.
            admin = [0; 32];
        }
        Self {
            admin: Arc::new(admin),
        }
    }

    /// Who the headers say it is.
    fn identify(&self, headers: &http::HeaderMap) -> Result<Identity, Status> {
        let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
        let value = values.next().ok_or_else(|| {
            Status::unauthenticated(
                "no token: send `authorization: Bearer TOKEN`, as --token or HOOKPLANE_TOKEN does",
            )
        })?;
        let token = value
            .as_bytes()
            .split_at_checked(7)
            .filter(|(scheme, _)| {
                scheme.eq_ignore_ascii_case(b"bearer ") && values.next().is_none()
            })
            .map(|(_, token)| token);
        match token {
            Some(token) if bool::from(digest(token).ct_eq(&*self.admin)) => Ok(Identity::Admin),
            _ => Err(Status::unauthenticated(
                "the token is not valid here: check HOOKPLANE_TOKEN, or the data directory that it was read from",
            )),
        }
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl<S> Layer<S> for Auth {
    type Service = Checked<S>;

    fn layer(&self, inner: S) -> Checked<S> {
        Checked {
            auth: self.clone(),
            inner,
        }
    }
}

/// A service behind [`Auth`].
#[derive(Clone)]
pub struct Checked<S> {
    auth: Auth,
    inner: S,
}

impl<S, B, R> Service<http::Request<B>> for Checked<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    R: Default + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        if !request.uri().path().starts_with(OPEN_PREFIX) {
            match self.auth.identify(request.headers()) {
                Ok(identity) => {
                    request.extensions_mut().insert(identity);
                }
                Err(status) => {
                    let response = status.into_http();
                    return Box::pin(async move { Ok(response) });
                }
            }
        }
        Box::pin(self.inner.call(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identify(auth: &Auth, values: &[&str]) -> Result<Identity, Status> {
        let mut headers = http::HeaderMap::new();
        for value in values {
            headers.append(http::header::AUTHORIZATION, value.parse().unwrap());
        }
        auth.identify(&headers)
    }

    #[test]
    fn only_the_whole_token_lets_in() {
        let auth = Auth::new("tok-123");
        assert_eq!(
            identify(&auth, &["Bearer tok-123"]).unwrap(),
            Identity::Admin
        );
        assert_eq!(
            identify(&auth, &["bearer tok-123"]).unwrap(),
            Identity::Admin
        );
        for wrong in [
            "Bearer tok-12",
            "Bearer tok-1234",
            "Bearer ",
            "Bearer",
            "tok-123",
            "Basic tok-123",
            "",
        ] {
            let status = identify(&auth, &[wrong]).unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unauthenticated, "{wrong}");
            assert!(!status.message().contains("tok-1"));
        }
        assert!(identify(&auth, &[]).is_err());
        assert!(identify(&auth, &["Bearer tok-123", "Bearer x"]).is_err());
    }

    #[test]
    fn an_empty_admin_token_lets_nobody_in() {
        assert!(identify(&Auth::new(""), &["Bearer "]).is_err());
    }
}
