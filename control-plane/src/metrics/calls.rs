//! Calls that were refused to their caller, counted from the answers: whoever refuses, a check in front or a service.

use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::Code;
use tower::{Layer, Service};

use super::Metrics;

/// In front of everything else.
#[derive(Clone)]
pub(crate) struct RefusedCalls(pub(crate) Arc<Metrics>);

impl<S> Layer<S> for RefusedCalls {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            metrics: self.0.clone(),
            inner,
        }
    }
}

/// A service whose answers are looked at.
#[derive(Clone)]
pub(crate) struct Counted<S> {
    metrics: Arc<Metrics>,
    inner: S,
}

impl<S, B, R> Service<http::Request<B>> for Counted<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let metrics = self.metrics.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // An error without a message comes as headers alone.
            let status = response.headers().get("grpc-status");
            match status.map(|status| Code::from_bytes(status.as_bytes())) {
                Some(Code::Unauthenticated) => {
                    metrics.unauthenticated.inc();
                }
                Some(Code::PermissionDenied) => {
                    metrics.denied.inc();
                }
                _ => {}
            }
            Ok(response)
        })
    }
}
