//! Connections to one member that notice when they have died.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::Endpoint;

use super::fault::Fault;
use crate::outgoing::OutgoingTls;
use crate::store::StoreError;

/// etcd drops whoever pings more often than every 5 s, or without a call under way. A connection that says nothing is given up after both
/// of these: under 10 s (risk 19).
const PING_EVERY: Duration = Duration::from_secs(6);
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// Room for a page of a list, so that it isn't throttled by HTTP/2 windows.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Where members are, and who asks.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) tls: Option<OutgoingTls>,
    pub(super) user: Option<(String, String)>,
}

impl Dialer {
    /// A client of one member with a connection of its own, made when it is first used; with a user, it is made and authenticated now.
    pub(super) async fn dial(&self, address: &str, within: Duration) -> Result<Client, Fault> {
        // The scheme is only a word in requests: whether there is TLS, the connector decides.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| wrong_address(address, &error))?
            .connect_timeout(within)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(false)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        let connector = Connector {
            address: address.to_owned(),
            tls: self.tls.clone(),
        };
        let channel = endpoint.connect_with_connector_lazy(connector);
        // A member without a leader says so at once, and ends its watches: one cut off from the others is left (risk 15). A user's token
        // expires; then it is fetched again.
        let mut options = ConnectOptions::new()
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some((name, password)) = &self.user {
            options = options.with_user(name, password);
        }
        let channel = etcd_client::Channel::Tonic(channel);
        Client::from_channel(channel, Some(options))
            .await
            .map_err(Fault::from)
    }
}

/// `HOST:PORT`, and nothing else.
pub(super) fn check_address(address: &str) -> Result<(), StoreError> {
    let uri = format!("http://{address}").parse::<Uri>();
    let whole = uri.is_ok_and(|uri| {
        uri.authority().is_some_and(|authority| {
            authority.as_str() == address && authority.port().is_some() && !address.contains('@')
        })
    });
    if whole {
        Ok(())
    } else {
        Err(StoreError::Unavailable(format!(
            "`{address}` is no member of etcd: write it as HOST:PORT"
        )))
    }
}

fn wrong_address(address: &str, error: &tonic::transport::Error) -> Fault {
    Fault::Refused(StoreError::Unavailable(format!("{address}: {error}")))
}

/// Makes the connections of one channel: the first one, and another when that was lost.
#[derive(Clone)]
struct Connector {
    address: String,
    tls: Option<OutgoingTls>,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Connector {
    async fn connect(self) -> io::Result<TokioIo<Box<dyn Io>>> {
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        let Some(tls) = self.tls else {
            return Ok(TokioIo::new(Box::new(tcp)));
        };
        // Risk 30: asked for each connection, so that renewed certificates are used.
        let mut config = tls().map_err(io::Error::other)?;
        if config.alpn_protocols.is_empty() {
            let mut with_h2 = (*config).clone();
            with_h2.alpn_protocols = vec![b"h2".to_vec()];
            config = with_h2.into();
        }
        let host = self.address.rsplit_once(':').map_or("", |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, tcp).await?;
        Ok(TokioIo::new(Box::new(stream)))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}
