//! Connections: accepted one permit at a time, served as HTTP/1.1 or HTTP/2 with or without TLS, ended with manners.
//!
//! - So many connections have a place, one more is in hand, and what is above waits in the kernel's queue, at no cost here. For the one in hand an
//!   idle one is ended: see [`places`].
//! - A connection that completes no head for `head_timeout` while nothing of it is under way is closed: idle, slow, or stuck in the
//!   HTTP/2 preface or in the TLS handshake alike. One timer per connection watches over all of that, none per request.
//! - When a connection ends while its caller still sends (413, 431, 404 to an upload), what comes is read and dropped for up to a
//!   second. Closing at once would reset it, and the caller could lose the answer.
//! - A panic ends its own connection and is logged.

mod lent;
mod places;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Version};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use lent::{Back, Lent, linger};
use places::Places;

use crate::Limits;
use crate::handle;
use crate::state::State;

/// After an accept that failed for want of descriptors or memory: time for connections to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two looks for a connection that is idle, while one without a place waits.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Requests of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 128;
/// hyper parses up to this many headers on the stack.
const HEADERS_ON_STACK: usize = 100;
/// hyper takes no smaller buffer.
const MIN_HEAD_BYTES: usize = 8192;
const PING_EVERY: Duration = Duration::from_secs(20);

/// Accepts until [`Limits::leave`] after `shutdown`, then drains for at most [`Limits::drain`].
pub(crate) async fn run(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    state: Arc<State>,
    shutdown: CancellationToken,
) {
    let tls = tls.map(TlsAcceptor::from);
    let mut places = Places::new(state.limits.max_connections.max(1));
    // Accepted, and without a place.
    let mut in_hand: Option<(TcpStream, SocketAddr)> = None;
    let builder = Arc::new(builder(&state.limits));
    let mut connections = JoinSet::new();
    let mut pressed = false;
    let leaving = Leaving {
        soon: shutdown,
        now: CancellationToken::new(),
    };
    let mut left = pin!(leaving.wait(state.limits.leave));
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut left => break,
            Some(ended) = connections.join_next() => {
                log_panic(ended);
                continue;
            }
            Some(place) = places.free(), if in_hand.is_some() => {
                if let Some((stream, remote)) = in_hand.take() {
                    let pulse = Arc::new(Pulse::new());
                    places.taken_by(&pulse);
                    let (state, builder, leaving) = (state.clone(), builder.clone(), leaving.clone());
                    let tls = tls.clone();
                    connections.spawn(async move {
                        serve((stream, remote), tls, &state, &builder, &leaving, pulse).await;
                        drop(place);
                    });
                }
                continue;
            }
            () = tokio::time::sleep(LOOK_EVERY), if in_hand.is_some() => {
                places.make_room();
                continue;
            }
            accepted = listener.accept(), if in_hand.is_none() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                pressed = false;
                in_hand = Some(accepted);
                places.make_room();
            }
            Err(error) if about_one_connection(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut pressed, true) {
                    tracing::error!(%error, "can't accept connections: raise the limit of open files, or lower max_connections");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    leaving.now.cancel();
    let deadline = Instant::now() + state.limits.drain;
    while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, connections.join_next()).await {
        log_panic(ended);
    }
    if !connections.is_empty() {
        // Risk 22: a stalled client must not keep us.
        tracing::warn!(
            connections = connections.len(),
            "closing connections that did not end in time"
        );
        connections.shutdown().await;
    }
}

/// The end, in two steps. Between them a connection is kept, so that no request meets its closing on the way, but its next answer is its last.
#[derive(Clone)]
struct Leaving {
    soon: CancellationToken,
    now: CancellationToken,
}

impl Leaving {
    async fn wait(&self, leave: Duration) {
        self.soon.cancelled().await;
        tokio::time::sleep(leave).await;
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked: please report this as a bug");
    }
}

/// The caller is gone already; the next accept may well succeed.
fn about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let mut http1 = builder.http1();
    http1
        // The watch below does this, for HTTP/2 and the preface as well.
        .header_read_timeout(None)
        // Answers are a few hundred bytes: one buffer costs less to write than several.
        .writev(false)
        .max_buf_size(limits.max_head_bytes.max(MIN_HEAD_BYTES));
    if limits.max_headers != HEADERS_ON_STACK {
        http1.max_headers(limits.max_headers);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX));
    builder
}

