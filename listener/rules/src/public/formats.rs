//! Keys as providers show them: PEM, bare base64, raw bytes, JSON Web Keys, maps of certificates.

use std::sync::Arc;

use base64::Engine as _;
use hookplane_proto::v1::PublicKeyFormat;
use serde_json::Value;

use super::algorithm::{Algorithm, ED25519_BYTES, Encoded, PublicKey};
use super::certificate::{Certificate, Chain, MAX_CHAIN};
use crate::encoding::{BASE64_URL, any_base64};

/// Keys of one set.
const MAX_KEYS: usize = 32;
/// The longest name of a key, in bytes.
const MAX_ID_BYTES: usize = 256;

/// What a text in some format holds.
pub(super) struct Read {
    pub(super) keys: Vec<PublicKey>,
    /// Where the key is a certificate's.
    pub(super) chain: Option<Chain>,
}

/// Reads those keys that are for one of the algorithms. An error says what is wrong and never what was there.
pub(super) fn read(
    format: PublicKeyFormat,
    algorithms: &[Algorithm],
    text: &str,
) -> Result<Read, String> {
    let mut chain = None;
    let found: Vec<(Option<String>, Encoded)> = match format {
        PublicKeyFormat::Pem => {
            let (keys, certificates) = pem_keys(text)?;
            chain = certificates;
            keys.into_iter().map(|key| (None, key)).collect()
        }
        PublicKeyFormat::SpkiBase64 if text.contains(BEGIN) => {
            let (keys, _) = pem_keys(text)?;
            keys.into_iter().map(|key| (None, key)).collect()
        }
        PublicKeyFormat::SpkiBase64 => vec![(None, Encoded::Der(base64(text)?))],
        PublicKeyFormat::RawHex => {
            let bytes = hex::decode(text.trim()).map_err(|_| "must be hex".to_owned())?;
            vec![(None, raw(bytes)?)]
        }
        PublicKeyFormat::RawBase64 => vec![(None, raw(base64(text)?)?)],
        PublicKeyFormat::Jwks => jwks(text)?,
        PublicKeyFormat::CertificateMap => certificate_map(text)?,
        PublicKeyFormat::Unspecified => return Err("has no format".to_owned()),
    };
    if found.len() > MAX_KEYS {
        return Err(format!(
            "holds {} keys, at most {MAX_KEYS} are taken",
            found.len()
        ));
    }
    let keys: Vec<PublicKey> = found
        .iter()
        .flat_map(|(id, key)| {
            let id = id.as_deref();
            algorithms
                .iter()
                .filter_map(move |algorithm| PublicKey::parse(*algorithm, id, key))
        })
        .collect();
    if keys.is_empty() {
        let mut kinds: Vec<&str> = algorithms.iter().map(|one| one.name()).collect();
        kinds.dedup();
        return Err(format!("holds no public key of {}", kinds.join(" or ")));
    }
    Ok(Read { keys, chain })
}

/// Those that were pasted as the secret of this name.
pub(crate) fn pasted(
    format: PublicKeyFormat,
    algorithms: &[Algorithm],
    text: &str,
    name: &Arc<str>,
) -> Result<Vec<PublicKey>, String> {
    let mut keys = read(format, algorithms, text)?.keys;
    for key in &mut keys {
        key.name = Some(Arc::clone(name));
    }
    Ok(keys)
}

/// A certificate's, if it is for this algorithm.
pub(crate) fn of_certificate(algorithm: Algorithm, certificate: &Certificate) -> Option<PublicKey> {
    PublicKey::parse(algorithm, None, &Encoded::Der(certificate.key.clone()))
}

fn base64(text: &str) -> Result<Vec<u8>, String> {
    let plain: String = text.split_ascii_whitespace().collect();
    any_base64(&plain).ok_or_else(|| "must be base64".to_owned())
}

fn raw(bytes: Vec<u8>) -> Result<Encoded, String> {
    if bytes.len() == ED25519_BYTES {
        Ok(Encoded::Raw(bytes))
    } else {
        Err(format!(
            "is {} bytes, and an Ed25519 key is {ED25519_BYTES}",
            bytes.len()
        ))
    }
}

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// Each part's label and bytes. Line ends don't matter: they get lost when keys are pasted.
fn pem(text: &str) -> Result<Vec<(&str, Vec<u8>)>, String> {
    let wrong = || "is no PEM: copy it from `-----BEGIN` to the end of the last line".to_owned();
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (label, after) = after.split_once(DASHES).ok_or_else(wrong)?;
        let (encoded, after) = after
            .split_once(&format!("-----END {label}{DASHES}"))
            .ok_or_else(wrong)?;
        parts.push((label, base64(encoded).map_err(|_| wrong())?));
        rest = after;
    }
    if parts.is_empty() {
        return Err(wrong());
    }
    Ok(parts)
}

