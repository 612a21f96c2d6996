//! A connection's stream, lent to hyper and TLS and taken back, so that it ends with manners.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

/// How long what a caller still sends is read and dropped.
const LINGER: Duration = Duration::from_secs(1);

/// Says that no more is coming, then reads until the caller says the same.
pub(super) async fn linger(mut stream: TcpStream) {
    let rest = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut sink = [0; 8192];
        while let Ok(1..) = stream.read(&mut sink).await {}
    };
    // Out of time is as good as done: the stream is dropped either way.
    let _ = tokio::time::timeout(LINGER, rest).await;
}

/// Where a connection's stream comes back to when hyper is done with it.
#[derive(Clone, Default)]
pub(super) struct Back(Arc<Mutex<Option<TcpStream>>>);

impl Back {
    pub(super) fn take(&self) -> Option<TcpStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A stream that is only lent to hyper.
pub(super) struct Lent {
    /// None only while being dropped.
    stream: Option<TcpStream>,
    back: Back,
}

impl Lent {
    pub(super) fn new(stream: TcpStream, back: &Back) -> Self {
        Self {
            stream: Some(stream),
            back: back.clone(),
        }
    }

    fn stream(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        match &mut self.get_mut().stream {
            Some(stream) => Ok(Pin::new(stream)),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.back.0.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.take();
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}
