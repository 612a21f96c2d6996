//! Mistakes with the signature itself: it is missing, under another name, or written in another way.

use http::{HeaderName, HeaderValue};

use super::secret;
use super::trial::{Altered, Patient, Trials};
use super::{Cause, Diagnosis};
use crate::Callback;
use crate::connector::{Carrier, HashKind, Proof, Scheme, TokenPlace};
use crate::encoding::TextEncoding;
use crate::group::KeyedScheme;
use crate::location::Location;
use crate::request::{Around, Missing, Request};
use crate::verify::signature;

const ENCODINGS: [TextEncoding; 4] = [
    TextEncoding::Hex,
    TextEncoding::Base64,
    TextEncoding::Base64Url,
    TextEncoding::Base64OfHex,
];
const HASHES: [HashKind; 6] = [
    HashKind::Sha256,
    HashKind::Sha1,
    HashKind::Sha512,
    HashKind::Sha384,
    HashKind::Md5,
    HashKind::Keccak256,
];
/// Parts of names that signatures have, the likely first.
const LIKE_ONE: [&str; 7] = [
    "signature",
    "hmac",
    "sign",
    "-sig",
    "token",
    "secret",
    "authorization",
];
/// Headers that look like a signature and are tried as one.
const MAX_LIKE_ONE: usize = 6;
/// Pieces of one value that are tried as the signature.
const MAX_PIECES: usize = 4;
/// The shortest signature, in bytes.
const MIN_BYTES: usize = 16;
/// A header's name in an advice, in bytes.
const MAX_NAME_BYTES: usize = 64;
const HEADER_WORDS: [&str; 4] = ["Bearer ", "Basic ", "Token ", "token "];

/// Where a scheme's credential is.
pub(super) fn places<'a>(scheme: &'a Scheme, keyed: &'a KeyedScheme) -> Vec<&'a Location> {
    match &scheme.proof {
        Proof::Hmac(hash) | Proof::Digest(hash) => hash.carrier.locations().collect(),
        Proof::PublicKey(signature) => signature.carrier.locations().collect(),
        Proof::Jwt(token) => vec![&token.place],
        Proof::Token(token) => match (&token.place, &keyed.token) {
            (_, Some(named)) => vec![named],
            (TokenPlace::At(location), None) => vec![location],
            (TokenPlace::Everywhere(_), None) => Vec::new(),
        },
        Proof::Basic { .. } => vec![&AUTHORIZATION],
        Proof::Unsigned => Vec::new(),
    }
}

static AUTHORIZATION: Location = Location::Header(http::header::AUTHORIZATION);

/// True when there is nothing at any of these places.
pub(super) fn is_missing(places: &[&Location], request: &Request) -> bool {
    let is_absent =
        |place: &&Location| request.read(place, Around::default()) == Err(Missing::Absent);
    !places.is_empty() && places.iter().all(is_absent)
}

/// Whether it is under a name that looks like one. `is_missing`: nothing is where it should be, so that even what doesn't fit tells something.
pub(super) fn elsewhere(
    patient: Patient<'_>,
    is_missing: bool,
    trials: &mut Trials<'_>,
) -> Option<Diagnosis> {
    let places = places(patient.scheme, patient.keyed);
    let expected = places.iter().find_map(|place| match place.base() {
        Location::Header(name) => Some(name),
        _ => None,
    })?;
    let like_one = like_one(patient.callback, expected);
    for name in like_one.iter().take(MAX_LIKE_ONE) {
        let Some(callback) = renamed(patient.callback, name, expected) else {
            continue;
        };
        let altered = Altered {
            callback: Some(callback),
            ..Altered::default()
        };
        if trials.fits(patient, altered).is_some() {
            return Some(Diagnosis::new(
                Cause::SignatureElsewhere,
                format!(
                    "the signature is right, and is in header {} where this connector reads {expected}: choose the connector of what really \
                     sends this, or have the headers passed on under their own names",
                    shown(name),
                ),
            ));
        }
    }
    let name = like_one.first().filter(|_| is_missing)?;
    Some(Diagnosis::new(
        Cause::SignatureElsewhere,
        format!(
            "header {expected} is missing, and {} is there, which is another form of signature or another provider's: see that the group's \
             connector and function are those of the sender, and that it signs in the newest way",
            shown(name),
        ),
    ))
}

