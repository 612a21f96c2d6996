//! The client's end of TLS: whom it believes, the certificates in a file or else the public roots that this program was built with; and what it
//! shows, if anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hookplane_control_plane::outgoing::OutgoingTls;
use rustls::client::WantsClientCert;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use tonic::transport::{Certificate, ClientTlsConfig};

use crate::failure::Failure;
use crate::servers::tls::Files;

/// The one provider of this program.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// For the API.
pub(crate) fn grpc(ca_file: Option<&Path>) -> Result<ClientTlsConfig, Failure> {
    let trusted = ClientTlsConfig::new();
    let Some(path) = ca_file else {
        return Ok(trusted.with_webpki_roots());
    };
    let pem = std::fs::read(path)
        .map_err(|error| Failure::new(format!("read {}: {error}", path.display())))?;
    Ok(trusted.ca_certificate(Certificate::from_pem(pem)))
}

/// For what isn't gRPC: callbacks, which `send` posts, and backends.
pub(crate) fn client(
    ca_file: Option<&Path>,
    shown: Option<&Files>,
) -> Result<Arc<ClientConfig>, String> {
    let roots = match ca_file {
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        Some(path) => roots(path)?,
    };
    let config = trusting(roots)?;
    let config = match shown {
        None => config.with_no_client_auth(),
        Some(files) => {
            let key = files.read(&provider())?;
            config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
    };
    Ok(Arc::new(config))
}

fn trusting(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?;
    Ok(config.with_root_certificates(roots))
}

/// For connections to a backend. The files are read anew for each, and now, so that a wrong path is told at once.
pub(crate) fn outgoing(ca_file: PathBuf, shown: Option<Files>) -> Result<OutgoingTls, Failure> {
    let make = move || client(Some(&ca_file), shown.as_ref());
    make().map_err(Failure::new)?;
    Ok(Arc::new(make))
}

/// For destinations, which are vouched for by the public roots, and by those in the file.
pub(crate) fn destinations(ca_file: Option<PathBuf>) -> Result<OutgoingTls, Failure> {
    let public = client(None, None).map_err(Failure::new)?;
    let Some(ca_file) = ca_file else {
        return Ok(Arc::new(move || Ok(public.clone())));
    };
    let make = move || {
        let mut trusted = roots(&ca_file)?;
        trusted.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        trusting(trusted).map(|config| Arc::new(config.with_no_client_auth()))
    };
    make().map_err(Failure::new)?;
    Ok(Arc::new(make))
}

/// The certificates in a file, at least one.
pub(crate) fn roots(path: &Path) -> Result<RootCertStore, String> {
    let failed = |error: &dyn std::fmt::Display| format!("read {}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
        let cert = cert.map_err(|error| failed(&error))?;
        roots.add(cert).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(failed(&"there is no PEM certificate in it"));
    }
    Ok(roots)
}
