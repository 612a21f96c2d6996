//! A certificate authority of the test's own, and servers' certificates from it.

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore};
use time::OffsetDateTime;

/// An authority, with its files in a folder.
pub struct Pki {
    folder: PathBuf,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// A new authority. It takes the place of another in the same folder.
    pub fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let ca = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let pki = Self {
            folder: folder.to_owned(),
            ca,
        };
        replace(&pki.ca_file(), &pki.ca.pem());
        pki
    }

    /// What clients have to trust.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Makes a certificate for 127.0.0.1 that is good for this long, and puts it and its key into the files of that name.
    pub fn issue(&self, name: &str, good_for: Duration) -> CertificateDer<'static> {
        self.issue_for(name, &[], good_for)
    }

    /// The same for a client that these URIs name.
    pub fn issue_for(
        &self,
        name: &str,
        uris: &[&str],
        good_for: Duration,
    ) -> CertificateDer<'static> {
        let now = OffsetDateTime::now_utc();
        let from = now - time::Duration::seconds(60);
        self.issue_between(name, uris, from..now + good_for)
    }

    /// The same with both its ends.
    pub fn issue_between(
        &self,
        name: &str,
        uris: &[&str],
        good: Range<OffsetDateTime>,
    ) -> CertificateDer<'static> {
        let mut params =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address is a name");
        for uri in uris {
            let uri = (*uri).try_into().expect("a URI is ASCII");
            params.subject_alt_names.push(SanType::URI(uri));
        }
        // Else it would have its authority's name, and pass for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = good.start;
        params.not_after = good.end;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.ca).expect("a certificate");
        replace(&self.path(name, "crt"), &certificate.pem());
        replace(&self.path(name, "key"), &key.serialize_pem());
        certificate.der().clone()
    }

    /// The file of a certificate (`crt`) or its key (`key`).
    pub fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{name}.{extension}"))
    }

    /// For a server that shows the certificate of this name.
    pub(crate) fn flags(&self, name: &str) -> Vec<OsString> {
        vec![
            "--tls-cert".into(),
            self.path(name, "crt").into(),
            "--tls-key".into(),
            self.path(name, "key").into(),
        ]
    }

    /// What a server checks clients' certificates with, which they may leave out.
    pub fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).expect("a root");
        let provider = Arc::new(aws_lc_rs::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .expect("it has a root")
    }

    /// For a client that trusts this authority and offers these protocols.
    pub fn client(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).expect("a root");
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the provider has them")
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        // Every connection shakes hands in full, and so sees the certificate.
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    }
}

/// In one step, as a rotating tool does it.
fn replace(path: &Path, text: &str) {
    let next = path.with_extension("new");
    std::fs::write(&next, text).expect("the folder can be written");
    std::fs::rename(&next, path).expect("the folder can be written");
}
