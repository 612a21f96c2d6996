//! The bodies of a call, as long as its token or certificate holds.
//!
//! What a client sends and what it is sent both end when that does, so that no service has to think of it. And nothing is sent at all
//! until the service has had the caller's scope checked.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hookplane_rules::{Clock, Timestamp};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::caller::Caller;
use super::certificates::{Authorities, Shown};
use super::grant::Record;
use super::tokens::{Tokens, Used};

/// How soon an expiry is noticed, at the latest: the clock may be set meanwhile, so it is looked at again and again.
const LOOK: Duration = Duration::from_secs(1);

/// A call, and what opened it.
#[derive(Clone)]
pub(super) struct Hold {
    pub(super) tokens: Arc<Tokens>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) by: By,
}

/// What can end before a call does.
#[derive(Clone)]
pub(super) enum By {
    /// A stored token.
    Token {
        record: Arc<Record>,
        /// Kept as long as the call is open: it is in use.
        _used: Arc<Used>,
    },
    /// A listener's certificate.
    Certificate {
        authorities: Arc<Authorities>,
        shown: Arc<Shown>,
    },
}

impl By {
    fn holds(&self, tokens: &Tokens, now: Timestamp) -> bool {
        match self {
            Self::Token { record, .. } => tokens.holds(record, now),
            Self::Certificate { authorities, shown } => {
                authorities.vouch_for(shown, now) && shown.grant(tokens).is_ok()
            }
        }
    }

    fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Token { record, .. } => record.expires,
            Self::Certificate { shown, .. } => Some(shown.until()),
        }
    }
}

type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Hold {
    /// Until the token lets nobody in any more.
    fn ended(&self) -> Ended {
        let hold = self.clone();
        Box::pin(async move {
            let mut changes = hold.tokens.changes();
            loop {
                changes.borrow_and_update();
                let now = hold.clock.now();
                if !hold.by.holds(&hold.tokens, now) {
                    return;
                }
                let changed = changes.changed();
                let gone = match hold.by.expires() {
                    None => changed.await.is_err(),
                    Some(expires) => {
                        let left = u64::try_from(expires.0.saturating_sub(now.0)).unwrap_or(0);
                        let look = LOOK.min(Duration::from_millis(left));
                        matches!(tokio::time::timeout(look, changed).await, Ok(Err(_)))
                    }
                };
                if gone {
                    return;
                }
            }
        })
    }
}

fn ended() -> Status {
    Status::unauthenticated(
        "the token has expired or was revoked, or the certificate has expired or is trusted no more",
    )
}

/// What the client sends.
pub(super) struct Asked {
    body: Body,
    /// None once it has ended.
    ended: Option<Ended>,
}

impl Asked {
    pub(super) fn new(body: Body, hold: &Hold) -> Self {
        Self {
            body,
            ended: Some(hold.ended()),
        }
    }
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(when) = &mut this.ended else {
            return Poll::Ready(None);
        };
        if when.as_mut().poll(cx).is_ready() {
            this.ended = None;
            this.body = Body::empty();
            return Poll::Ready(Some(Err(ended())));
        }
        Pin::new(&mut this.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What the client is sent.
pub(super) struct Answer {
    /// None once it was ended here.
    body: Option<Body>,
    /// None once anything was let out.
    unchecked: Option<Caller>,
    ended: Option<Ended>,
}

impl Answer {
    pub(super) fn new(body: Body, caller: Caller, hold: Option<Hold>) -> Self {
        Self {
            body: Some(body),
            unchecked: Some(caller),
            ended: hold.map(|hold| hold.ended()),
        }
    }

    /// Lets go of the service's body, which tells the service, and says why.
    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.body = None;
        self.ended = None;
        let mut trailers = http::HeaderMap::new();
        Poll::Ready(Some(
            status
                .add_header(&mut trailers)
                .map(|()| Frame::trailers(trailers)),
        ))
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Some(when) = &mut this.ended
            && when.as_mut().poll(cx).is_ready()
        {
            return this.end(&ended());
        }
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        let data = matches!(&frame, Some(Ok(frame)) if frame.is_data());
        if data
            && let Some(caller) = this.unchecked.take()
            && !caller.checked.load(Ordering::Acquire)
        {
            tracing::error!(
                method = caller.method,
                "an answer is withheld: its service has not checked whose it is"
            );
            return this.end(&Status::internal("the answer's scope was not checked"));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |body| body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body::Body as _;

    use super::*;
    use crate::access::caller::{Target, tests::caller};
    use crate::access::grant::Grant;

    /// One message.
    struct One(Option<Bytes>);

    impl http_body::Body for One {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
        }
    }

    async fn first(caller: Caller) -> Frame<Bytes> {
        let body = Body::new(One(Some("an answer".into())));
        let mut answer = Answer::new(body, caller, None);
        let frame = poll_fn(|cx| Pin::new(&mut answer).poll_frame(cx)).await;
        frame.unwrap().unwrap()
    }

    // Promise 8: what a service forgot fails closed.
    #[tokio::test]
    async fn an_answer_whose_scope_nobody_checked_is_withheld() {
        let forgot = caller(Grant::bootstrap(), None);
        let trailers = first(forgot).await.into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "13");
        let checked = caller(Grant::bootstrap(), None);
        checked.check(Target::Org("acme")).unwrap();
        assert!(first(checked).await.is_data());
    }
}
