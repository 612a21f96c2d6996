//! A server's certificate, read again when its files change.
//!
//! ```text
//!  files ─ looked at every second ─▶ certificate and key ─ one pointer ─▶ every new handshake
//! ```
//!
//! - Connections that are open keep what they began with.
//! - What can't be used is said once, and the last good one stays.

use std::fs::Metadata;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_util::task::AbortOnDropHandle;

use crate::connect::tls::provider;
use crate::failure::Failure;

/// Between two looks at the files. A change is taken when two looks agree, so that of two files being replaced not one is taken alone.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// For the API: gRPC alone.
pub(crate) const API: &[&[u8]] = &[b"h2"];
/// For callbacks, in our order.
pub(crate) const CALLBACKS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Where they are.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// PEM: the server's certificate first, then those between it and the root.
    pub(crate) cert: PathBuf,
    /// PEM.
    pub(crate) key: PathBuf,
}

/// What a server shows: for as long as this lives the newest that is in its files, or nothing, without TLS.
pub(crate) struct Identity(Option<Shown>);

struct Shown {
    config: Arc<ServerConfig>,
    _looking: AbortOnDropHandle<()>,
}

impl Identity {
    /// Reads the files, if there are any, and goes on looking at them. `protocols` are offered by ALPN.
    pub(crate) fn load(files: Option<Files>, protocols: &[&[u8]]) -> Result<Self, Failure> {
        let Some(files) = files else {
            return Ok(Self(None));
        };
        let provider = provider();
        let stamp = files.stamp().map_err(Failure::new)?;
        let key = files.read(&provider).map_err(Failure::new)?;
        let current = Arc::new(Current(ArcSwap::from_pointee(key)));
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(format!("TLS: {error}")))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let looking = tokio::spawn(look(files, stamp, provider, current));
        Ok(Self(Some(Shown {
            config: Arc::new(config),
            _looking: AbortOnDropHandle::new(looking),
        })))
    }

    /// For the server.
    pub(crate) fn config(&self) -> Option<Arc<ServerConfig>> {
        self.0.as_ref().map(|shown| shown.config.clone())
    }

    /// Of its URLs.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.0.is_some() { "https" } else { "http" }
    }
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Tells one content of a file from the next without reading it.
type Stamp = (SystemTime, u64, u64);

fn stamp(metadata: &Metadata) -> io::Result<Stamp> {
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Ok((metadata.modified()?, metadata.len(), inode))
}

impl Files {
    fn stamp(&self) -> Result<[Stamp; 2], String> {
        let of = |path: &PathBuf| {
            std::fs::metadata(path)
                .and_then(|metadata| stamp(&metadata))
                .map_err(|error| format!("read {}: {error}", path.display()))
        };
        Ok([of(&self.cert)?, of(&self.key)?])
    }

    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let (cert, key) = (self.cert.display(), self.key.display());
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect)
            .map_err(|error| format!("read {cert}: {error}"))?;
        if chain.is_empty() {
            return Err(format!("{cert}: there is no PEM certificate in it"));
        }
        let private = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| format!("read {key}: {error}"))?;
        CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                format!("{key} is not the key of the first certificate in {cert}")
            }
            error => format!("{cert} and {key}: {error}"),
        })
    }
}

/// Never ends.
async fn look(
    files: Files,
    mut taken: [Stamp; 2],
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
) {
    // What the last look saw; a failure is told when it is another than the last.
    let mut seen = Ok(taken);
    let mut told = String::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = files.stamp();
        let settled = now == seen;
        seen.clone_from(&now);
        if !settled {
            continue;
        }
        let read = match now {
            Ok(stamp) if stamp == taken => continue,
            Ok(stamp) => files.read(&provider).map(|key| (stamp, key)),
            Err(error) => Err(error),
        };
        match read {
            // What can't be read now is tried again: it may be us, out of descriptors.
            Ok((stamp, key)) => {
                taken = stamp;
                current.0.store(Arc::new(key));
                told.clear();
                tracing::info!(file = %files.cert.display(), "a new certificate is in use");
            }
            Err(error) => {
                if error != told {
                    tracing::error!(%error, "the certificate can't be read; the last good one stays in use");
                    told = error;
                }
            }
        }
    }
}