async fn serve(
    (stream, remote): (TcpStream, SocketAddr),
    tls: Option<TlsAcceptor>,
    state: &Arc<State>,
    builder: &auto::Builder<TokioExecutor>,
    leaving: &Leaving,
    pulse: Arc<Pulse>,
) {
    // Without it small answers may wait for the caller's acknowledgement; if it can't be set they do.
    let _ = stream.set_nodelay(true);
    let back = Back::default();
    let lent = Lent::new(stream, &back);
    let talk = Talk {
        remote,
        state,
        builder,
        leaving,
        pulse,
    };
    let gave_up = match tls {
        None => talk.serve(lent).await,
        Some(tls) => match talk.handshake(tls, lent).await {
            Ok(stream) => talk.serve(stream).await,
            Err(gave_up) => gave_up,
        },
    };
    // Somebody waits for the place of one that gave it up, and it sends nothing.
    if let Some(stream) = back.take()
        && !gave_up
    {
        linger(stream).await;
    }
}

/// What is said on one connection.
struct Talk<'a> {
    remote: SocketAddr,
    state: &'a Arc<State>,
    builder: &'a auto::Builder<TokioExecutor>,
    leaving: &'a Leaving,
    pulse: Arc<Pulse>,
}

impl Talk<'_> {
    /// Its time is that of a head: a caller has the same for both together. At the end nothing waits for it, since nothing has been asked. An error
    /// says whether it gave its place up.
    async fn handshake(&self, tls: TlsAcceptor, lent: Lent) -> Result<TlsStream<Lent>, bool> {
        let late = self.pulse.idle_at(self.state.limits.head_timeout);
        let remote = self.remote;
        tokio::select! {
            biased;
            shaken = tls.accept(lent) => match shaken {
                Ok(stream) => Ok(stream),
                Err(error) => {
                    tracing::debug!(%remote, %error, "TLS handshake failed");
                    Err(false)
                }
            },
            () = self.leaving.now.cancelled() => Err(false),
            () = self.pulse.give_up.notified() => Err(true),
            () = tokio::time::sleep_until(late) => {
                tracing::debug!(%remote, "no TLS handshake in time");
                Err(false)
            }
        }
    }

    /// Whether it gave its place up.
    async fn serve(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> bool {
        let (remote, pulse) = (self.remote, &self.pulse);
        let head_timeout = self.state.limits.head_timeout;
        // Cloning the token itself takes a lock.
        let soon = Arc::new(self.leaving.soon.clone());
        let service = service_fn(|request| {
            let beat = Beat::new(pulse);
            let (state, soon) = (self.state.clone(), soon.clone());
            async move {
                let http1 = request.version() <= Version::HTTP_11;
                let mut response = handle::callback(&state, remote, request).await;
                if http1 && soon.is_cancelled() {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                drop(beat);
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(io), service));
        let mut told = false;
        loop {
            let idle = tokio::time::sleep_until(pulse.idle_at(head_timeout));
            tokio::select! {
                biased;
                // What went wrong is the caller's affair: a reset, or bytes that are no HTTP. hyper has answered what can be answered.
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%remote, %error, "connection ended");
                    }
                    return false;
                }
                () = self.leaving.now.cancelled(), if !told => {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = pulse.give_up.notified() => {
                    // A request may have begun since.
                    if pulse.is_idle() {
                        return true;
                    }
                }
                () = idle => {
                    if pulse.idle_at(head_timeout) <= Instant::now() {
                        tracing::debug!(%remote, "no request in time");
                        return false;
                    }
                }
            }
        }
    }
}

/// Whether a connection lives: requests under way, and when the last one ended.
struct Pulse {
    start: Instant,
    under_way: AtomicUsize,
    /// Milliseconds after `start`.
    last: AtomicU64,
    /// Its place is for another.
    give_up: Notify,
}

impl Pulse {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            under_way: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            give_up: Notify::new(),
        }
    }

    fn is_idle(&self) -> bool {
        self.under_way.load(Relaxed) == 0
    }

    /// When this connection has been without a request for `timeout`, if none comes.
    fn idle_at(&self, timeout: Duration) -> Instant {
        if self.under_way.load(Relaxed) > 0 {
            return Instant::now() + timeout;
        }
        self.start + Duration::from_millis(self.last.load(Relaxed)) + timeout
    }
}

/// One request under way.
struct Beat(Arc<Pulse>);

impl Beat {
    fn new(pulse: &Arc<Pulse>) -> Self {
        pulse.under_way.fetch_add(1, Relaxed);
        Self(pulse.clone())
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(now, Relaxed);
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