fn shown(name: &HeaderName) -> &str {
    let name = name.as_str();
    &name[..name.len().min(MAX_NAME_BYTES)]
}

fn like_one<'a>(callback: &'a Callback, expected: &HeaderName) -> Vec<&'a HeaderName> {
    let rank = |name: &HeaderName| {
        LIKE_ONE
            .iter()
            .position(|part| name.as_str().contains(part))
    };
    let mut all: Vec<(usize, &HeaderName)> = callback
        .headers
        .keys()
        .filter(|name| *name != expected)
        .filter_map(|name| Some((rank(name)?, name)))
        .collect();
    all.sort_by_key(|(rank, name)| (*rank, name.as_str()));
    all.into_iter().map(|(_, name)| name).collect()
}

/// The header under the name that is read, and with it those of its family: `svix-id` as `webhook-id`.
fn renamed(callback: &Callback, name: &HeaderName, expected: &HeaderName) -> Option<Callback> {
    let mut renamed = callback.clone();
    let value = callback.headers.get(name)?;
    renamed.headers.insert(expected.clone(), value.clone());
    let (name, expected) = (name.as_str(), expected.as_str());
    let alike = name
        .bytes()
        .rev()
        .zip(expected.bytes().rev())
        .take_while(|(one, other)| one == other)
        .count();
    let family = &name[..name.len() - alike];
    let expected_family = &expected[..expected.len() - alike];
    if alike > 0 && !family.is_empty() {
        for (other, value) in &callback.headers {
            if let Some(rest) = other.as_str().strip_prefix(family)
                && let Ok(as_expected) = format!("{expected_family}{rest}").parse::<HeaderName>()
                && !callback.headers.contains_key(&as_expected)
            {
                renamed.headers.insert(as_expected, value.clone());
            }
        }
    }
    Some(renamed)
}

/// Whether it is there and right, and written in another way.
pub(super) fn written(
    patient: Patient<'_>,
    request: &Request,
    trials: &mut Trials<'_>,
) -> Option<Diagnosis> {
    let places = places(patient.scheme, patient.keyed);
    for place in places {
        let Ok(value) = request.read(place, Around::default()) else {
            continue;
        };
        let forms = match &patient.scheme.proof {
            Proof::Hmac(hash) | Proof::Digest(hash) => of_bytes(
                &hash.carrier,
                &value,
                Some(hash.hash.output_bytes()),
                request,
            ),
            Proof::PublicKey(scheme) => of_bytes(&scheme.carrier, &value, None, request),
            Proof::Token(token) => of_text(&value, &token.prefix),
            Proof::Jwt(token) => of_text(&value, &token.prefix),
            Proof::Basic { .. } | Proof::Unsigned => Vec::new(),
        };
        for (what, form) in forms {
            let Some(callback) = with_value(patient.callback, place, &form) else {
                continue;
            };
            let altered = Altered {
                callback: Some(callback),
                ..Altered::default()
            };
            if trials.fits(patient, altered).is_some() {
                return Some(Diagnosis::new(
                    Cause::SignatureEncoding,
                    format!(
                        "{} is right, and {what}: the sender is not the provider's own code, or the connector's rule for it is wrong",
                        place.describe(),
                    ),
                ));
            }
        }
    }
    None
}

/// A signature that is decoded.
fn of_bytes(
    carrier: &Carrier,
    value: &str,
    bytes: Option<usize>,
    request: &Request,
) -> Vec<(String, String)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+/_-".contains(c);
    let mut pieces: Vec<&str> = value
        .split(|c: char| !is_part(c))
        .filter(|piece| piece.len() >= MIN_BYTES)
        .collect();
    // The signature is the longest.
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
    let mut forms = Vec::new();
    for piece in pieces.into_iter().take(MAX_PIECES) {
        for encoding in ENCODINGS {
            let decoded = encoding.decode(piece).filter(|decoded| {
                decoded.len() >= MIN_BYTES && bytes.is_none_or(|bytes| bytes == decoded.len())
            });
            let Some(decoded) = decoded else {
                continue;
            };
            let what = if encoding == carrier.encoding {
                match carrier.prefix.as_str() {
                    prefix if value.starts_with(prefix) => {
                        "has something around it that is not expected".to_owned()
                    }
                    prefix => format!("doesn't begin with `{prefix}`"),
                }
            } else {
                format!(
                    "is in {}, where {} is expected",
                    encoding.name(),
                    carrier.encoding.name()
                )
            };
            let in_place =
                value.replacen(padded(piece, value), &carrier.encoding.encode(&decoded), 1);
            if in_place != value {
                forms.push((what.clone(), in_place));
            }
            if let Ok(alone) = signature::write(carrier, &decoded, &[], request) {
                forms.push((what, alone));
            }
        }
    }
    forms
}

