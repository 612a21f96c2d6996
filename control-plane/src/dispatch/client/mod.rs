//! Requests to where deliveries go: to URLs that users chose, from inside the operator's network.
//!
//! ```text
//!   URL ─ shape ─▶ look up ─▶ every address public, or in a range that the operator allowed ─▶ connect to one of exactly those ─▶ TLS ─▶ answer
//! ```
//!
//! - A URL must not lead to machines of ours: what a name leads to is checked after the look-up, and what was checked is what is connected to; nobody
//!   is asked again in between. A connection that is used again was checked when it was made.
//! - Without TLS only to what the operator allowed, and never to the public internet. Nothing is followed: a redirect is an answer like any other.
//! - Everything has a bound: look-ups under way, connecting, the answer's head and body, idle connections, and the whole by the caller.
//! - HTTP/1.1 alone: a connection carries one request at a time, and an answer that is slow holds up no other.
//! - Each destination has connections of its own ([`HttpClient::apart`]): what a server sends too much meets no other's request. Each org has so
//!   many look-ups at a time; what comes to no turn wasn't sent, and says so.

mod connect;
mod excerpt;
mod networks;
mod resolve;
mod stream;
mod url;

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, Error as HyperError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::outgoing::OutgoingTls;
use connect::{ConnectError, Connector};
pub use excerpt::{MAX_EXCERPT_BYTES, broken_off, excerpt};
pub use networks::{Network, Networks};
pub use resolve::Names;
pub use url::MAX_URL_BYTES;

/// What is read of an answer that nobody needs whole.
pub const ANSWER_BYTES: usize = 64 * 1024;
/// Of an answer's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;
/// Connections of one host that are kept for later.
const MAX_IDLE_PER_HOST: usize = 16;
/// Shorter than what servers in front of applications commonly allow, so that seldom one closes just as it is used.
const IDLE: Duration = Duration::from_secs(20);

/// See the module. Clones share connections.
#[derive(Clone)]
pub struct HttpClient {
    inner: Client<Connector, Full<Bytes>>,
    connector: Connector,
    networks: Arc<Networks>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpClient({:?})", self.networks)
    }
}

impl Default for HttpClient {
    /// To the public internet alone, whose servers are vouched for by the public roots.
    fn default() -> Self {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let config = Arc::new(config);
        let tls: OutgoingTls = Arc::new(move || Ok(Arc::clone(&config)));
        Self::new(Networks::default(), tls, Names::default())
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Of any kind.
    pub status: StatusCode,
    /// As they came.
    pub headers: HeaderMap,
    /// Its beginning, at most as much as was asked for.
    pub body: Bytes,
    /// There was no more of it.
    pub whole: bool,
    /// Why the rest of it never came, where it didn't. Only of what was asked for its [head](Wanted::Head).
    pub broken: Option<String>,
}

/// What of an answer is needed, and how many bytes of its body are read at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The body: an answer that breaks off before its end is none.
    Body(usize),
    /// The head, which says what became of the request: what breaks off or is late after it takes nothing of that back.
    Head(usize),
}

/// Why there is no answer. For an operator; never a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It leads where it must not: nothing was sent.
    #[error("{0}")]
    Refused(String),
    /// So much of the org's is under way that it came to no turn: nothing was sent.
    #[error("{0}")]
    Crowded(String),
    /// Whether it arrived isn't known.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// It couldn't be connected to, or the connection broke. Whether it arrived isn't known.
    #[error("{0}")]
    Broken(String),
}

impl HttpClient {
    /// To the public internet and to `networks`. `tls` is asked for each new connection; ALPN must not be set in it.
    pub fn new(networks: Networks, tls: OutgoingTls, names: Names) -> Self {
        let networks = Arc::new(networks);
        let connector = Connector::new(Arc::clone(&networks), tls, names);
        Self::over(connector, networks)
    }

    fn over(connector: Connector, networks: Arc<Networks>) -> Self {
        let inner = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .http1_max_headers(MAX_HEADERS)
            .build(connector.clone());
        Self {
            inner,
            connector,
            networks,
        }
    }

    /// The same with connections of its own, and with look-ups of this org's.
    #[must_use]
    pub fn apart(&self, org: &str) -> Self {
        Self::over(self.connector.of(org), Arc::clone(&self.networks))
    }

    /// Checks what can be told of a URL without connecting, for admission: its shape, and an address that is written in it. The reason begins
    /// with a verb: `must be https`.
    pub fn check(&self, url: &str) -> Result<(), String> {
        url::check(url, &self.networks)
    }

    /// Sends one request and reads its answer. The timeout is over all of it.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
        wanted: Wanted,
    ) -> Result<Answer, SendError> {
        let until = Instant::now() + timeout;
        let late = |_| SendError::Timeout(timeout);
        let host = request.uri().host().unwrap_or_default().to_owned();
        let exchange = self.inner.request(request.map(Full::new));
        let response = match timeout_at(until, exchange).await {
            Ok(answered) => answered.map_err(|error| told(&error))?,
            Err(elapsed) => {
                return Err(match self.connector.crowded(&host) {
                    Some(why) => ours(&why),
                    None => late(elapsed),
                });
            }
        };
        let (head, incoming) = response.into_parts();
        let (Wanted::Body(most) | Wanted::Head(most)) = wanted;
        let mut body = BytesMut::new();
        let ended = timeout_at(until, read(incoming, &mut body, most))
            .await
            .unwrap_or_else(|elapsed| Err(late(elapsed)));
        let (whole, broken) = match (ended, wanted) {
            (Ok(whole), _) => (whole, None),
            (Err(error), Wanted::Body(_)) => return Err(error),
            (Err(SendError::Timeout(time)), Wanted::Head(_)) => {
                let why = format!("the answer has no end within {} s", time.as_secs_f32());
                (false, Some(why))
            }
            (Err(error), Wanted::Head(_)) => (false, Some(error.to_string())),
        };
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.freeze(),
            whole,
            broken,
        })
    }
}

/// As much of a body as there is room for. Whether that is all of it.
async fn read<B>(mut incoming: B, body: &mut BytesMut, most: usize) -> Result<bool, SendError>
where
    B: BodyExt<Data = Bytes, Error: fmt::Display> + Unpin,
{
    while let Some(frame) = incoming.frame().await {
        let frame =
            frame.map_err(|error| SendError::Broken(format!("the answer breaks off: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let room = most - body.len();
        if data.len() > room {
            body.extend_from_slice(&data[..room]);
            // Dropped unread, which closes its connection.
            return Ok(false);
        }
        body.extend_from_slice(&data);
    }
    Ok(true)
}

fn ours(error: &ConnectError) -> SendError {
    match error {
        ConnectError::Refused(why) => SendError::Refused(why.clone()),
        ConnectError::Failed(why) => SendError::Broken(why.clone()),
        ConnectError::Crowded(why) => SendError::Crowded(why.clone()),
    }
}

/// What the libraries say comes in layers, of which the innermost says why.
fn told(error: &HyperError) -> SendError {
    let mut innermost = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<ConnectError>() {
            return ours(error);
        }
        innermost = inner.to_string();
        source = inner.source();
    }
    SendError::Broken(format!("the connection broke: {innermost}"))
}

#[cfg(test)]
mod tests;
