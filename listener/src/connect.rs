//! Connections to the control plane's replicas that notice when they have died.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::{Config, RunError, Token};

/// Two of these without an answer and the connection is given up: a black hole is noticed in under 10 s (risk 19).
const PING_EVERY: Duration = Duration::from_secs(4);
const PING_TIMEOUT: Duration = Duration::from_secs(4);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Room for a batch of the largest body, so that a stream isn't throttled by HTTP/2 windows.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// The control plane as this listener knows it.
#[derive(Clone)]
pub(crate) struct Peer {
    /// One per replica, at least one, in an order of this run's own, so that a fleet spreads over them.
    endpoints: Vec<Endpoint>,
    token: Token,
    ca_file: Option<PathBuf>,
    /// Of the newest connection; none where the connection itself says who it is.
    authorization: Arc<ArcSwapOption<MetadataValue<Ascii>>>,
    /// A random id of this run.
    pub(crate) boot: String,
}

impl Peer {
    pub(crate) fn new(config: &Config) -> Result<Self, RunError> {
        let mut endpoints = config
            .control_planes
            .iter()
            .map(|url| endpoint(url))
            .collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(RunError::NoControlPlane);
        }
        let authorization = Arc::new(ArcSwapOption::from_pointee(read(&config.token)?));
        let mut boot = [0; 16];
        getrandom::fill(&mut boot).map_err(|error| RunError::Random(error.to_string()))?;
        let first = usize::from(boot[0]) % endpoints.len();
        endpoints.rotate_left(first);
        Ok(Self {
            endpoints,
            token: config.token.clone(),
            ca_file: config.ca_file.clone(),
            authorization,
            boot: uuid::Uuid::from_bytes(boot).simple().to_string(),
        })
    }

    /// A connection of its own for each caller: config and reports must not share flow control (risk 20).
    /// `attempt` chooses the replica: count it up to go on to the next one.
    ///
    /// Risk 30: token, certificate and roots are read anew each time, so that new ones need no restart.
    pub(crate) async fn connect(&self, attempt: usize) -> Result<Channel, tonic::Status> {
        let unavailable = |error: RunError| tonic::Status::unavailable(error.to_string());
        let token = read(&self.token).map_err(unavailable)?;
        self.authorization.store(token.map(Arc::new));
        let mut endpoint = self.at(attempt).clone();
        if endpoint.uri().scheme_str() == Some("https") {
            endpoint = endpoint
                .tls_config(self.tls().map_err(unavailable)?)
                .map_err(|error| tonic::Status::unavailable(chain(&error)))?;
        }
        endpoint
            .connect()
            .await
            .map_err(|error| tonic::Status::unavailable(chain(&error)))
    }

    fn at(&self, attempt: usize) -> &Endpoint {
        &self.endpoints[attempt % self.endpoints.len()]
    }

    /// The attempt after a drain: any replica, the same one too. Were it always the next one, a fleet that has gathered at one replica would
    /// move on together, and never spread (risk 29).
    pub(crate) fn after_drain(&self, attempt: usize) -> usize {
        // Without randomness it is the next one.
        let any = getrandom::u32().map_or(1, |any| any as usize % self.endpoints.len());
        attempt.wrapping_add(any)
    }

    /// How many replicas are known: at least one.
    pub(crate) fn replicas(&self) -> usize {
        self.endpoints.len()
    }

    fn tls(&self) -> Result<ClientTlsConfig, RunError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| RunError::Certificates(path.clone(), error))
        };
        let tls = ClientTlsConfig::new();
        let tls = match &self.ca_file {
            None => tls.with_webpki_roots(),
            Some(path) => tls.ca_certificate(Certificate::from_pem(read(path)?)),
        };
        Ok(match &self.token {
            Token::Certificate { cert, key } => {
                tls.identity(Identity::from_pem(read(cert)?, read(key)?))
            }
            Token::Text(_) | Token::File(_) => tls,
        })
    }

    pub(crate) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(authorization) = &*self.authorization.load() {
            request
                .metadata_mut()
                .insert("authorization", authorization.as_ref().clone());
        }
        request
    }
}

/// The token as it goes into a header; none for a certificate. A file is read anew each time: it is small, and connections are few.
fn read(token: &Token) -> Result<Option<MetadataValue<Ascii>>, RunError> {
    let text = match token {
        Token::Certificate { .. } => return Ok(None),
        Token::Text(text) => text.clone(),
        Token::File(path) => std::fs::read_to_string(path)
            .map_err(|error| RunError::TokenFile(path.clone(), error))?,
    };
    let mut authorization: MetadataValue<Ascii> = format!("Bearer {}", text.trim())
        .parse()
        .map_err(|_| RunError::Token)?;
    authorization.set_sensitive(true);
    Ok(Some(authorization))
}

fn endpoint(url: &str) -> Result<Endpoint, RunError> {
    let wrong = |why: String| RunError::ControlPlane(url.to_owned(), why);
    let endpoint =
        Endpoint::from_shared(url.to_owned()).map_err(|error| wrong(error.to_string()))?;
    let scheme = endpoint.uri().scheme_str();
    if !matches!(scheme, Some("http" | "https")) || endpoint.uri().authority().is_none() {
        return Err(wrong(
            "write it as https://HOST:PORT or http://HOST:PORT".to_owned(),
        ));
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES))
}

/// tonic says "transport error" and keeps what happened in its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTENERS: usize = 4_000;

    /// Listeners at the fullest replica above those at the emptiest, as a share of the mean.
    fn skew(fleet: &[(Peer, usize)], replicas: usize) -> f64 {
        let mut at = vec![0_usize; replicas];
        for (peer, attempt) in fleet {
            let port = peer.at(*attempt).uri().port_u16().expect("a port");
            at[usize::from(port) - 1] += 1;
        }
        let (most, least) = (at.iter().max(), at.iter().min());
        let between = most.expect("some") - least.expect("some");
        between as f64 * replicas as f64 / fleet.len() as f64
    }

    // Risk 29: streams stay where they are for their lives, so listeners choose for themselves, and again at each drain.
    #[test]
    fn a_fleet_is_spread_at_its_start_and_by_one_drain_each_after_a_replica_was_away() {
        for replicas in 2..=4 {
            let config = crate::Config {
                name: "l".to_owned(),
                pool: "default".to_owned(),
                control_planes: (1..=replicas)
                    .map(|n| format!("http://127.0.0.1:{n}"))
                    .collect(),
                token: Token::Text("t".to_owned()),
                ca_file: None,
                limits: crate::Limits::default(),
                metrics: Arc::default(),
                keys: crate::KeyServers::default(),
            };
            let mut fleet: Vec<_> = (0..LISTENERS)
                .map(|_| (Peer::new(&config).expect("a peer"), 0))
                .collect();
            assert!(skew(&fleet, replicas) < 0.2);
            // The first one is gone for a while, so its listeners are at the next one.
            for (peer, attempt) in &mut fleet {
                if peer.at(*attempt).uri().port_u16() == Some(1) {
                    *attempt += 1;
                }
            }
            assert!(skew(&fleet, replicas) >= 0.2);
            for (peer, attempt) in &mut fleet {
                *attempt = peer.after_drain(*attempt);
            }
            let skew = skew(&fleet, replicas);
            assert!(skew < 0.2, "{skew} over {replicas}");
        }
    }
}