/// The piece with what base64 is padded with.
fn padded<'a>(piece: &'a str, value: &'a str) -> &'a str {
    let Some(at) = value.find(piece) else {
        return piece;
    };
    let end = at + piece.len();
    let padding = value[end..].bytes().take_while(|byte| *byte == b'=');
    &value[at..end + padding.count().min(2)]
}

/// A credential that is compared as it is.
fn of_text(value: &str, prefix: &str) -> Vec<(String, String)> {
    let trimmed = value.trim();
    let bare = trimmed.strip_prefix(prefix).unwrap_or(trimmed);
    let unquoted = bare.trim_matches(['"', '\'']);
    let mut forms = Vec::new();
    if !trimmed.starts_with(prefix) {
        let what = format!("doesn't begin with `{prefix}`");
        forms.push((what, format!("{prefix}{trimmed}")));
    }
    for word in HEADER_WORDS {
        let word = word.trim();
        if word.len() < unquoted.len()
            && unquoted.is_char_boundary(word.len())
            && unquoted[..word.len()].eq_ignore_ascii_case(word)
        {
            let rest = unquoted[word.len()..].trim();
            let what = match prefix {
                "" => format!("begins with `{word} `, which is not expected"),
                prefix => format!("begins with `{word} ` where `{prefix}` is expected"),
            };
            forms.push((what, format!("{prefix}{rest}")));
        }
    }
    if unquoted != bare {
        let what = "has quotes around it".to_owned();
        forms.push((what, format!("{prefix}{unquoted}")));
    }
    if trimmed != value {
        let what = "has spaces around it".to_owned();
        forms.push((what, trimmed.to_owned()));
    }
    forms
}

fn with_value(callback: &Callback, place: &Location, value: &str) -> Option<Callback> {
    let mut altered = callback.clone();
    match place {
        Location::Header(name) => {
            let value = HeaderValue::from_str(value).ok()?;
            altered.headers.insert(name.clone(), value);
        }
        Location::Query(name) => {
            let pairs = form_urlencoded::parse(callback.query.as_bytes());
            let mut query = form_urlencoded::Serializer::new(String::new());
            for (key, old) in pairs {
                let new = if key == name.as_str() { value } else { &old };
                query.append_pair(&key, new);
            }
            altered.query = query.finish();
        }
        _ => return None,
    }
    Some(altered)
}

/// Whether it was made with another hash function.
pub(super) fn hash_function(patient: Patient<'_>, trials: &mut Trials<'_>) -> Option<Diagnosis> {
    let Proof::Hmac(hash) = &patient.scheme.proof else {
        return None;
    };
    let secrets = secret::pasted(patient.group, patient.scheme);
    for other in HASHES.into_iter().filter(|one| *one != hash.hash) {
        let scheme = Scheme {
            name: patient.scheme.name.clone(),
            when: None,
            proof: Proof::Hmac(hash.with(other)),
            timestamp: patient.scheme.timestamp.clone(),
            also: Vec::new(),
            coverage: patient.scheme.coverage.clone(),
        };
        let keys = secret::keys(&scheme, &hash.key, &secrets, &patient.group.decoding);
        let keyed = KeyedScheme {
            keys,
            ..KeyedScheme::default()
        };
        let altered = Altered {
            scheme: Some(&scheme),
            keyed: Some(&keyed),
            ..Altered::default()
        };
        if trials.fits(patient, altered).is_some() {
            return Some(Diagnosis::new(
                Cause::HashFunction,
                format!(
                    "it is signed with {}, where this connector expects {}: choose {} at the provider if it lets you, else the connector is \
                     another version's",
                    other.name(),
                    hash.hash.name(),
                    hash.hash.name()
                ),
            ));
        }
    }
    None
}

impl HashKind {
    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
            Self::Keccak256 => "Keccak-256",
        }
    }
}