/// True for the PEM of what everybody may know.
pub(crate) fn is_public(text: &str) -> bool {
    let mut labels = text.split(BEGIN).skip(1);
    labels.any(|rest| {
        let label = rest.split(DASHES).next().unwrap_or_default();
        label.ends_with("PUBLIC KEY") || label.ends_with("CERTIFICATE")
    })
}

/// One certificate in PEM.
pub(crate) fn pem_certificate(text: &str) -> Result<Vec<u8>, String> {
    match pem(text)?.as_slice() {
        [("CERTIFICATE", der)] => Ok(der.clone()),
        _ => Err("must be one certificate in PEM".to_owned()),
    }
}

/// The keys; of certificates the first one's, whose others are those that vouch for it.
fn pem_keys(text: &str) -> Result<(Vec<Encoded>, Option<Chain>), String> {
    let mut keys = Vec::new();
    let mut certificates = Vec::new();
    for (label, der) in pem(text)? {
        match label {
            "PUBLIC KEY" | "RSA PUBLIC KEY" => keys.push(Encoded::Der(der)),
            "CERTIFICATE" => certificates.push(Certificate::read(der)?),
            label if label.contains("PRIVATE") => {
                return Err(
                    "is a private key; paste the provider's public one, and keep a private key to yourself"
                        .to_owned(),
                );
            }
            _ => return Err("holds what is neither a public key nor a certificate".to_owned()),
        }
    }
    if certificates.len() > MAX_CHAIN {
        return Err(format!(
            "holds {} certificates, at most {MAX_CHAIN} are taken",
            certificates.len()
        ));
    }
    if certificates.is_empty() {
        return Ok((keys, None));
    }
    if !keys.is_empty() {
        return Err("holds keys and certificates; paste one of them".to_owned());
    }
    let own = certificates.remove(0);
    let key = Encoded::Der(own.key.clone());
    Ok((vec![key], Some(Chain::new(own, certificates))))
}

fn certificate_map(text: &str) -> Result<Vec<(Option<String>, Encoded)>, String> {
    let wrong = || "must be a JSON object from key ids to certificates in PEM".to_owned();
    let Ok(Value::Object(map)) = serde_json::from_str(text) else {
        return Err(wrong());
    };
    let mut found = Vec::new();
    for (id, value) in map {
        let (mut keys, _) = pem_keys(value.as_str().ok_or_else(wrong)?)?;
        if keys.len() != 1 || !is_id(&id) {
            return Err(wrong());
        }
        found.extend(keys.pop().map(|key| (Some(id), key)));
    }
    Ok(found)
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID_BYTES
}

/// Keys of kinds that nobody here knows are passed over: providers add some.
fn jwks(text: &str) -> Result<Vec<(Option<String>, Encoded)>, String> {
    let wrong = || "must be a JSON Web Key, or a set of them".to_owned();
    let json: Value = serde_json::from_str(text).map_err(|_| wrong())?;
    let one = std::slice::from_ref(&json);
    let list = match json.get("keys") {
        Some(keys) => keys.as_array().ok_or_else(wrong)?.as_slice(),
        None if json.get("kty").is_some() => one,
        None => return Err(wrong()),
    };
    let mut found = Vec::new();
    for key in list {
        if key.get("d").is_some() || key.get("k").is_some() {
            return Err(
                "holds a private or shared key; paste the provider's public ones".to_owned(),
            );
        }
        let id = match key.get("kid") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if is_id(id) => Some(id.clone()),
            Some(_) => return Err(wrong()),
        };
        if key.get("use").is_some_and(|purpose| purpose != "sig") {
            continue;
        }
        found.extend(jwk(key).map(|key| (id, key)));
    }
    Ok(found)
}

fn jwk(key: &Value) -> Option<Encoded> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let bytes = |name: &str| BASE64_URL.decode(text(name)?).ok();
    let number = |name: &str| {
        let bytes = bytes(name)?;
        let first = bytes.iter().position(|byte| *byte != 0)?;
        Some(bytes[first..].to_vec())
    };
    match (text("kty")?, text("crv")) {
        ("RSA", _) => Some(Encoded::RsaNumbers {
            modulus: number("n")?,
            exponent: number("e")?,
        }),
        ("EC", Some(curve @ ("P-256" | "P-521"))) => {
            let length: usize = if curve == "P-256" { 32 } else { 66 };
            let (x, y) = (bytes("x")?, bytes("y")?);
            // The point's own form, uncompressed. Some leave out leading zeros.
            let pad = |part: Vec<u8>| {
                let missing = length.checked_sub(part.len())?;
                Some([vec![0; missing], part].concat())
            };
            Some(Encoded::Point([vec![4], pad(x)?, pad(y)?].concat()))
        }
        ("OKP", Some("Ed25519")) => raw(bytes("x")?).ok(),
        _ => None,
    }
}
