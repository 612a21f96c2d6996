//! Schemes: the ways a provider proves its callbacks genuine.
//!
//! Risk 36: hash, encoding and key are the definition's; nothing a sender writes chooses them.

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;

use super::{Condition, Coverage, Errors};
use crate::location::{Location, Part, Template};

const MAX_EQUALITIES: usize = 8;
/// The widest window, in seconds: a day.
const MOST_TOLERANCE_SECONDS: u32 = 86_400;
/// The longest prefix, separator or key of a signature header, in bytes.
const MAX_FORMAT_BYTES: usize = 64;

/// One scheme, compiled.
#[derive(Debug)]
pub(crate) struct Scheme {
    pub(crate) name: String,
    pub(crate) when: Option<Condition>,
    pub(crate) proof: Proof,
    pub(crate) timestamp: Option<SignedTime>,
    pub(crate) also: Vec<(Location, Template)>,
    pub(crate) coverage: Arc<Coverage>,
}

/// What proves it.
#[derive(Debug)]
pub(crate) enum Proof {
    Hmac(KeyedHash),
    /// A plain hash whose content holds the secret.
    Digest(KeyedHash),
    Token {
        location: Location,
        prefix: String,
    },
    Basic {
        user_parameter: Option<String>,
    },
    Unsigned,
}

/// A hash under a key, and where it is compared.
#[derive(Debug)]
pub(crate) struct KeyedHash {
    pub(crate) hash: HashKind,
    pub(crate) content: Template,
    pub(crate) signature: Location,
    pub(crate) prefix: String,
    pub(crate) format: Format,
    pub(crate) encoding: TextEncoding,
    pub(crate) key_decode: TextEncoding,
    pub(crate) strip_prefix: String,
    pub(crate) parameter: Option<String>,
}

/// How the signature's value is taken apart.
#[derive(Debug, Clone)]
pub(crate) enum Format {
    Whole,
    Pairs {
        pair: String,
        key: String,
        signature_key: String,
    },
    Versioned {
        item: String,
        separator: String,
        version: String,
    },
}

/// The hash functions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HashKind {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextEncoding {
    Hex,
    Base64,
    Base64Url,
    Raw,
}

/// Where the signed time is, and how far it may be off.
#[derive(Debug, Clone)]
pub(crate) struct SignedTime {
    pub(crate) location: Location,
    pub(crate) unit: v1::TimeUnit,
    pub(crate) tolerance: Duration,
    pub(crate) window: v1::TimeWindow,
}

impl HashKind {
    pub(crate) fn of(value: i32) -> Result<Self, String> {
        match v1::HashFunction::try_from(value) {
            Ok(v1::HashFunction::Sha1) => Ok(Self::Sha1),
            Ok(v1::HashFunction::Sha256) => Ok(Self::Sha256),
            Ok(v1::HashFunction::Sha384) => Ok(Self::Sha384),
            Ok(v1::HashFunction::Sha512) => Ok(Self::Sha512),
            _ => Err("is missing; it is sha256, sha1, sha384 or sha512".to_owned()),
        }
    }
}

impl TextEncoding {
    pub(crate) fn of(value: i32) -> Result<Self, String> {
        match v1::Encoding::try_from(value) {
            Ok(v1::Encoding::Hex) => Ok(Self::Hex),
            Ok(v1::Encoding::Base64) => Ok(Self::Base64),
            Ok(v1::Encoding::Base64url) => Ok(Self::Base64Url),
            Ok(v1::Encoding::Raw) => Ok(Self::Raw),
            _ => Err("is missing; it is hex, base64, base64url or raw".to_owned()),
        }
    }
}

impl Scheme {
    /// True when the URL is signed in any form, so that the group's public URL must be known.
    pub(crate) fn is_url_bound(&self) -> bool {
        let signs_it = match &self.proof {
            Proof::Hmac(hash) | Proof::Digest(hash) => hash.content.is_url_bound(),
            Proof::Token { .. } | Proof::Basic { .. } | Proof::Unsigned => false,
        };
        signs_it || self.also.iter().any(|(_, part)| part.is_url_bound())
    }

    pub(crate) fn compile(
        scheme: &v1::Scheme,
        parameters: &[v1::ConnectorParameter],
        at: &str,
        errors: &mut Errors,
    ) -> Option<Self> {
        let before = errors.list.len();
        let when = scheme
            .when
            .as_ref()
            .and_then(|when| Condition::compile(when, &format!("{at}.when"), errors));
        let timestamp = scheme
            .timestamp
            .as_ref()
            .and_then(|time| signed_time(time, &format!("{at}.timestamp"), errors));
        let also = equalities(&scheme.also, &format!("{at}.also"), errors);
        let proof = proof(scheme, parameters, at, errors);
        let mut compiled = Self {
            name: scheme.name.clone(),
            when,
            proof: proof?,
            timestamp,
            also,
            coverage: Arc::default(),
        };
        compiled.coverage = Arc::new(Coverage::of(&compiled));
        compiled.check(scheme, at, errors);
        (errors.list.len() == before).then_some(compiled)
    }

