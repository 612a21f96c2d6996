//! Client certificates: what lets a listener in without a token.
//!
//! ```text
//!  --client-ca ─▶ Authorities, replaced when the file changes ─▶ every handshake, every call, every open stream
//!  certificate ─▶ Shown, once per connection ─▶ URI names ─▶ Grant {listener, org, pools}
//! ```
//!
//! A certificate says what its bearer is by URIs among its subject alternative names, and by nothing else (no common name, no DNS name):
//!
//! | URI | lets in |
//! | --- | --- |
//! | `hookplane://listener/-/POOL` | a listener of that pool, for every org |
//! | `hookplane://listener/ORG_UID/POOL` | the same for one org. Its uid and not its name, which another org may have one day |
//!
//! Several of them name several pools of the same org. One that can't be read, or two orgs, and the whole certificate lets nobody in. URIs of other
//! schemes are another program's affair.
//!
//! - A certificate is a listener's, whatever else it says: no certificate administers or reads.
//! - It is checked against the authorities as they are now, by the clock that everything else goes by, when a call begins; and what it opened ends
//!   within a second of its expiry, or of the moment at which the authorities no longer vouch for it.
//! - There are no revocation lists: whoever wants a certificate out makes them short-lived, or replaces the authority.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hookplane_proto::v1::TokenRole;
use hookplane_rules::Timestamp;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error as TlsError, SignatureScheme,
};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::grant::{Grant, Means};
use super::tokens::Tokens;

const SCHEME: &str = "hookplane:";
const PREFIX: &str = "hookplane://listener/";
/// Stands for all orgs.
const EVERY_ORG: &str = "-";
/// As many as a token names.
const MAX_POOLS: usize = 100;
/// Of the generation with which nothing was checked.
const NEVER: u64 = 0;

type Verifier = Arc<dyn ClientCertVerifier>;

/// Whose certificates let listeners in. Also what checks them in the handshake: give it to the server's TLS.
pub struct Authorities {
    /// The verifier, and how many there have been.
    current: RwLock<(u64, Verifier)>,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorities(..)")
    }
}

impl Authorities {
    /// With what checks a certificate: it must take a connection without one as well, since tokens let in too.
    pub fn new(verifier: Verifier) -> Self {
        Self {
            current: RwLock::new((NEVER + 1, verifier)),
        }
    }

    /// From now on these. What others vouched for ends.
    pub fn replace(&self, verifier: Verifier) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = (current.0 + 1, verifier);
    }

    fn now(&self) -> (u64, Verifier) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Whether it lets in at this time.
    pub(super) fn vouch_for(&self, shown: &Shown, now: Timestamp) -> bool {
        if now < shown.from || now >= shown.until {
            return false;
        }
        let (generation, verifier) = self.now();
        if shown.vouched.load(Ordering::Acquire) == generation {
            return true;
        }
        let Some((own, between)) = shown.chain.split_first() else {
            return false;
        };
        let seconds = u64::try_from(now.seconds()).unwrap_or(0);
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let good = verifier.verify_client_cert(own, between, time).is_ok();
        if good {
            shown.vouched.store(generation, Ordering::Release);
        }
        good
    }
}

impl ClientCertVerifier for Authorities {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: they may change at any time, and clients of ours have one certificate anyway.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        self.now().1.verify_client_cert(own, between, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.now().1.verify_tls12_signature(message, own, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.now().1.verify_tls13_signature(message, own, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.now().1.supported_verify_schemes()
    }
}

/// What was shown on a connection.
pub(crate) struct Shown {
    chain: Vec<CertificateDer<'static>>,
    /// What the whole chain is good for.
    from: Timestamp,
    until: Timestamp,
    /// For the audit.
    id: String,
    names: Result<Names, &'static str>,
    /// The generation of the authorities that last vouched for it: checking signatures again for each call would cost more than the call.
    vouched: AtomicU64,
}

#[derive(Debug, PartialEq, Eq)]
struct Names {
    /// None: every org.
    org_uid: Option<String>,
    pools: Vec<String>,
}

impl Shown {
    /// None for a chain that can't be read, which lets nobody in.
    pub(crate) fn read(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (mut from, mut until) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        let mut own = None;
        for certificate in chain {
            let read = Certificate::from_der(certificate).ok()?;
            let validity = &read.tbs_certificate.validity;
            let milliseconds = |time: &x509_cert::time::Time| {
                i64::try_from(time.to_unix_duration().as_millis()).ok()
            };
            from = from.max(Timestamp(milliseconds(&validity.not_before)?));
            // The second that is named is within.
            until = until.min(Timestamp(milliseconds(&validity.not_after)? + 1_000));
            own.get_or_insert(read);
        }
        let own = own?;
        Some(Self {
            chain: chain
                .iter()
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
            from,
            until,
            id: format!(
                "certificate {}",
                hex::encode(own.tbs_certificate.serial_number.as_bytes())
            ),
            names: names(&own),
            vouched: AtomicU64::new(NEVER),
        })
    }

    /// When it ends by itself.
    pub(super) fn until(&self) -> Timestamp {
        self.until
    }

    /// Whom it lets in, and since when there has been the org. The error is for its bearer, and says no more than he can read in it.
    pub(super) fn grant(
        &self,
        tokens: &Tokens,
    ) -> Result<(Grant, Option<Timestamp>), &'static str> {
        let names = self.names.as_ref().map_err(|why| *why)?;
        let (org, since) = match &names.org_uid {
            None => (None, None),
            Some(uid) => {
                let found = tokens.org_of_uid(uid);
                let (name, since) = found.ok_or("the certificate's org is not known here")?;
                (Some(name), Some(since))
            }
        };
        let grant = Grant {
            id: self.id.clone(),
            means: Means::Certificate,
            role: TokenRole::Listener,
            org,
            webhooks: Vec::new(),
            pools: names.pools.clone(),
        };
        Ok((grant, since))
    }
}

/// What its URIs say.
fn names(certificate: &Certificate) -> Result<Names, &'static str> {
    const NONE: &str = "the certificate names no pool: it takes a URI such as hookplane://listener/-/default among its alternative names";
    const WRONG: &str = "a name of the certificate is none: write hookplane://listener/ORG_UID/POOL, or - for every org";
    let extension = certificate.tbs_certificate.get::<SubjectAltName>();
    let Some((_, alternative)) = extension.map_err(|_| NONE)? else {
        return Err(NONE);
    };
    let mut names: Option<Names> = None;
    for name in &alternative.0 {
        let GeneralName::UniformResourceIdentifier(uri) = name else {
            continue;
        };
        let uri = uri.as_str();
        // Schemes have no case.
        if !uri
            .get(..SCHEME.len())
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
        {
            continue;
        }
        let rest = uri.strip_prefix(PREFIX).ok_or(WRONG)?;
        let (org, pool) = rest.split_once('/').ok_or(WRONG)?;
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !plain(org) || !plain(pool) {
            return Err(WRONG);
        }
        let org_uid = (org != EVERY_ORG).then(|| org.to_owned());
        let pools = match &mut names {
            None => {
                &mut names
                    .insert(Names {
                        org_uid,
                        pools: Vec::new(),
                    })
                    .pools
            }
            Some(names) if names.org_uid == org_uid => &mut names.pools,
            Some(_) => return Err("the certificate names two orgs: it takes one for each"),
        };
        if pools.len() == MAX_POOLS {
            return Err("the certificate names more than 100 pools");
        }
        pools.push(pool.to_owned());
    }
    names.ok_or(NONE)
}
