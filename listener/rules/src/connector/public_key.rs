//! Signatures under a provider's private key, and where its public key comes from.
//!
//! Risk 36: a sender names at most one key among those at places that are written here.

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;

use super::{Carrier, Errors};
use crate::location::Location;
use crate::public::remote::{HostPattern, Place};
use crate::public::{Algorithm, Reading, RemoteKeys};
use crate::template::{Part, Template, Use};

/// Further contents of one signature.
const MAX_CONTENTS: usize = 4;
const MAX_HOSTS: usize = 16;
/// The longest prefix or suffix of a path, and the longest name in a certificate, in bytes.
const MAX_TEXT_BYTES: usize = 256;
/// How long a fetched key is kept when the definition doesn't say.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(3_600);
/// The longest that a definition may say, in seconds: a day.
const MOST_MAX_AGE_SECONDS: u32 = 86_400;

/// A signature under a private key, compiled.
#[derive(Debug)]
pub(crate) struct PublicKeySignature {
    pub(crate) algorithm: Algorithm,
    content: Template,
    /// One content that fits is enough.
    or_content: Vec<Template>,
    pub(crate) carrier: Carrier,
    pub(crate) keys: KeyPlace,
}

/// Where a public key comes from.
#[derive(Debug)]
pub(crate) enum KeyPlace {
    /// The group's signature secret.
    Pasted(v1::PublicKeyFormat),
    Remote(RemoteKeys),
}

impl PublicKeySignature {
    pub(super) fn compile(
        signature: &v1::PublicKeySignature,
        at: &str,
        errors: &mut Errors,
    ) -> Option<Self> {
        let algorithm = errors.take(
            format!("{at}.algorithm"),
            Algorithm::of(signature.algorithm),
        );
        let content = errors.template(&signature.content, Use::Signed, &format!("{at}.content"));
        let or_at = format!("{at}.orContent");
        errors.at_most(
            &or_at,
            signature.or_content.len(),
            MAX_CONTENTS,
            "further contents",
        );
        let or_content = (0..MAX_CONTENTS)
            .zip(&signature.or_content)
            .filter_map(|(index, text)| {
                errors.template(text, Use::Signed, &format!("{or_at}[{index}]"))
            })
            .collect();
        let carrier = Carrier::compile(
            &signature.signature,
            &signature.or_signature,
            signature.format.as_ref(),
            signature.encoding,
            at,
            errors,
        );
        let algorithms: Vec<Algorithm> = algorithm.into_iter().collect();
        let keys = KeyPlace::compile(
            signature.key.as_ref(),
            &algorithms,
            &format!("{at}.key"),
            errors,
        );
        Some(Self {
            algorithm: algorithm?,
            content: content?,
            or_content,
            carrier: carrier?,
            keys: keys?,
        })
    }

    /// What may have been signed, in this order.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Template> {
        std::iter::once(&self.content).chain(&self.or_content)
    }
}

impl Algorithm {
    fn of(value: i32) -> Result<Self, String> {
        use v1::SignatureAlgorithm as Named;
        Ok(match Named::try_from(value) {
            Ok(Named::RsaSha1) => Self::RsaSha1,
            Ok(Named::RsaSha256) => Self::RsaSha256,
            Ok(Named::RsaSha512) => Self::RsaSha512,
            Ok(Named::RsaPssSha256) => Self::PssSha256,
            Ok(Named::RsaPssSha512) => Self::PssSha512,
            Ok(Named::EcdsaP256Sha256) => Self::P256Sha256,
            Ok(Named::EcdsaP256Sha1) => Self::P256Sha1,
            Ok(Named::Ed25519) => Self::Ed25519,
            Ok(Named::Unspecified) | Err(_) => {
                return Err(
                    "is missing; it is rsa_sha1, rsa_sha256, rsa_sha512, rsa_pss_sha256, rsa_pss_sha512, \
                     ecdsa_p256_sha256, ecdsa_p256_sha1 or ed25519"
                        .to_owned(),
                );
            }
        })
    }
}

