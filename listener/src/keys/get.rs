//! One request for a provider's keys.
//!
//! The name is looked up, the addresses are checked, and one of those is connected to: nobody is asked again in between. Nothing is followed.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookplane_rules::{TrustAnchor, is_public};
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const HTTPS: u16 = 443;
/// The longest answer, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// Addresses of a host that are tried, one after the other.
const MAX_ADDRESSES: usize = 3;
/// For one of them, so that the next has its turn within the whole.
const CONNECT: Duration = Duration::from_millis(900);

/// Who is asked for providers' public keys: by default the internet.
#[derive(Clone)]
pub struct KeyServers {
    names: Names,
    roots: Arc<[TrustAnchor<'static>]>,
    tls: Arc<ClientConfig>,
}

#[derive(Clone)]
enum Names {
    Public,
    Fixed(Arc<HashMap<String, SocketAddr>>),
}

impl fmt::Debug for KeyServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.names {
            Names::Public => "KeyServers(the internet)",
            Names::Fixed(_) => "KeyServers(fixed)",
        })
    }
}

impl Default for KeyServers {
    fn default() -> Self {
        Self::new(Names::Public, webpki_roots::TLS_SERVER_ROOTS.into())
    }
}

impl KeyServers {
    /// For tests: these hosts and no others, at these addresses, vouched for by these roots. No flag and no file leads here.
    pub fn fixed(hosts: HashMap<String, SocketAddr>, roots: Arc<[TrustAnchor<'static>]>) -> Self {
        Self::new(Names::Fixed(Arc::new(hosts)), roots)
    }

    fn new(names: Names, roots: Arc<[TrustAnchor<'static>]>) -> Self {
        let store = RootCertStore {
            roots: roots.to_vec(),
        };
        let tls = ClientConfig::builder()
            .with_root_certificates(store)
            .with_no_client_auth();
        Self {
            names,
            roots,
            tls: Arc::new(tls),
        }
    }

    /// Those that a provider's certificate may end in.
    pub(super) fn roots(&self) -> &Arc<[TrustAnchor<'static>]> {
        &self.roots
    }

    async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, String> {
        match &self.names {
            Names::Fixed(hosts) => {
                let address = hosts.get(host).ok_or("no such host")?;
                Ok(vec![*address])
            }
            Names::Public => {
                // The dot at the end keeps search domains out of it.
                let found = tokio::net::lookup_host((format!("{host}."), HTTPS))
                    .await
                    .map_err(|error| format!("look up {host}: {error}"))?;
                let found: Vec<SocketAddr> = found.collect();
                // A name that leads here and there is as good as one that leads here.
                if !found.iter().all(|address| is_public(address.ip())) {
                    return Err(format!("{host} has an address that is not public"));
                }
                Ok(found)
            }
        }
    }
}

pub(super) async fn get(
    servers: &KeyServers,
    host: &str,
    path_and_query: &str,
) -> Result<Bytes, String> {
    let stream = connect(&servers.addresses(host).await?).await?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(Arc::clone(&servers.tls))
        .connect(name, stream)
        .await
        .map_err(|error| format!("TLS: {error}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // Ends with this request, at the latest.
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let request = Request::get(path_and_query)
        .header(HOST, host)
        .header(USER_AGENT, "hookplane")
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    let (head, body) = response.into_parts();
    if head.status.is_redirection() {
        return Err(format!(
            "it is answered {}, and redirects are not followed",
            head.status.as_u16()
        ));
    }
    if head.status != StatusCode::OK {
        return Err(format!("it is answered {}", head.status.as_u16()));
    }
    let plain = head
        .headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|coding| coding == "identity");
    if !plain {
        return Err("the answer is compressed, which was not asked for".to_owned());
    }
    let body = Limited::new(body, MAX_ANSWER_BYTES)
        .collect()
        .await
        .map_err(|error| {
            format!("the answer breaks off or is longer than {MAX_ANSWER_BYTES} bytes: {error}")
        })?;
    Ok(body.to_bytes())
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut last = "the host has no address".to_owned();
    for address in addresses.iter().take(MAX_ADDRESSES) {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = format!("connect to {address}: {error}"),
            Err(_) => last = format!("connect to {address}: no answer"),
        }
    }
    Err(last)
}
