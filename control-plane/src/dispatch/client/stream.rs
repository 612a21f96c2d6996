//! A connection with or without TLS, that is read from so far and no further for each request that was written to it: whatever a server sends
//! without end (heads of answers that aren't one yet, extensions of chunks, trailers) ends there.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// More than the largest answer that anybody asks for, with its head and what is around it.
const MAX_READ_BYTES: usize = 24 * 1024 * 1024;

pub(super) struct Stream {
    over: Over,
    /// Since something was written.
    read: usize,
}

enum Over {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::of(Over::Plain(stream))
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::of(Over::Tls(Box::new(stream)))
    }

    fn of(over: Over) -> Self {
        Self { over, read: 0 }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read > MAX_READ_BYTES {
            let why = format!("the answer has no end within {} MiB", MAX_READ_BYTES >> 20);
            return Poll::Ready(Err(io::Error::other(why)));
        }
        let before = buf.filled().len();
        let polled = match &mut this.over {
            Over::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Over::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        this.read += buf.filled().len() - before;
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.read = 0;
        match &mut this.over {
            Over::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Over::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.read = 0;
        match &mut this.over {
            Over::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Over::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.over {
            Over::Plain(stream) => stream.is_write_vectored(),
            Over::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().over {
            Over::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Over::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().over {
            Over::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Over::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
