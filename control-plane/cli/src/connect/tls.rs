//! Whom a client believes: the certificates in a file, or else the public roots that this program was built with.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tonic::transport::{Certificate, ClientTlsConfig};

use crate::failure::Failure;

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

/// For callbacks, which `send` posts.
pub(crate) fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let failed = |error: &dyn std::fmt::Display| {
                Failure::new(format!("read {}: {error}", path.display()))
            };
            for cert in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
                let cert = cert.map_err(|error| failed(&error))?;
                roots.add(cert).map_err(|error| failed(&error))?;
            }
        }
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
