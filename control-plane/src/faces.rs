//! One port, two faces: gRPC, and whatever answers browsers.
//!
//! ```text
//!  request ─┬─ content-type application/grpc ─▶ the door ─▶ services
//!           └─ anything else ─▶ web, which calls the same door and services in process
//! ```
//!
//! What answers browsers gets no more of the server than a client on the network has.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service};

/// Requests in, answers out, nothing else to fail.
pub type Local = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Makes what answers browsers, from the API as a client has it.
pub type Web = Box<dyn FnOnce(Local) -> Local + Send>;

/// In front of the API.
#[derive(Clone)]
pub(crate) struct Faces(pub(crate) Option<Local>);

impl<S> Layer<S> for Faces {
    type Service = Choosing<S>;

    fn layer(&self, grpc: S) -> Choosing<S> {
        Choosing {
            grpc,
            web: self.0.clone(),
        }
    }
}

/// Chooses by what a request says it is.
#[derive(Clone)]
pub(crate) struct Choosing<S> {
    grpc: S,
    web: Option<Local>,
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE);
    media_type.is_some_and(|is| is.as_bytes().starts_with(b"application/grpc"))
}

impl<S> Service<Request<Body>> for Choosing<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.grpc.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match &mut self.web {
            Some(web) if !is_grpc(request.headers()) => {
                let answer = web.call(request);
                Box::pin(async move {
                    match answer.await {
                        Ok(answer) => Ok(answer),
                        Err(never) => match never {},
                    }
                })
            }
            // What isn't gRPC is refused there, as an unknown method is.
            _ => Box::pin(self.grpc.call(request)),
        }
    }
}
