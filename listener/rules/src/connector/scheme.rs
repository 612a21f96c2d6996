//! How a callback is proven genuine: one alternative of a connector, parsed and checked.

use hookplane_proto::v1;

use super::compile::Errors;
use super::protocol::{condition, location};
use crate::location::{Condition, Location, Piece, Template};

/// A day: no provider signs for longer.
const MAX_TOLERANCE_SECONDS: u32 = 86_400;
const MAX_EQUALITIES: usize = 8;

/// One way to prove a callback genuine.
#[derive(Debug)]
pub(crate) struct Scheme {
    pub(crate) name: String,
    pub(crate) when: Option<Condition>,
    pub(crate) proof: Proof,
    pub(crate) timestamp: Option<SignedTime>,
    pub(crate) also: Vec<(Location, Template)>,
    stated: Vec<Covered>,
}

#[derive(Debug)]
pub(crate) enum Proof {
    Hmac(KeyedHash),
    Digest(KeyedHash),
    Token { location: Location, prefix: String },
    Basic { user_parameter: Option<String> },
    Unsigned,
}

#[derive(Debug)]
pub(crate) struct KeyedHash {
    pub(crate) hash: Hash,
    pub(crate) content: Template,
    pub(crate) signature: Location,
    pub(crate) format: Format,
    pub(crate) encoding: Encoding,
    pub(crate) key: Key,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Hex,
    Base64,
    Base64Url,
    Raw,
}

/// How the signature's text is taken apart.
#[derive(Debug)]
pub(crate) enum Format {
    Plain,
    Prefixed(String),
    Pairs {
        pair_separator: String,
        key_separator: String,
        signature_key: String,
    },
    Versioned {
        item_separator: String,
        version_separator: String,
        version: String,
    },
}

/// How the secret as pasted becomes the key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) decode: Encoding,
    pub(crate) strip_prefix: String,
    pub(crate) parameter: Option<String>,
}

#[derive(Debug)]
pub(crate) struct SignedTime {
    pub(crate) location: Location,
    pub(crate) unit: Unit,
    pub(crate) tolerance_seconds: u32,
    pub(crate) window: Window,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Rfc3339,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    Both,
    Age,
    Past,
}

/// What a connector says its signature covers.
#[derive(Debug, PartialEq)]
enum Covered {
    Body,
    At(Location),
}

impl Hash {
    pub(super) fn of(message: v1::HashFunction) -> Option<Self> {
        Some(match message {
            v1::HashFunction::Sha1 => Self::Sha1,
            v1::HashFunction::Sha256 => Self::Sha256,
            v1::HashFunction::Sha384 => Self::Sha384,
            v1::HashFunction::Sha512 => Self::Sha512,
            v1::HashFunction::Unspecified => return None,
        })
    }
}

impl Encoding {
    pub(super) fn of(message: v1::Encoding) -> Option<Self> {
        Some(match message {
            v1::Encoding::Hex => Self::Hex,
            v1::Encoding::Base64 => Self::Base64,
            v1::Encoding::Base64url => Self::Base64Url,
            v1::Encoding::Raw => Self::Raw,
            v1::Encoding::Unspecified => return None,
        })
    }

    /// As operators know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Raw => "text",
        }
    }
}

impl Scheme {
    /// Whether the signature covers what is read at this location.
    pub(crate) fn covers(&self, location: &Location) -> bool {
        self.implies(location) && (self.stated.is_empty() || self.states(location))
    }

    fn states(&self, location: &Location) -> bool {
        self.stated.iter().any(|covered| match covered {
            Covered::Body => location.needs_body(),
            Covered::At(stated) => stated == location,
        })
    }

    /// Told from the templates alone.
    fn implies(&self, location: &Location) -> bool {
        if let Location::Fixed(_) = location {
            return true;
        }
        if location.needs_body() && self.covers_body() {
            return true;
        }
        let Some(content) = self.content() else {
            return false;
        };
        let url = content.has(&Piece::Url);
        match location {
            Location::Method => content.has(&Piece::Method),
            Location::Url => url,
            Location::Query(_) => {
                url || content.has(&Piece::Query)
                    || content.has(&Piece::PathAndQuery)
                    || content.has(&Piece::At(location.clone()))
            }
            Location::Form(_) => {
                content.has(&Piece::SortedFormParams) || content.has(&Piece::At(location.clone()))
            }
            Location::FormJson(..) => content.has(&Piece::SortedFormParams),
            _ => {
                content.has(&Piece::At(location.clone()))
                    || (content.has(&Piece::Timestamp)
                        && self
                            .timestamp
                            .as_ref()
                            .is_some_and(|time| time.location == *location))
            }
        }
    }

