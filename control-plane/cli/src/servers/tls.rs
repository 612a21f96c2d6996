//! What a server shows and whom it believes, read again when the files change.
//!
//! ```text
//!  --tls-cert, --tls-key ─ looked at every second ─▶ certificate and key ─ one pointer ─▶ every new handshake
//!  --client-ca ─────────── likewise ──────────────▶ Authorities ────────────────────────▶ every handshake, call and stream
//! ```
//!
//! - Connections that are open keep the certificate they began with. What a client's certificate opened ends when its authority goes.
//! - What can't be used is said once, and the last good one stays.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use hookplane_control_plane::access::Authorities;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use tokio_util::task::AbortOnDropHandle;

use crate::connect::tls::{provider, roots};
use crate::failure::Failure;

/// Between two looks at the files. A change is taken when two looks agree, so that of two files being replaced not one is taken alone.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// For the API: gRPC alone.
pub(crate) const API: &[&[u8]] = &[b"h2"];
/// For callbacks, in our order.
pub(crate) const CALLBACKS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Where a certificate and its key are.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// PEM: the holder's certificate first, then those between it and the root.
    pub(crate) cert: PathBuf,
    /// PEM.
    pub(crate) key: PathBuf,
}

/// What a server shows: for as long as this lives the newest that is in its files, or nothing, without TLS.
pub(crate) struct Identity(Option<Shown>);

struct Shown {
    config: Arc<ServerConfig>,
    authorities: Option<Arc<Authorities>>,
    _looking: Vec<AbortOnDropHandle<()>>,
}

impl Identity {
    /// Reads the files, if there are any, and goes on looking at them. `protocols` are offered by ALPN. With `client_ca` clients may show a
    /// certificate that is signed by one of those in that file.
    pub(crate) fn load(
        files: Option<Files>,
        client_ca: Option<PathBuf>,
        protocols: &[&[u8]],
    ) -> Result<Self, Failure> {
        let Some(files) = files else {
            return Ok(Self(None));
        };
        let provider = provider();
        let (look, key) = Look::first(&[&files.cert, &files.key], || files.read(&provider))?;
        let current = Arc::new(Current(ArcSwap::from_pointee(key)));
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(format!("TLS: {error}")))?;
        let mut looking = Vec::new();
        let (config, authorities) = match client_ca {
            None => (config.with_no_client_auth(), None),
            Some(path) => {
                let provider = provider.clone();
                let read = move |path: &Path| verifier(path, &provider);
                let (look, first) = Look::first(&[&path], || read(&path))?;
                let authorities = Arc::new(Authorities::new(first));
                let config = config.with_client_cert_verifier(authorities.clone());
                let replaced = authorities.clone();
                looking.push(look.on(move || {
                    replaced.replace(read(&path)?);
                    tracing::info!(file = %path.display(), "new authorities vouch for listeners");
                    Ok(())
                }));
                (config, Some(authorities))
            }
        };
        let mut config = config.with_cert_resolver(current.clone());
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        looking.push(look.on(move || {
            current.0.store(Arc::new(files.read(&provider)?));
            tracing::info!(file = %files.cert.display(), "a new certificate is in use");
            Ok(())
        }));
        Ok(Self(Some(Shown {
            config: Arc::new(config),
            authorities,
            _looking: looking,
        })))
    }

    /// For the server.
    pub(crate) fn config(&self) -> Option<Arc<ServerConfig>> {
        self.0.as_ref().map(|shown| shown.config.clone())
    }

    /// Whose certificates let listeners in.
    pub(crate) fn authorities(&self) -> Option<Arc<Authorities>> {
        self.0.as_ref()?.authorities.clone()
    }

    /// Of its URLs.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.0.is_some() { "https" } else { "http" }
    }
}

fn verifier(
    path: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    // Without a certificate a client comes with a token.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider.clone())
        .allow_unauthenticated()
        .build()
        .map(|verifier| verifier as Arc<dyn ClientCertVerifier>)
        .map_err(|error| format!("{}: {error}", path.display()))
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
    /// Both, which must belong together.
    pub(crate) fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
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

/// Files that are looked at again and again.
struct Look {
    paths: Vec<PathBuf>,
    /// What is in use.
    taken: Vec<Stamp>,
}

impl Look {
    /// Reads them for the first time.
    fn first<T>(
        paths: &[&PathBuf],
        read: impl FnOnce() -> Result<T, String>,
    ) -> Result<(Self, T), Failure> {
        let mut look = Self {
            paths: paths.iter().map(|path| (*path).clone()).collect(),
            taken: Vec::new(),
        };
        // Before they are read: what is replaced meanwhile is read again.
        look.taken = look.stamps().map_err(Failure::new)?;
        let value = read().map_err(Failure::new)?;
        Ok((look, value))
    }

    /// Takes each change, until the handle is dropped.
    fn on(
        self,
        take: impl FnMut() -> Result<(), String> + Send + 'static,
    ) -> AbortOnDropHandle<()> {
        let looking = Looking {
            seen: Ok(self.taken.clone()),
            told: String::new(),
            look: self,
            take,
        };
        AbortOnDropHandle::new(tokio::spawn(looking.run()))
    }

    fn stamps(&self) -> Result<Vec<Stamp>, String> {
        let stamps = self.paths.iter().map(|path| {
            std::fs::metadata(path)
                .and_then(|metadata| stamp(&metadata))
                .map_err(|error| format!("read {}: {error}", path.display()))
        });
        stamps.collect()
    }
}

/// What is remembered from one look to the next.
struct Looking<F> {
    look: Look,
    take: F,
    /// What the last look saw; a failure is told when it is another than the last.
    seen: Result<Vec<Stamp>, String>,
    told: String,
}

impl<F: FnMut() -> Result<(), String> + Send + 'static> Looking<F> {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // Aside: a disk that doesn't answer holds up nothing else, the server's end neither (risk 22).
            let looked = tokio::task::spawn_blocking(move || {
                self.once();
                self
            });
            match looked.await {
                Ok(looked) => self = looked,
                Err(error) => {
                    tracing::error!(%error, "certificates are not looked at any more: please report this as a bug");
                    return;
                }
            }
        }
    }

    fn once(&mut self) {
        let now = self.look.stamps();
        let settled = now == self.seen;
        self.seen.clone_from(&now);
        if !settled {
            return;
        }
        let taken = match now {
            Ok(stamps) if stamps == self.look.taken => return,
            Ok(stamps) => (self.take)().map(|()| stamps),
            Err(error) => Err(error),
        };
        match taken {
            Ok(stamps) => {
                self.look.taken = stamps;
                self.told.clear();
            }
            // What can't be read now is tried again: it may be us, out of descriptors.
            Err(error) => {
                if error != self.told {
                    tracing::error!(%error, "the certificate can't be read; the last good one stays in use");
                    self.told = error;
                }
            }
        }
    }
}