    /// What the parts must be to each other.
    fn check(&self, scheme: &v1::Scheme, at: &str, errors: &mut Errors) {
        for (index, stated) in scheme.covers.iter().enumerate() {
            errors.take(format!("{at}.covers[{index}]"), self.coverage.check(stated));
        }
        let kind = match &self.proof {
            Proof::Hmac(_) => "hmac",
            Proof::Digest(_) => "digest",
            _ => {
                if scheme.timestamp.is_some() {
                    errors.add(
                        format!("{at}.timestamp"),
                        "proves nothing here: only hmac and digest sign a time",
                    );
                }
                return;
            }
        };
        let (Proof::Hmac(keyed) | Proof::Digest(keyed)) = &self.proof else {
            return;
        };
        let content = format!("{at}.{kind}.content");
        match (&self.proof, keyed.content.has(&Part::Secret)) {
            (Proof::Hmac(_), true) => errors.add(
                &content,
                "holds {secret}, which is the key of an HMAC; a plain hash is `digest`",
            ),
            (Proof::Digest(_), false) => errors.add(
                &content,
                "must hold {secret}: a plain hash of anything else can be made by anybody",
            ),
            _ => {}
        }
        if self.coverage.is_empty() {
            errors.add(
                &content,
                "signs nothing of the request, so that one signature would fit them all",
            );
        }
        if keyed.content.has(&Part::Timestamp) && scheme.timestamp.is_none() {
            errors.add(
                &content,
                "holds {timestamp}; say under `timestamp` where it is",
            );
        }
        if let Some(time) = &self.timestamp
            && !self.coverage.covers(&time.location)
        {
            errors.add(
                format!("{at}.timestamp.location"),
                "is not covered by the content, so that anybody could write a new time; put {timestamp} into the content",
            );
        }
        let has_pairs = matches!(keyed.format, Format::Pairs { .. });
        let uses_sig = |template: &Template| {
            template
                .parts
                .iter()
                .any(|part| matches!(part, Part::At(Location::Sig(_))))
        };
        let time_in_sig = self
            .timestamp
            .as_ref()
            .is_some_and(|time| matches!(time.location, Location::Sig(_)));
        if !has_pairs && (uses_sig(&keyed.content) || time_in_sig) {
            errors.add(
                format!("{at}.{kind}.format.pairs"),
                "is missing, and `sig:` reads one of its pairs",
            );
        }
    }
}

fn proof(
    scheme: &v1::Scheme,
    parameters: &[v1::ConnectorParameter],
    at: &str,
    errors: &mut Errors,
) -> Option<Proof> {
    match (
        &scheme.hmac,
        &scheme.digest,
        &scheme.token,
        &scheme.basic,
        &scheme.unsigned,
    ) {
        (Some(keyed), None, None, None, None) => {
            keyed_hash(keyed, parameters, &format!("{at}.hmac"), errors).map(Proof::Hmac)
        }
        (None, Some(keyed), None, None, None) => {
            keyed_hash(keyed, parameters, &format!("{at}.digest"), errors).map(Proof::Digest)
        }
        (None, None, Some(token), None, None) => {
            let location =
                credential_location(&token.location, &format!("{at}.token.location"), errors)?;
            Some(Proof::Token {
                location,
                prefix: token.prefix.clone(),
            })
        }
        (None, None, None, Some(basic), None) => {
            let parameter = &basic.user_parameter;
            known_parameter(
                parameter,
                parameters,
                &format!("{at}.basic.userParameter"),
                errors,
            );
            Some(Proof::Basic {
                user_parameter: (!parameter.is_empty()).then(|| parameter.clone()),
            })
        }
        (None, None, None, None, Some(_)) => Some(Proof::Unsigned),
        _ => {
            errors.add(
                at,
                "needs exactly one of `hmac`, `digest`, `token`, `basic` and `unsigned`",
            );
            None
        }
    }
}

