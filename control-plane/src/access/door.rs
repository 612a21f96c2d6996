//! The door that every request comes through: who it is from, and whether their role may call this method.
//!
//! The health service alone is open, so that a load balancer needs no credential.

use std::sync::Arc;
use std::task::{Context, Poll};

use hookplane_rules::{Clock, Timestamp};
use subtle::ConstantTimeEq;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::bearer;
use super::caller::Caller;
use super::certificates::{Authorities, Shown};
use super::grant::{Grant, Means};
use super::held::{Answer, Asked, By, Hold};
use super::methods::{self, Needs};
use super::quiet::Quiet;
use super::tokens::Tokens;
use crate::incoming::Known;

const OPEN_PREFIX: &str = "/grpc.health.v1.Health/";

/// Checks every request.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    /// Hashed, so that compared lengths are equal and the token itself is not kept.
    bootstrap: Option<[u8; 32]>,
    bootstrap_grant: Arc<Grant>,
    tokens: Arc<Tokens>,
    /// None: certificates let nobody in.
    authorities: Option<Arc<Authorities>>,
    clock: Arc<dyn Clock>,
    /// Of those that nobody knows.
    strangers: Quiet,
    refusals: Arc<Quiet>,
}

struct Admitted {
    caller: Caller,
    /// None for the bootstrap token, which holds as long as the server runs.
    hold: Option<Hold>,
    streams: bool,
}

impl Door {
    /// With the token that the server was started with, which administers everything as long as it runs; without one, or with an empty one, only
    /// stored tokens let in.
    pub fn new(bootstrap: Option<&str>, tokens: Arc<Tokens>, clock: Arc<dyn Clock>) -> Self {
        Self::trusting(None, bootstrap, tokens, clock)
    }

    /// The same, and these authorities' certificates let listeners in.
    pub fn trusting(
        authorities: Option<Arc<Authorities>>,
        bootstrap: Option<&str>,
        tokens: Arc<Tokens>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let bootstrap = bootstrap.filter(|token| !token.is_empty());
        Self(Arc::new(Inner {
            bootstrap: bootstrap.map(|token| bearer::hash(token.as_bytes())),
            bootstrap_grant: Arc::new(Grant::bootstrap()),
            tokens,
            authorities,
            clock,
            strangers: Quiet::default(),
            refusals: Arc::default(),
        }))
    }

    fn admit(
        &self,
        path: &str,
        headers: &http::HeaderMap,
        shown: Option<&Arc<Shown>>,
    ) -> Result<Admitted, Status> {
        let inner = &*self.0;
        let now = inner.clock.now();
        let row = methods::of(path);
        let identified = inner.identify(headers, shown, now).map_err(|why| {
            if let Some(left_out) = inner.strangers.line(now) {
                // Not the path itself, which is a stranger's text.
                let method = row.map_or("unknown", |row| row.method);
                tracing::warn!(
                    method,
                    why,
                    left_out,
                    "a call without a valid token or certificate was refused"
                );
            }
            Status::unauthenticated(why)
        })?;
        let caller = Caller {
            grant: identified.grant,
            method: row.map_or("", |row| row.method),
            since: identified.since,
            checked: Arc::default(),
            refusals: inner.refusals.clone(),
            now,
        };
        let Some(row) = row else {
            return Err(Status::unimplemented("there is no such method here"));
        };
        caller.needs(row.needs)?;
        if row.needs == Needs::Token {
            caller.check(super::Target::Public)?;
        }
        let hold = identified.by.map(|by| Hold {
            tokens: inner.tokens.clone(),
            clock: inner.clock.clone(),
            by,
        });
        Ok(Admitted {
            caller,
            hold,
            streams: row.streams,
        })
    }
}

/// Who it is.
struct Identified {
    grant: Arc<Grant>,
    /// When its org was made.
    since: Option<Timestamp>,
    /// None for the bootstrap token.
    by: Option<By>,
}

