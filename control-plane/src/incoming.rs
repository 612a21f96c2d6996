//! Connections for the API: accepted one permit at a time, with or without TLS.
//!
//! ```text
//!  socket ─ accept ─▶ (TLS handshake, each in a task of its own) ─▶ queue ─▶ tonic
//! ```
//!
//! - A permit is taken before a connection is accepted, so what is above the bound waits in the kernel's queue, at no cost here.
//! - A handshake never holds up the next accept, and one that isn't done in time is dropped.
//! - What accepts ends with the stream that this gives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Three for each of 4,000 listeners, and some for people.
const MAX_CONNECTIONS: usize = 16_384;
/// A handshake takes two round trips.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After an accept that failed for want of descriptors or memory: time for connections to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Accepted connections that wait for tonic, which takes them at once.
const QUEUE: usize = 16;

/// Accepts for as long as what it returns lives.
pub(crate) fn accept(socket: TcpListener, tls: Option<Arc<ServerConfig>>) -> Incoming {
    let (send, queue) = mpsc::channel(QUEUE);
    let accepting = tokio::spawn(accept_all(socket, tls.map(TlsAcceptor::from), send));
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

async fn accept_all(socket: TcpListener, tls: Option<TlsAcceptor>, queue: mpsc::Sender<Accepted>) {
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
                let accepted = Accepted {
                    io: Io::Plain(stream),
                    _permit: permit,
                };
                if queue.send(accepted).await.is_err() {
                    return;
                }
            }
            Some(tls) => {
                handshakes.spawn(async move {
                    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let accepted = Accepted {
                                io: Io::Tls(Box::new(stream)),
                                _permit: permit,
                            };
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
    _permit: OwnedSemaphorePermit,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connected for Accepted {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        match &self.io {
            Io::Plain(stream) => stream.connect_info(),
            Io::Tls(stream) => stream.get_ref().0.connect_info(),
        }
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
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
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
