//! One HTTP/2 connection for each stream, as a listener's config stream has one, and as thin as a client can be: what is measured is the
//! server. Config streams and etcd's watches go over the same.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Streaming};
use tonic_prost::ProstCodec;

use crate::bench::Failure;

/// Enough for a list in parts of 1 MiB.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// One answer is due at a time.
const ANSWERS: usize = 2;

/// A bidirectional stream on a connection of its own.
pub(super) struct Stream<Q, A> {
    pub(super) to: mpsc::Sender<Q>,
    from: Streaming<A>,
    bytes: Arc<AtomicU64>,
    _connection: AbortOnDropHandle<()>,
}

impl<Q, A> Stream<Q, A>
where
    Q: Message + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
{
    /// Calls with `first`. The connection is pinged.
    pub(super) async fn open(
        address: SocketAddr,
        ping_every: Duration,
        path: &'static str,
        first: Request<Q>,
    ) -> Result<Self, Failure> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let bytes = Arc::default();
        let counted = Counted {
            socket,
            read: Arc::clone(&bytes),
        };
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(ping_every)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(TokioIo::new(counted))
            .await?;
        let connection = tokio::spawn(async move {
            // How it ended shows on the stream.
            let _ = connection.await;
        });
        let origin = format!("http://{address}").parse()?;
        let mut client =
            Grpc::with_origin(Calls(sender), origin).max_decoding_message_size(MAX_MESSAGE_BYTES);
        client.ready().await?;
        let (to, requests) = mpsc::channel(ANSWERS);
        let (metadata, extensions, first) = first.into_parts();
        to.send(first).await?;
        let requests = ReceiverStream::new(requests);
        let from = client
            .streaming(
                Request::from_parts(metadata, extensions, requests),
                PathAndQuery::from_static(path),
                ProstCodec::default(),
            )
            .await?
            .into_inner();
        Ok(Self {
            to,
            from,
            bytes,
            _connection: AbortOnDropHandle::new(connection),
        })
    }

    /// The next message; an error when the stream has ended.
    pub(super) async fn next(&mut self) -> Result<A, Failure> {
        Ok(self.from.message().await?.ok_or("the stream ended")?)
    }

    /// What came over the connection so far, HTTP/2's own frames among it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

/// A connection as tonic calls it.
struct Calls(SendRequest<Body>);

impl tower::Service<http::Request<Body>> for Calls {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// Counts what is read.
struct Counted {
    socket: TcpStream,
    read: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(cx, buf);
        self.read
            .fetch_add((buf.filled().len() - before) as u64, Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