    /// Whether every byte of the body is covered.
    pub(crate) fn covers_body(&self) -> bool {
        let Some(content) = self.content() else {
            return false;
        };
        let by_content = content.has(&Piece::Body) || content.has(&Piece::BodySha256Hex);
        // The body's hash in a place that is itself signed.
        by_content
            || self.also.iter().any(|(location, template)| {
                template.has(&Piece::BodySha256Hex)
                    && match location {
                        Location::Query(_) => content.has(&Piece::Url),
                        other => content.has(&Piece::At(other.clone())),
                    }
            })
    }

    fn content(&self) -> Option<&Template> {
        match &self.proof {
            Proof::Hmac(keyed) | Proof::Digest(keyed) => Some(&keyed.content),
            _ => None,
        }
    }

    /// Whether it needs one of the group's signature secrets.
    pub(crate) fn needs_secret(&self) -> bool {
        match &self.proof {
            Proof::Hmac(keyed) | Proof::Digest(keyed) => keyed.key.parameter.is_none(),
            Proof::Token { .. } | Proof::Basic { .. } => true,
            Proof::Unsigned => false,
        }
    }

    /// Where its credential travels.
    pub(crate) fn credential(&self) -> Option<&Location> {
        match &self.proof {
            Proof::Hmac(keyed) | Proof::Digest(keyed) => Some(&keyed.signature),
            Proof::Token { location, .. } => Some(location),
            Proof::Basic { .. } | Proof::Unsigned => None,
        }
    }
}

pub(super) fn compile(
    message: &v1::Scheme,
    at: &str,
    parameters: &[v1::ConnectorParameter],
    errors: &mut Errors,
) -> Option<Scheme> {
    let when = condition(message.when.as_ref(), at, errors);
    let proof = proof(message, at, parameters, errors);
    let timestamp = message
        .timestamp
        .as_ref()
        .and_then(|time| signed_time(time, &format!("{at}.timestamp"), errors));
    if message.also.len() > MAX_EQUALITIES {
        errors.add(format!("{at}.also"), format!("more than {MAX_EQUALITIES}"));
    }
    let mut also = Vec::new();
    for (index, equality) in message.also.iter().enumerate() {
        let at = format!("{at}.also[{index}]");
        let place = location(&equality.location, &format!("{at}.location"), errors);
        let equals = errors.take(&format!("{at}.equals"), Template::parse(&equality.equals));
        also.extend(place.zip(equals));
    }
    let mut stated = Vec::new();
    for (index, text) in message.covers.iter().enumerate() {
        if text == "body" {
            stated.push(Covered::Body);
        } else {
            stated
                .extend(location(text, &format!("{at}.covers[{index}]"), errors).map(Covered::At));
        }
    }
    let scheme = Scheme {
        name: message.name.clone(),
        when,
        proof: proof?,
        timestamp,
        also,
        stated,
    };
    for (index, covered) in scheme.stated.iter().enumerate() {
        let implied = match covered {
            Covered::Body => scheme.covers_body(),
            Covered::At(location) => scheme.implies(location),
        };
        if !implied {
            errors.add(
                format!("{at}.covers[{index}]"),
                "is not part of what is signed",
            );
        }
    }
    if let Some(content) = scheme.content()
        && content.has(&Piece::Timestamp)
        && scheme.timestamp.is_none()
    {
        errors.add(
            format!("{at}.timestamp"),
            "is missing: the content has {timestamp}",
        );
    }
    Some(scheme)
}

fn proof(
    message: &v1::Scheme,
    at: &str,
    parameters: &[v1::ConnectorParameter],
    errors: &mut Errors,
) -> Option<Proof> {
    let set = [
        message.hmac.is_some(),
        message.digest.is_some(),
        message.token.is_some(),
        message.basic.is_some(),
        message.unsigned.is_some(),
    ];
    if set.into_iter().filter(|is_set| *is_set).count() != 1 {
        errors.add(
            at,
            "takes exactly one of hmac, digest, token, basic and unsigned",
        );
        return None;
    }
    if let Some(keyed) = &message.hmac {
        let at = format!("{at}.hmac");
        let keyed = keyed_hash(keyed, &at, parameters, errors)?;
        if keyed.content.has(&Piece::Secret) {
            errors.add(
                format!("{at}.content"),
                "has {secret}: an hmac is keyed with it, only a digest holds it",
            );
        }
        return Some(Proof::Hmac(keyed));
    }
    if let Some(keyed) = &message.digest {
        let at = format!("{at}.digest");
        let keyed = keyed_hash(keyed, &at, parameters, errors)?;
        if !keyed.content.has(&Piece::Secret) {
            errors.add(
                format!("{at}.content"),
                "lacks {secret}: without it anybody can make the digest",
            );
        }
        return Some(Proof::Digest(keyed));
    }
    if let Some(token) = &message.token {
        return Some(Proof::Token {
            location: location(&token.location, &format!("{at}.token.location"), errors)?,
            prefix: token.prefix.clone(),
        });
    }
    if let Some(basic) = &message.basic {
        let name = basic.user_parameter.clone();
        known_parameter(
            &name,
            parameters,
            &format!("{at}.basic.userParameter"),
            errors,
        );
        return Some(Proof::Basic {
            user_parameter: Some(name).filter(|name| !name.is_empty()),
        });
    }
    Some(Proof::Unsigned)
}