impl Inner {
    /// Who the headers say it is, or, if they say nothing, the connection's certificate. What is wrong with a token is not said.
    fn identify(
        &self,
        headers: &http::HeaderMap,
        shown: Option<&Arc<Shown>>,
        now: Timestamp,
    ) -> Result<Identified, &'static str> {
        if let (Some(shown), Some(authorities)) = (shown, &self.authorities)
            && !headers.contains_key(http::header::AUTHORIZATION)
        {
            return self.certified(shown, authorities, now);
        }
        const WRONG: &str = "the token is not valid here: unknown, expired or revoked";
        let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
        let value = values.next().ok_or(
            "no token: send `authorization: Bearer TOKEN`, as --token or HOOKPLANE_TOKEN does",
        )?;
        let (scheme, text) = value.as_bytes().split_at_checked(7).ok_or(WRONG)?;
        let bearer = scheme.eq_ignore_ascii_case(b"bearer ") && values.next().is_none();
        if !bearer || text.len() > bearer::MAX_BYTES {
            return Err(WRONG);
        }
        let whole = bearer::hash(text);
        if self
            .bootstrap
            .is_some_and(|expected| bool::from(expected.ct_eq(&whole)))
        {
            return Ok(Identified {
                grant: self.bootstrap_grant.clone(),
                since: None,
                by: None,
            });
        }
        let (id, secret) = bearer::read(text).ok_or(WRONG)?;
        let entered = self.tokens.enter(id, &secret, now).ok_or(WRONG)?;
        Ok(Identified {
            grant: entered.record.grant.clone(),
            since: entered.since,
            by: Some(By::Token {
                record: entered.record,
                _used: entered.used,
            }),
        })
    }

    fn certified(
        &self,
        shown: &Arc<Shown>,
        authorities: &Arc<Authorities>,
        now: Timestamp,
    ) -> Result<Identified, &'static str> {
        if !authorities.vouch_for(shown, now) {
            return Err(
                "the certificate is not valid here: expired, not yet valid, or not signed by whom this server trusts now",
            );
        }
        let (grant, since) = shown.grant(&self.tokens)?;
        Ok(Identified {
            grant: Arc::new(grant),
            since,
            by: Some(By::Certificate {
                authorities: authorities.clone(),
                shown: shown.clone(),
            }),
        })
    }
}

impl<S> Layer<S> for Door {
    type Service = Checked<S>;

    fn layer(&self, inner: S) -> Checked<S> {
        Checked {
            door: self.clone(),
            inner,
        }
    }
}

/// A service behind a [`Door`].
#[derive(Clone)]
pub struct Checked<S> {
    door: Door,
    inner: S,
}

impl<S> Checked<S> {
    fn admit(&self, request: &http::Request<Body>) -> Result<Admitted, Status> {
        let connection = request.extensions().get::<Known>();
        let shown = connection.and_then(Known::certificate);
        self.door
            .admit(request.uri().path(), request.headers(), shown)
    }
}

impl<S> Service<http::Request<Body>> for Checked<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if request.uri().path().starts_with(OPEN_PREFIX) {
            return Box::pin(self.inner.call(request));
        }
        let Admitted {
            caller,
            hold,
            streams,
        } = match self.admit(&request) {
            Ok(admitted) => admitted,
            Err(status) => {
                let response = status.into_http();
                return Box::pin(async move { Ok(response) });
            }
        };
        if let Some(connection) = request.extensions().get::<Known>()
            && connection.mark()
            && caller.grant.means == Means::Certificate
        {
            tracing::info!(
                certificate = caller.id(),
                org = caller.grant.org.as_deref().unwrap_or("-"),
                pools = ?caller.grant.pools,
                "a listener is let in by its certificate"
            );
        }
        request.extensions_mut().insert(caller.clone());
        let request = match &hold {
            Some(hold) => request.map(|body| Body::new(Asked::new(body, hold))),
            None => request,
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            // What was done is told, also when it was the token's own end.
            let hold = hold.filter(|_| streams);
            Ok(answer.map(|body| Body::new(Answer::new(body, caller, hold))))
        })
    }
}

#[cfg(test)]
mod tests;
