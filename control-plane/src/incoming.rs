//! Connections for the API: accepted one permit at a time, with or without TLS.
//!
//! ```text
//!  socket ─ accept ─▶ (TLS handshake, each in a task of its own) ─▶ queue ─▶ tonic
//! ```
//!
//! - A permit is taken before a connection is accepted, so what is above the bound waits in the kernel's queue, at no cost here.
//! - A connection on which nobody has shown a valid token in time is cut, whatever else it says: those that have one find room.
//! - A handshake never holds up the next accept, and one that isn't done in time is dropped.
//! - What accepts ends with the stream that this gives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::server::Connected;

use crate::access::Shown;

/// Three for each of 4,000 listeners, and some for people.
const MAX_CONNECTIONS: usize = 16_384;
/// A handshake takes two round trips.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the handshake to the first call with a valid token. Health checks take none, so theirs live this long.
const STRANGER_TIMEOUT: Duration = Duration::from_secs(30);
/// After an accept that failed for want of descriptors or memory: time for connections to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Accepted connections that wait for tonic, which takes them at once.
const QUEUE: usize = 16;

/// Accepts for as long as what it returns lives.
pub(crate) fn accept(socket: TcpListener, tls: Option<Arc<ServerConfig>>) -> Incoming {
    accept_with(socket, tls, STRANGER_TIMEOUT)
}

fn accept_with(
    socket: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    stranger: Duration,
) -> Incoming {
    let (send, queue) = mpsc::channel(QUEUE);
    let tls = tls.map(TlsAcceptor::from);
    let accepting = tokio::spawn(accept_all(socket, tls, send, stranger));
    Incoming {
        queue,
        _accepting: AbortOnDropHandle::new(accepting),
    }
}

/// Connections, ready for HTTP/2.
pub(crate) struct Incoming {
    queue: mpsc::Receiver<Accepted>,
    _accepting: AbortOnDropHandle<()>,
}

impl Stream for Incoming {
    type Item = io::Result<Accepted>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.queue.poll_recv(cx).map(|next| next.map(Ok))
    }
}

async fn accept_all(
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    queue: mpsc::Sender<Accepted>,
    stranger: Duration,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut handshakes = JoinSet::new();
    let mut pressed = false;
    loop {
        let accepted = tokio::select! {
            biased;
            Some(ended) = handshakes.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a TLS handshake panicked: please report this as a bug");
                }
                continue;
            }
            accepted = async {
                // The semaphore is never closed, so this fails never; if it did, nothing would be accepted.
                let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
                Ok::<_, io::Error>((socket.accept().await?.0, permit))
            } => accepted,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            // The caller is gone already; the next accept may well succeed.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                if !std::mem::replace(&mut pressed, true) {
                    tracing::error!(%error, "can't accept connections to the API: raise the limit of open files");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        pressed = false;
        // Without it small messages may wait for the caller's acknowledgement; if it can't be set they do.
        let _ = stream.set_nodelay(true);
        let queue = queue.clone();
        match tls.clone() {
            None => {
                let accepted = Accepted::new(Io::Plain(stream), None, permit, stranger);
                if queue.send(accepted).await.is_err() {
                    return;
                }
            }
            Some(tls) => {
                handshakes.spawn(async move {
                    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let shown = stream.get_ref().1.peer_certificates();
                            let shown = shown.and_then(Shown::read).map(Arc::new);
                            let io = Io::Tls(Box::new(stream));
                            let accepted = Accepted::new(io, shown, permit, stranger);
                            // Closed only when everything ends.
                            let _ = queue.send(accepted).await;
                        }
                        // The caller's affair: plain text, another version, a certificate it doesn't like.
                        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                        Err(_) => tracing::debug!("no TLS handshake in time"),
                    }
                });
            }
        }
    }
}

/// A connection that speaks HTTP/2 next.
pub(crate) struct Accepted {
    io: Io,
    /// Until somebody is known here.
    stranger: Option<Pin<Box<Sleep>>>,
    known: Known,
    _permit: OwnedSemaphorePermit,
}

/// Whether a connection has brought a call of somebody who is let in, and the certificate that was shown on it. Each of its requests carries this.
#[derive(Clone, Default)]
pub(crate) struct Known {
    marked: Arc<AtomicBool>,
    certificate: Option<Arc<Shown>>,
}

impl Known {
    /// It has. True for the first.
    pub(crate) fn mark(&self) -> bool {
        // Read first: streams of one connection may be on several cores.
        !self.marked.load(Relaxed) && !self.marked.swap(true, Relaxed)
    }

    /// What was shown in the handshake.
    pub(crate) fn certificate(&self) -> Option<&Arc<Shown>> {
        self.certificate.as_ref()
    }

    #[cfg(test)]
    pub(crate) fn is_marked(&self) -> bool {
        self.marked.load(Relaxed)
    }
}

impl Accepted {
    fn new(
        io: Io,
        certificate: Option<Arc<Shown>>,
        permit: OwnedSemaphorePermit,
        stranger: Duration,
    ) -> Self {
        Self {
            io,
            stranger: Some(Box::pin(tokio::time::sleep(stranger))),
            known: Known {
                certificate,
                ..Known::default()
            },
            _permit: permit,
        }
    }

    /// Ready when it is to be cut. HTTP/2 reads as long as it lives, so this is asked in time.
    fn poll_stranger(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.known.marked.load(Relaxed) {
            self.stranger = None;
        }
        let Some(late) = &mut self.stranger else {
            return Poll::Pending;
        };
        late.as_mut().poll(cx).map(|()| {
            tracing::debug!("a connection without a valid token is cut");
            io::ErrorKind::TimedOut.into()
        })
    }
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connected for Accepted {
    type ConnectInfo = Known;

    fn connect_info(&self) -> Known {
        self.known.clone()
    }
}

macro_rules! delegate {
    ($self:ident, $io:ident => $call:expr) => {
        match &mut $self.get_mut().io {
            Io::Plain(stream) => {
                let $io = Pin::new(stream);
                $call
            }
            Io::Tls(stream) => {
                let $io = Pin::new(stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(late) = self.poll_stranger(cx) {
            return Poll::Ready(Err(late));
        }
        delegate!(self, io => io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, io => io.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, io => io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, io => io.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::AsyncReadExt;
    use tokio_stream::StreamExt;

    use super::*;

    // Without this whoever opens connections and says nothing keeps the listeners out, for as long as he likes.
    #[tokio::test]
    async fn a_connection_lasts_only_if_somebody_is_known_on_it() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut incoming = accept_with(socket, None, Duration::from_millis(1));
        let mut silent = Vec::new();
        let mut accepted = Vec::new();
        for _ in 0..2 {
            silent.push(TcpStream::connect(address).await.unwrap());
            accepted.push(incoming.next().await.unwrap().unwrap());
        }
        let (mut known, mut stranger) = (accepted.remove(0), accepted.remove(0));
        known.connect_info().mark();
        let late = stranger.read_u8().await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        // Its time is over as well: it was here first.
        let read = known.read_u8().now_or_never();
        assert!(read.is_none(), "it is kept");
    }
}