fn known_parameter(
    name: &str,
    parameters: &[v1::ConnectorParameter],
    at: &str,
    errors: &mut Errors,
) {
    if !name.is_empty() && !parameters.iter().any(|parameter| parameter.name == name) {
        errors.add(
            at,
            format!("`{name}` is no parameter: declare it under spec.parameters"),
        );
    }
}

fn keyed_hash(
    message: &v1::KeyedHash,
    at: &str,
    parameters: &[v1::ConnectorParameter],
    errors: &mut Errors,
) -> Option<KeyedHash> {
    let hash = Hash::of(message.hash());
    let encoding = Encoding::of(message.encoding());
    if hash.is_none() {
        errors.add(format!("{at}.hash"), "is missing");
    }
    if encoding.is_none() {
        errors.add(format!("{at}.encoding"), "is missing");
    }
    let content = errors.take(&format!("{at}.content"), Template::parse(&message.content));
    if message.content.is_empty() {
        errors.add(
            format!("{at}.content"),
            "is missing: say what is signed, as in {body}",
        );
    }
    let signature = location(&message.signature, &format!("{at}.signature"), errors);
    let default = v1::Key::default();
    let key = message.key.as_ref().unwrap_or(&default);
    let decode = Encoding::of(key.decode()).unwrap_or(Encoding::Raw);
    known_parameter(
        &key.parameter,
        parameters,
        &format!("{at}.key.parameter"),
        errors,
    );
    let format = format(message.format.as_ref(), &format!("{at}.format"), errors);
    Some(KeyedHash {
        hash: hash?,
        content: content?,
        signature: signature?,
        format: format?,
        encoding: encoding?,
        key: Key {
            decode,
            strip_prefix: key.strip_prefix.clone(),
            parameter: Some(key.parameter.clone()).filter(|name| !name.is_empty()),
        },
    })
}

fn format(message: Option<&v1::SignatureFormat>, at: &str, errors: &mut Errors) -> Option<Format> {
    let Some(message) = message else {
        return Some(Format::Plain);
    };
    let mut needs = |name: &str, text: &str| {
        if text.is_empty() {
            errors.add(format!("{at}.{name}"), "is missing");
        }
    };
    match (message.prefix.as_str(), &message.pairs, &message.versioned) {
        ("", None, None) => Some(Format::Plain),
        (prefix, None, None) => Some(Format::Prefixed(prefix.to_owned())),
        ("", Some(pairs), None) => {
            needs("pairs.pairSeparator", &pairs.pair_separator);
            needs("pairs.keySeparator", &pairs.key_separator);
            needs("pairs.signatureKey", &pairs.signature_key);
            Some(Format::Pairs {
                pair_separator: pairs.pair_separator.clone(),
                key_separator: pairs.key_separator.clone(),
                signature_key: pairs.signature_key.clone(),
            })
        }
        ("", None, Some(versioned)) => {
            needs("versioned.itemSeparator", &versioned.item_separator);
            needs("versioned.versionSeparator", &versioned.version_separator);
            needs("versioned.version", &versioned.version);
            Some(Format::Versioned {
                item_separator: versioned.item_separator.clone(),
                version_separator: versioned.version_separator.clone(),
                version: versioned.version.clone(),
            })
        }
        _ => {
            errors.add(at, "takes one of prefix, pairs and versioned");
            None
        }
    }
}

fn signed_time(message: &v1::SignedTime, at: &str, errors: &mut Errors) -> Option<SignedTime> {
    let unit = match message.unit() {
        v1::TimeUnit::Seconds => Some(Unit::Seconds),
        v1::TimeUnit::Milliseconds => Some(Unit::Milliseconds),
        v1::TimeUnit::Rfc3339 => Some(Unit::Rfc3339),
        v1::TimeUnit::Unspecified => None,
    };
    let window = match message.window() {
        v1::TimeWindow::Both => Some(Window::Both),
        v1::TimeWindow::Age => Some(Window::Age),
        v1::TimeWindow::Past => Some(Window::Past),
        v1::TimeWindow::Unspecified => None,
    };
    if unit.is_none() {
        errors.add(
            format!("{at}.unit"),
            "is missing: seconds, milliseconds or rfc3339",
        );
    }
    if window.is_none() {
        errors.add(format!("{at}.window"), "is missing: both, age or past");
    }
    if message.tolerance_seconds == 0 || message.tolerance_seconds > MAX_TOLERANCE_SECONDS {
        errors.add(
            format!("{at}.toleranceSeconds"),
            format!("is 1 to {MAX_TOLERANCE_SECONDS}"),
        );
    }
    Some(SignedTime {
        location: location(&message.location, &format!("{at}.location"), errors)?,
        unit: unit?,
        tolerance_seconds: message.tolerance_seconds,
        window: window?,
    })
}
