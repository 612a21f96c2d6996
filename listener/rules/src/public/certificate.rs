//! Certificates: the key in one, and whether those above it vouch for it.

use std::fmt;
use std::time::Duration;

use pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyPurposeIdIter};
use x509_cert::Certificate as Parsed;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::Timestamp;

/// Certificates of one chain, the signer's own among them. So few that nobody has paths tried at length.
pub(crate) const MAX_CHAIN: usize = 5;

/// A certificate, read.
#[derive(Clone)]
pub(crate) struct Certificate {
    der: CertificateDer<'static>,
    /// The key in it, as SPKI.
    pub(super) key: Vec<u8>,
    /// Its DNS names. The common name says nothing.
    names: Vec<String>,
    extensions: Vec<ObjectIdentifier>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    pub(crate) fn read(der: Vec<u8>) -> Result<Self, String> {
        let wrong = |_| "is no certificate: it can't be decoded".to_owned();
        let parsed = Parsed::from_der(&der).map_err(wrong)?;
        let certificate = &parsed.tbs_certificate;
        let key = certificate
            .subject_public_key_info
            .to_der()
            .map_err(wrong)?;
        let mut names = Vec::new();
        if let Ok(Some((_, all))) = certificate.get::<SubjectAltName>() {
            names = all
                .0
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
                    _ => None,
                })
                .collect();
        }
        let extensions = certificate.extensions.iter().flatten();
        Ok(Self {
            key,
            names,
            extensions: extensions.map(|one| one.extn_id).collect(),
            der: der.into(),
        })
    }

    /// True when a name of it is this one, or below it.
    fn is_for(&self, name: &str) -> bool {
        let name = name.trim_start_matches('.');
        self.names.iter().any(|own| {
            own.strip_suffix(name)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    pub(crate) fn has_extension(&self, id: &ObjectIdentifier) -> bool {
        self.extensions.contains(id)
    }

    /// Says why not when those between don't lead from a root to it, or one of them is not valid now.
    pub(crate) fn chains_to(
        &self,
        between: &[Certificate],
        roots: &[TrustAnchor<'_>],
        now: Timestamp,
    ) -> Result<(), String> {
        let seconds = u64::try_from(now.seconds()).unwrap_or(0);
        let between: Vec<CertificateDer<'_>> = between.iter().map(|one| one.der.clone()).collect();
        EndEntityCert::try_from(&self.der)
            .and_then(|own| {
                own.verify_for_usage(
                    ALL_VERIFICATION_ALGS,
                    roots,
                    &between,
                    UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
                    AnyUse,
                    None,
                    None,
                )
                .map(drop)
            })
            .map_err(|error| format!("its certificate is not vouched for: {error}"))
    }
}

/// What a provider's certificate is for is said by its name or its extension, not by the uses that are written in it.
struct AnyUse;

impl webpki::ExtendedKeyUsageValidator for AnyUse {
    fn validate(&self, uses: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        for one in uses {
            one?;
        }
        Ok(())
    }
}

/// A signer's certificate, those between, and the name it must be for.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    own: Certificate,
    between: Vec<Certificate>,
}

impl Chain {
    pub(super) fn new(own: Certificate, between: Vec<Certificate>) -> Self {
        Self { own, between }
    }

    pub(super) fn check(
        &self,
        name: &str,
        roots: &[TrustAnchor<'_>],
        now: Timestamp,
    ) -> Result<(), String> {
        if !self.own.is_for(name) {
            return Err(format!("its certificate is for no name under `{name}`"));
        }
        self.own.chains_to(&self.between, roots, now)
    }
}

/// The root of a chain that comes with each token.
#[derive(Clone)]
pub(crate) struct Root {
    anchor: TrustAnchor<'static>,
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root(..)")
    }
}

impl Root {
    pub(crate) fn read(der: Vec<u8>) -> Result<Self, String> {
        let der = CertificateDer::from(der);
        let anchor = webpki::anchor_from_trusted_cert(&der)
            .map_err(|error| format!("is no certificate: {error}"))?;
        Ok(Self {
            anchor: anchor.to_owned(),
        })
    }

    /// The key of the first, when the others lead to this root.
    pub(crate) fn vouches(&self, chain: &[Certificate], now: Timestamp) -> Result<(), String> {
        let (own, between) = chain
            .split_first()
            .ok_or_else(|| "there is no certificate".to_owned())?;
        own.chains_to(between, std::slice::from_ref(&self.anchor), now)
    }
}