impl KeyPlace {
    pub(super) fn compile(
        key: Option<&v1::PublicKey>,
        algorithms: &[Algorithm],
        at: &str,
        errors: &mut Errors,
    ) -> Option<Self> {
        let Some(key) = key else {
            errors.add(
                at,
                "is missing; its `format` says how the public key is written",
            );
            return None;
        };
        let format = v1::PublicKeyFormat::try_from(key.format).unwrap_or_default();
        let is_raw = matches!(
            format,
            v1::PublicKeyFormat::RawHex | v1::PublicKeyFormat::RawBase64
        );
        if format == v1::PublicKeyFormat::Unspecified {
            errors.add(
                format!("{at}.format"),
                "is missing; it is pem, spki_base64, raw_hex, raw_base64, jwks or certificate_map",
            );
        } else if is_raw && algorithms.iter().any(|one| *one != Algorithm::Ed25519) {
            errors.add(format!("{at}.format"), "is only for ed25519");
        }
        match &key.remote {
            None => Some(Self::Pasted(format)),
            Some(remote) => {
                remote_keys(remote, format, algorithms, &format!("{at}.remote"), errors)
                    .map(Self::Remote)
            }
        }
    }
}

fn remote_keys(
    remote: &v1::RemoteKeys,
    format: v1::PublicKeyFormat,
    algorithms: &[Algorithm],
    at: &str,
    errors: &mut Errors,
) -> Option<RemoteKeys> {
    let before = errors.list.len();
    let url = errors.template(&remote.url, Use::Text, &format!("{at}.url"));
    errors.at_most(
        &format!("{at}.hosts"),
        remote.hosts.len(),
        MAX_HOSTS,
        "hosts",
    );
    let hosts = (0..MAX_HOSTS)
        .zip(&remote.hosts)
        .filter_map(|(index, host)| {
            errors.take(format!("{at}.hosts[{index}]"), HostPattern::parse(host))
        })
        .collect();
    for (field, text) in [
        ("pathPrefix", &remote.path_prefix),
        ("pathSuffix", &remote.path_suffix),
        ("certificateName", &remote.certificate_name),
    ] {
        if text.len() > MAX_TEXT_BYTES {
            errors.add(
                format!("{at}.{field}"),
                format!("is longer than {MAX_TEXT_BYTES} bytes"),
            );
        }
    }
    if !remote.certificate_name.is_empty() {
        if format != v1::PublicKeyFormat::Pem {
            errors.add(
                format!("{at}.certificateName"),
                "is of use only with the format pem",
            );
        }
        let name = remote.certificate_name.trim_start_matches('.');
        errors.take(format!("{at}.certificateName"), HostPattern::parse(name));
    }
    let key_id = match remote.key_id.as_str() {
        "" => None,
        text => errors.location(text, &format!("{at}.keyId")),
    };
    if remote.max_age_seconds > MOST_MAX_AGE_SECONDS {
        errors.add(
            format!("{at}.maxAgeSeconds"),
            format!(
                "is {}, at most {MOST_MAX_AGE_SECONDS} are taken",
                remote.max_age_seconds
            ),
        );
    }
    let url = url?;
    let is_sender_named = is_sender_named(&url);
    let place = Place {
        hosts,
        path_prefix: remote.path_prefix.clone(),
        path_suffix: remote.path_suffix.clone(),
    };
    if is_sender_named && remote.hosts.is_empty() {
        errors.add(
            format!("{at}.hosts"),
            "is empty, and the request has a say in the URL; name the provider's hosts",
        );
    } else if let [Part::Text(text)] = url.parts.as_slice()
        && let Err(why) = place.admit(text, true)
    {
        errors.add(format!("{at}.url"), format!("can't be fetched: {why}"));
    }
    (errors.list.len() == before).then(|| RemoteKeys {
        url,
        is_sender_named,
        place,
        key_id,
        reading: Arc::new(Reading {
            format,
            algorithms: algorithms.to_vec(),
            certificate_name: remote.certificate_name.to_ascii_lowercase(),
            max_age: match remote.max_age_seconds {
                0 => DEFAULT_MAX_AGE,
                seconds => Duration::from_secs(seconds.into()),
            },
        }),
    })
}

/// True unless it is of the definition's text and the group's parameters alone.
fn is_sender_named(url: &Template) -> bool {
    url.any(&|part| match part {
        Part::Text(_) | Part::Optional(_) | Part::Filtered(_) => false,
        Part::At(location) | Part::IfThere(location) => {
            !matches!(location.base(), Location::Param(_) | Location::Fixed(_))
        }
        _ => true,
    })
}
