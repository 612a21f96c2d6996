//! Where deliveries go in tests: a scripted receiver on this machine, and the client that reaches it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookplane_control_plane::dispatch::client::{HttpClient, Names, Networks};
use hookplane_control_plane::outgoing::OutgoingTls;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::pki::Pki;

/// The largest request that a receiver reads.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// To loopback alone, without TLS.
pub fn client() -> HttpClient {
    let none: OutgoingTls = Arc::new(|| Err("nobody here speaks TLS".to_owned()));
    HttpClient::new(Networks::loopback(), none, Names::default())
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Received {
    /// From 0.
    pub number: usize,
    /// Over which it came, from 0.
    pub connection: usize,
    /// Lower-case names.
    pub headers: BTreeMap<String, String>,
    /// As it came.
    pub body: Vec<u8>,
}

impl Received {
    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What comes back.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status.
    Status(u16),
    /// A status, a header line, and a body.
    With(u16, String, String),
    /// The connection is closed.
    Closed,
    /// Nothing, ever.
    Never,
    /// A status after a while.
    After(Duration, u16),
}

type Script = Box<dyn FnMut(&Received) -> Reply + Send>;

struct Shared {
    received: Mutex<Vec<Received>>,
    script: Mutex<Script>,
}

/// Takes what is posted, and answers as its script says. Ends with this.
pub struct Receiver {
    /// `http://127.0.0.1:PORT`, or with `https`.
    pub url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// On a port of its own.
    pub async fn start(
        script: impl FnMut(&Received) -> Reply + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_with(None, script).await
    }

    /// The same over TLS, with the authority's certificate of this name.
    pub async fn start_tls(
        pki: &Pki,
        name: &str,
        script: impl FnMut(&Received) -> Reply + Send + 'static,
    ) -> io::Result<Self> {
        let chain = CertificateDer::from_pem_file(pki.path(name, "crt")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(pki.path(name, "key")).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .expect("they belong together");
        Self::start_with(Some(TlsAcceptor::from(Arc::new(config))), script).await
    }

    async fn start_with(
        tls: Option<TlsAcceptor>,
        script: impl FnMut(&Received) -> Reply + Send + 'static,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", socket.local_addr()?);
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            script: Mutex::new(Box::new(script)),
        });
        let of_serving = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let mut number = 0;
            while let Ok((stream, _)) = socket.accept().await {
                let connection = number;
                number += 1;
                let (tls, shared) = (tls.clone(), Arc::clone(&of_serving));
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, connection, shared).await,
                        // Who doesn't trust it hangs up.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, connection, shared).await;
                            }
                        }
                    }
                });
            }
        });
        Ok(Self {
            url,
            shared,
            serving,
        })
    }

    /// Another script from now on.
    pub fn say(&self, script: impl FnMut(&Received) -> Reply + Send + 'static) {
        *self
            .shared
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Box::new(script);
    }

    /// All that came, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many came.
    pub fn count(&self) -> usize {
        self.shared
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    shared: Arc<Shared>,
) {
    let mut buffer = Vec::new();
    while let Some((headers, body)) = request(&mut stream, &mut buffer).await {
        let reply = {
            let mut received = shared
                .received
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let one = Received {
                number: received.len(),
                connection,
                headers,
                body,
            };
            received.push(one.clone());
            drop(received);
            (shared.script.lock().unwrap_or_else(PoisonError::into_inner))(&one)
        };
        let (status, header, body) = match reply {
            Reply::Status(status) => (status, String::new(), String::new()),
            Reply::With(status, header, body) => (status, header, body),
            Reply::After(time, status) => {
                tokio::time::sleep(time).await;
                (status, String::new(), String::new())
            }
            Reply::Closed => return,
            Reply::Never => return std::future::pending().await,
        };
        let header = if header.is_empty() {
            header
        } else {
            format!("{header}\r\n")
        };
        let answer = format!(
            "HTTP/1.1 {status} Said\r\n{header}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn request(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Option<(BTreeMap<String, String>, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let headers: BTreeMap<String, String> = head
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let length: usize = headers
                .get("content-length")
                .map_or(Some(0), |n| n.parse().ok())?;
            let whole = end + 4 + length;
            while buffer.len() < whole {
                read(stream, buffer).await?;
            }
            let body = buffer[end + 4..whole].to_vec();
            buffer.drain(..whole);
            return Some((headers, body));
        }
        read(stream, buffer).await?;
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<()> {
    let count = stream.read_buf(buffer).await.ok()?;
    (count > 0 && buffer.len() <= MAX_BYTES).then_some(())
}
