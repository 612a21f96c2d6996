//! The status port: whether a server lives, whether it is ready, and its metrics, for the platform that runs it.
//!
//! ```text
//!  GET /livez    200 while the process answers
//!  GET /readyz   200 when it is ready, 503 before and while it drains
//!  GET /metrics  OpenMetrics, for Prometheus
//! ```
//!
//! It is plain HTTP without a token, so it says nothing of what anyone configured or sent. A few connections at a time, each for one answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
// Both servers render theirs in the same form.
use hookplane_listener::Metrics as ServerMetrics;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::{bind, url};
use crate::args::Common;
use crate::failure::Failure;
use crate::output::note;

/// A probe and a scraper or two, each with one.
const MAX_CONNECTIONS: usize = 32;
const MAX_HEAD_BYTES: usize = 8192;
/// For a whole connection: a request's head, and its answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// After an accept that failed for want of descriptors: time for connections to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Renders the metrics.
type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What is told.
#[derive(Clone)]
struct Told {
    /// The server's own word.
    ready: watch::Receiver<bool>,
    metrics: Metrics,
}

/// Serves as long as what it returns lives, if an address was given.
pub(crate) async fn start(
    common: &Common,
    ready: &watch::Sender<bool>,
    metrics: impl Fn() -> String + Send + Sync + 'static,
) -> Result<Option<AbortOnDropHandle<()>>, Failure> {
    let Some(address) = &common.status else {
        return Ok(None);
    };
    let socket = bind(address, "--status").await?;
    note(&format!("status on {}", url("http", socket.local_addr()?)));
    let told = Told {
        ready: ready.subscribe(),
        metrics: Arc::new(metrics),
    };
    let serving = tokio::spawn(accept(socket, told));
    Ok(Some(AbortOnDropHandle::new(serving)))
}

async fn accept(socket: TcpListener, told: Told) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return; // Never: nobody closes it.
        };
        match socket.accept().await {
            Ok((stream, _)) => {
                let told = told.clone();
                connections.spawn(async move {
                    if tokio::time::timeout(TIMEOUT, talk(stream, told))
                        .await
                        .is_err()
                    {
                        tracing::debug!("a status connection took too long");
                    }
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn talk(stream: TcpStream, told: Told) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), &told);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a status connection ended");
    }
}

fn answer(method: &Method, path: &str, told: &Told) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match path {
        "/livez" => text(StatusCode::OK, "alive\n"),
        "/readyz" if *told.ready.borrow() => text(StatusCode::OK, "ready\n"),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        "/metrics" => {
            let mut response = text(StatusCode::OK, (told.metrics)());
            response.headers_mut().insert(
                CONTENT_TYPE,
                HeaderValue::from_static(ServerMetrics::CONTENT_TYPE),
            );
            response
        }
        _ => text(StatusCode::NOT_FOUND, "/livez, /readyz, /metrics\n"),
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_the_servers_word_and_alive_is_not() {
        let ready = watch::Sender::new(false);
        let told = Told {
            ready: ready.subscribe(),
            metrics: Arc::new(|| "m 1\n".to_owned()),
        };
        let get = |path: &str| answer(&Method::GET, path, &told).status().as_u16();
        assert_eq!((get("/livez"), get("/readyz")), (200, 503));
        ready.send_replace(true);
        assert_eq!((get("/livez"), get("/readyz")), (200, 200));
        ready.send_replace(false);
        assert_eq!((get("/livez"), get("/readyz")), (200, 503));
        assert_eq!((get("/metrics"), get("/")), (200, 404));
        assert_eq!(answer(&Method::POST, "/livez", &told).status(), 405);
    }
}