fn keyed_hash(
    keyed: &v1::KeyedHash,
    parameters: &[v1::ConnectorParameter],
    at: &str,
    errors: &mut Errors,
) -> Option<KeyedHash> {
    let hash = errors.take(format!("{at}.hash"), HashKind::of(keyed.hash));
    let content = errors.take(format!("{at}.content"), Template::parse(&keyed.content));
    let signature = credential_location(&keyed.signature, &format!("{at}.signature"), errors);
    let encoding = errors.take(format!("{at}.encoding"), TextEncoding::of(keyed.encoding));
    if encoding == Some(TextEncoding::Raw) {
        errors.add(
            format!("{at}.encoding"),
            "of a signature is hex, base64 or base64url",
        );
    }
    let key = keyed.key.clone().unwrap_or_default();
    let key_decode = TextEncoding::of(key.decode).unwrap_or(TextEncoding::Raw);
    known_parameter(
        &key.parameter,
        parameters,
        &format!("{at}.key.parameter"),
        errors,
    );
    let form = keyed.format.clone().unwrap_or_default();
    let format = format(&form, &format!("{at}.format"), errors);
    Some(KeyedHash {
        hash: hash?,
        content: content?,
        signature: signature?,
        prefix: form.prefix.clone(),
        format: format?,
        encoding: encoding?,
        key_decode,
        strip_prefix: key.strip_prefix.clone(),
        parameter: (!key.parameter.is_empty()).then_some(key.parameter),
    })
}

fn format(format: &v1::SignatureFormat, at: &str, errors: &mut Errors) -> Option<Format> {
    let mut short = |field: &str, text: &str| {
        if text.is_empty() || text.len() > MAX_FORMAT_BYTES {
            errors.add(
                format!("{at}.{field}"),
                format!("must be a text of 1 to {MAX_FORMAT_BYTES} bytes"),
            );
        }
        text.to_owned()
    };
    match (&format.pairs, &format.versioned) {
        (None, None) => Some(Format::Whole),
        (Some(pairs), None) => Some(Format::Pairs {
            pair: short("pairs.pairSeparator", &pairs.pair_separator),
            key: short("pairs.keySeparator", &pairs.key_separator),
            signature_key: short("pairs.signatureKey", &pairs.signature_key),
        }),
        (None, Some(versioned)) => Some(Format::Versioned {
            item: short("versioned.itemSeparator", &versioned.item_separator),
            separator: short("versioned.versionSeparator", &versioned.version_separator),
            version: short("versioned.version", &versioned.version),
        }),
        (Some(_), Some(_)) => {
            errors.add(
                at,
                "has both `pairs` and `versioned`; a header is taken apart one way",
            );
            None
        }
    }
}

/// Where a credential may be. In the body it would be kept and handed on with the event, unless the sender means it so.
fn credential_location(text: &str, at: &str, errors: &mut Errors) -> Option<Location> {
    match errors.take(at, Location::parse(text))? {
        Location::Sig(_)
        | Location::Method
        | Location::Url
        | Location::Fixed(_)
        | Location::Item(_) => {
            errors.add(
                at,
                "must be in a header, the query, a form field or the JSON body",
            );
            None
        }
        location => Some(location),
    }
}

fn known_parameter(
    name: &str,
    parameters: &[v1::ConnectorParameter],
    at: &str,
    errors: &mut Errors,
) {
    if !name.is_empty() && !parameters.iter().any(|parameter| parameter.name == name) {
        errors.add(at, format!("`{name}` is none of spec.parameters"));
    }
}

fn signed_time(time: &v1::SignedTime, at: &str, errors: &mut Errors) -> Option<SignedTime> {
    let location = errors.take(format!("{at}.location"), Location::parse(&time.location));
    let unit = v1::TimeUnit::try_from(time.unit).unwrap_or_default();
    if unit == v1::TimeUnit::Unspecified {
        errors.add(
            format!("{at}.unit"),
            "is missing; it is seconds, milliseconds or rfc3339",
        );
    }
    let window = v1::TimeWindow::try_from(time.window).unwrap_or_default();
    if window == v1::TimeWindow::Unspecified {
        errors.add(
            format!("{at}.window"),
            "is missing; it is both, age or past",
        );
    }
    if time.tolerance_seconds == 0 || time.tolerance_seconds > MOST_TOLERANCE_SECONDS {
        errors.add(
            format!("{at}.toleranceSeconds"),
            format!("must be from 1 to {MOST_TOLERANCE_SECONDS}"),
        );
    }
    Some(SignedTime {
        location: location?,
        unit,
        tolerance: Duration::from_secs(time.tolerance_seconds.into()),
        window,
    })
}

fn equalities(list: &[v1::Equality], at: &str, errors: &mut Errors) -> Vec<(Location, Template)> {
    errors.at_most(at, list.len(), MAX_EQUALITIES, "equalities");
    list.iter()
        .take(MAX_EQUALITIES)
        .enumerate()
        .filter_map(|(index, equality)| {
            let at = format!("{at}[{index}]");
            let location = errors.take(
                format!("{at}.location"),
                Location::parse(&equality.location),
            );
            let template = errors.take(format!("{at}.equals"), Template::parse(&equality.equals));
            if template
                .as_ref()
                .is_some_and(|template| template.has(&Part::Secret))
            {
                errors.add(
                    format!("{at}.equals"),
                    "may not hold {secret}; a shared secret is a `token`",
                );
            }
            Some((location?, template?))
        })
        .collect()
}
