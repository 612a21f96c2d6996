//! From a URL's host to a connection: looked up, checked, connected to, TLS.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::networks::Networks;
use super::resolve::{Names, Resolver, crowded};
use super::stream::Stream;
use crate::outgoing::OutgoingTls;

/// Addresses of a host that are tried, one after the other.
const MAX_ADDRESSES: usize = 3;
/// For one of them.
const CONNECT: Duration = Duration::from_secs(4);
const HANDSHAKE: Duration = Duration::from_secs(8);

/// Why there is no connection. For an operator.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum ConnectError {
    /// It must not be connected to.
    #[error("{0}")]
    Refused(String),
    /// It can't be.
    #[error("{0}")]
    Failed(String),
    /// It wasn't tried: too much of ours is under way.
    #[error("{0}")]
    Crowded(String),
}

#[derive(Clone)]
pub(super) struct Connector {
    networks: Arc<Networks>,
    tls: OutgoingTls,
    pub(super) resolver: Arc<Resolver>,
    /// Whose look-ups it makes.
    org: Arc<str>,
}

impl Connector {
    pub(super) fn new(networks: Arc<Networks>, tls: OutgoingTls, names: Names) -> Self {
        Self {
            networks,
            tls,
            resolver: Resolver::new(names),
            org: Arc::default(),
        }
    }

    /// The same with this org's look-ups.
    pub(super) fn of(&self, org: &str) -> Self {
        Self {
            org: org.into(),
            ..self.clone()
        }
    }

    /// Why this host isn't connected to yet, where others of ours are why.
    pub(super) fn crowded(&self, host: &str) -> Option<ConnectError> {
        let waits = self.resolver.waits(&self.org, host);
        waits.then(|| crowded(host))
    }

    async fn connect(self, url: Uri) -> Result<TokioIo<Stream>, ConnectError> {
        let refused = |why: &str| ConnectError::Refused(format!("{url}: {why}"));
        let tls = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refused("only https:// and http:// are known")),
        };
        let host = url
            .host()
            .ok_or_else(|| refused("there is no host in it"))?;
        let port = url.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let found = self.resolver.addresses(&self.org, host).await?;
        let mut checked = Vec::with_capacity(found.len());
        for address in found.iter() {
            // A name that leads here and there is as good as one that leads here.
            let may = self.networks.checked(*address, tls);
            checked.push(may.map_err(|why| refused(&why))?);
        }
        let stream = connect(&checked, port).await?;
        if !tls {
            return Ok(TokioIo::new(Stream::plain(stream)));
        }
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(literal.trim_end_matches('.').to_owned())
            .map_err(|error| refused(&error.to_string()))?;
        let config =
            (self.tls)().map_err(|why| ConnectError::Failed(format!("TLS to {host}: {why}")))?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        match timeout(HANDSHAKE, handshake).await {
            Ok(Ok(stream)) => Ok(TokioIo::new(Stream::tls(stream))),
            Ok(Err(error)) => Err(ConnectError::Failed(format!("TLS to {host}: {error}"))),
            Err(_) => Err(ConnectError::Failed(format!(
                "TLS to {host}: no end within {} s",
                HANDSHAKE.as_secs()
            ))),
        }
    }
}

async fn connect(addresses: &[IpAddr], port: u16) -> Result<TcpStream, ConnectError> {
    let mut last = "it has no address".to_owned();
    for ip in addresses.iter().take(MAX_ADDRESSES) {
        let address = SocketAddr::new(*ip, port);
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request goes out in one piece.
                let nodelay = stream.set_nodelay(true);
                nodelay.map_err(|error| ConnectError::Failed(error.to_string()))?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = format!("connect to {address}: {error}"),
            Err(_) => {
                last = format!(
                    "connect to {address}: no answer within {} s",
                    CONNECT.as_secs()
                );
            }
        }
    }
    Err(ConnectError::Failed(last))
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        Box::pin(self.clone().connect(url))
    }
}
