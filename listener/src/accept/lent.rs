//! A connection's stream, lent to hyper and TLS and taken back, so that it ends with manners.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

/// How long what a caller still sends is read and dropped.
const LINGER: Duration = Duration::from_secs(1);
/// What HTTP/2 begins with: nobody asks for so little but who wants to know the version.
const PREFACE_BYTES: usize = 24;
/// As much as hyper's first buffer takes.
const READ_AHEAD_BYTES: usize = 8192;

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
    /// Read already, and not yet asked for.
    ahead: Bytes,
    /// The caller has said that no more is coming: nothing to wait for when the connection ends.
    ended: bool,
}

impl Lent {
    pub(super) fn new(stream: TcpStream, back: &Back) -> Self {
        Self {
            stream: Some(stream),
            back: back.clone(),
            ahead: Bytes::new(),
            ended: false,
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
        if !self.ended {
            *self.back.0.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.take();
        }
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ahead.is_empty() {
            let length = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let Some(stream) = &mut this.stream else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if buf.remaining() > PREFACE_BYTES {
            let before = buf.filled().len();
            ready!(Pin::new(stream).poll_read(cx, buf))?;
            this.ended = buf.filled().len() == before;
            return Poll::Ready(Ok(()));
        }
        // Only enough to tell the version is wanted. All of a small callback is there, and one read is half of two.
        let mut room = [0; READ_AHEAD_BYTES];
        let mut room = ReadBuf::new(&mut room);
        ready!(Pin::new(stream).poll_read(cx, &mut room))?;
        let length = room.filled().len().min(buf.remaining());
        let (wanted, ahead) = room.filled().split_at(length);
        this.ended = wanted.is_empty();
        buf.put_slice(wanted);
        this.ahead = Bytes::copy_from_slice(ahead);
        Poll::Ready(Ok(()))
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
