//! Schemes: the ways a provider proves its callbacks genuine.
//!
//! Risk 36: hash, encoding and key are the definition's; nothing a sender writes chooses them.

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;

use super::signature::credential;
use super::{
    Carrier, Condition, Coverage, Errors, KeyPlace, KeySpec, PublicKeySignature, TokenKeys,
    WebToken,
};
use crate::location::{Location, Pattern};
use crate::template::{Part, Template, Use};

const MAX_EQUALITIES: usize = 8;
/// Further contents of one signature.
const MAX_CONTENTS: usize = 4;
/// The widest window, in seconds: a day.
const MOST_TOLERANCE_SECONDS: u32 = 86_400;

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
    Token(Token),
    /// Boxed, as the next one: few have them, and there are many schemes.
    PublicKey(Box<PublicKeySignature>),
    Jwt(Box<WebToken>),
    Basic {
        user_parameter: Option<String>,
    },
    Unsigned,
}

/// A hash under a key, and where it is compared.
#[derive(Debug, Clone)]
pub(crate) struct KeyedHash {
    pub(crate) hash: HashKind,
    content: Template,
    /// One content that fits is enough.
    or_content: Vec<Template>,
    pub(crate) carrier: Carrier,
    pub(crate) key: KeySpec,
}

/// A shared secret, sent as it is.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) place: TokenPlace,
    pub(crate) prefix: String,
    /// The group's parameter that names the header, query parameter or member instead of the location.
    pub(crate) name_parameter: Option<String>,
    /// Known to many, so that it needn't be taken out of a body.
    pub(crate) is_public: bool,
}

/// Where a token is.
#[derive(Debug, Clone)]
pub(crate) enum TokenPlace {
    At(Location),
    /// In the JSON body, everywhere that the pattern leads to: all of them must be the secret.
    Everywhere(Pattern),
}

/// The hash functions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HashKind {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
    Keccak256,
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
            Ok(v1::HashFunction::Md5) => Ok(Self::Md5),
            Ok(v1::HashFunction::Keccak256) => Ok(Self::Keccak256),
            Ok(v1::HashFunction::Unspecified) | Err(_) => {
                Err("is missing; it is sha256, sha1, sha384, sha512, md5 or keccak256".to_owned())
            }
        }
    }
}

impl KeyedHash {
    /// The same with another hash function.
    pub(crate) fn with(&self, hash: HashKind) -> Self {
        Self {
            hash,
            ..self.clone()
        }
    }

    /// What may have been signed, in this order.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Template> {
        std::iter::once(&self.content).chain(&self.or_content)
    }
}

impl Scheme {
    /// True when the URL is signed in any form, so that the group's public URL must be known.
    pub(crate) fn is_url_bound(&self) -> bool {
        let signs_it = match &self.proof {
            Proof::Hmac(hash) | Proof::Digest(hash) => hash.contents().any(Template::is_url_bound),
            Proof::PublicKey(signature) => signature.contents().any(Template::is_url_bound),
            Proof::Jwt(token) => token.is_url_bound(),
            Proof::Token(_) | Proof::Basic { .. } | Proof::Unsigned => false,
        };
        signs_it || self.also.iter().any(|(_, part)| part.is_url_bound())
    }

    /// True when what verifies under it brings a token with claims.
    pub(crate) fn tells_claims(&self) -> bool {
        matches!(&self.proof, Proof::Jwt(token) if token.detached.is_none())
    }

    /// True when its keys are not a group's but fetched, or come with a token.
    pub(crate) fn has_own_keys(&self) -> bool {
        let has_chain = matches!(&self.proof, Proof::Jwt(token) if matches!(token.keys, TokenKeys::Chain { .. }));
        has_chain || self.fetches_keys()
    }

    /// True when its keys are fetched from the provider.
    pub(crate) fn fetches_keys(&self) -> bool {
        match &self.proof {
            Proof::PublicKey(signature) => matches!(signature.keys, KeyPlace::Remote(_)),
            Proof::Jwt(token) => matches!(token.keys, TokenKeys::Public(KeyPlace::Remote(_))),
            _ => false,
        }
    }

    pub(crate) fn compile(scheme: &v1::Scheme, at: &str, errors: &mut Errors) -> Option<Self> {
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
        let proof = proof(scheme, at, errors);
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
            Proof::PublicKey(_) => "publicKey",
            Proof::Jwt(token) => {
                self.check_token(token, scheme, at, errors);
                return;
            }
            _ => {
                if scheme.timestamp.is_some() {
                    errors.add(
                        format!("{at}.timestamp"),
                        "proves nothing here: only hmac, digest, publicKey and jwt sign a time",
                    );
                }
                return;
            }
        };
        let (contents, carrier): (Vec<&Template>, &Carrier) = match &self.proof {
            Proof::Hmac(keyed) | Proof::Digest(keyed) => {
                (keyed.contents().collect(), &keyed.carrier)
            }
            Proof::PublicKey(signature) => (signature.contents().collect(), &signature.carrier),
            _ => return,
        };
        for (index, content) in contents.iter().enumerate() {
            let at = match index.checked_sub(1) {
                None => format!("{at}.{kind}.content"),
                Some(index) => format!("{at}.{kind}.orContent[{index}]"),
            };
            self.check_content(content, scheme.timestamp.is_some(), &at, errors);
        }
        let content = format!("{at}.{kind}.content");
        if self.coverage.is_empty() {
            errors.add(
                &content,
                "signs nothing of the request, so that one signature would fit them all",
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
        let mut read: Vec<&Location> = contents
            .iter()
            .flat_map(|content| content.locations())
            .collect();
        read.extend(self.timestamp.as_ref().map(|time| &time.location));
        if let Proof::PublicKey(signature) = &self.proof
            && let KeyPlace::Remote(remote) = &signature.keys
        {
            read.extend(remote.locations());
        }
        for location in read {
            if let Location::Sig(name) = location.base()
                && !carrier.format.has_field(name)
            {
                errors.add(
                    format!("{at}.{kind}.format"),
                    format!("gives no `sig:{name}`; that is one of its `pairs`, of what its `list` skips, or of its JSON"),
                );
            }
        }
    }

    fn check_token(&self, token: &WebToken, scheme: &v1::Scheme, at: &str, errors: &mut Errors) {
        let has_time = scheme.timestamp.is_some();
        if let Some(detached) = &token.detached {
            let at = format!("{at}.jwt.detachedPayload");
            self.check_content(&detached.payload, has_time, &at, errors);
        }
        for (index, rule) in token.claims.iter().enumerate() {
            let at = format!("{at}.jwt.claims[{index}].equals");
            self.check_content(&rule.equals, has_time, &at, errors);
        }
        if let Some(time) = &self.timestamp
            && !self.coverage.covers(&time.location)
        {
            errors.add(
                format!("{at}.timestamp.location"),
                "is not covered by the token, so that anybody could write a new time",
            );
        }
        let reads_sig = token
            .locations()
            .chain(self.timestamp.as_ref().map(|time| &time.location))
            .any(|location| matches!(location.base(), Location::Sig(_)));
        if reads_sig {
            errors.add(
                format!("{at}.jwt"),
                "has no signature header that `sig:` could read; `jws:` reads the token's",
            );
        }
    }

    fn check_content(&self, content: &Template, has_time: bool, at: &str, errors: &mut Errors) {
        match (&self.proof, content.holds_secret()) {
            (Proof::Hmac(_), true) => errors.add(
                at,
                "holds {secret}, which is the key of an HMAC; a plain hash is `digest`",
            ),
            (Proof::PublicKey(_) | Proof::Jwt(_), true) => errors.add(
                at,
                "holds {secret}, which is the key here and nothing that is signed",
            ),
            (Proof::Digest(_), false) => errors.add(
                at,
                "must hold {secret}: a plain hash of anything else can be made by anybody",
            ),
            _ => {}
        }
        if content.has(&Part::Timestamp) && !has_time {
            errors.add(at, "holds {timestamp}; say under `timestamp` where it is");
        }
    }
}

fn proof(scheme: &v1::Scheme, at: &str, errors: &mut Errors) -> Option<Proof> {
    let given = [
        scheme.hmac.is_some(),
        scheme.digest.is_some(),
        scheme.token.is_some(),
        scheme.basic.is_some(),
        scheme.unsigned.is_some(),
        scheme.public_key.is_some(),
        scheme.jwt.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        errors.add(
            at,
            "needs exactly one of `hmac`, `digest`, `token`, `basic`, `unsigned`, `publicKey` and `jwt`",
        );
        return None;
    }
    if let Some(keyed) = &scheme.hmac {
        keyed_hash(keyed, &format!("{at}.hmac"), errors).map(Proof::Hmac)
    } else if let Some(keyed) = &scheme.digest {
        keyed_hash(keyed, &format!("{at}.digest"), errors).map(Proof::Digest)
    } else if let Some(shared) = &scheme.token {
        token(shared, &format!("{at}.token"), errors).map(Proof::Token)
    } else if let Some(signature) = &scheme.public_key {
        PublicKeySignature::compile(signature, &format!("{at}.publicKey"), errors)
            .map(|signature| Proof::PublicKey(Box::new(signature)))
    } else if let Some(token) = &scheme.jwt {
        WebToken::compile(token, &format!("{at}.jwt"), errors)
            .map(|token| Proof::Jwt(Box::new(token)))
    } else if let Some(basic) = &scheme.basic {
        let parameter = &basic.user_parameter;
        if !parameter.is_empty() {
            errors.parameter(parameter, &format!("{at}.basic.userParameter"));
        }
        Some(Proof::Basic {
            user_parameter: (!parameter.is_empty()).then(|| parameter.clone()),
        })
    } else {
        Some(Proof::Unsigned)
    }
}

fn keyed_hash(keyed: &v1::KeyedHash, at: &str, errors: &mut Errors) -> Option<KeyedHash> {
    let hash = errors.take(format!("{at}.hash"), HashKind::of(keyed.hash));
    let content = errors.template(&keyed.content, Use::Signed, &format!("{at}.content"));
    let or_at = format!("{at}.orContent");
    errors.at_most(
        &or_at,
        keyed.or_content.len(),
        MAX_CONTENTS,
        "further contents",
    );
    let or_content = (0..MAX_CONTENTS)
        .zip(&keyed.or_content)
        .filter_map(|(index, text)| {
            errors.template(text, Use::Signed, &format!("{or_at}[{index}]"))
        })
        .collect();
    let carrier = Carrier::compile(
        &keyed.signature,
        &keyed.or_signature,
        keyed.format.as_ref(),
        keyed.encoding,
        at,
        errors,
    );
    let key = KeySpec::compile(keyed.key.as_ref(), &format!("{at}.key"), errors);
    Some(KeyedHash {
        hash: hash?,
        content: content?,
        or_content,
        carrier: carrier?,
        key: key?,
    })
}

fn token(token: &v1::SharedToken, at: &str, errors: &mut Errors) -> Option<Token> {
    let location_at = format!("{at}.location");
    let place = match token.location.strip_prefix("json:") {
        Some(pointer) if pointer.contains('*') => {
            let pattern = errors.take(location_at, Pattern::parse(pointer))?;
            TokenPlace::Everywhere(pattern)
        }
        _ => TokenPlace::At(credential(&token.location, &location_at, errors)?),
    };
    let name_parameter = match token.name_parameter.as_str() {
        "" => None,
        name => {
            let at = format!("{at}.nameParameter");
            errors.parameter(name, &at);
            match &place {
                TokenPlace::At(location) if location.named(name).is_ok() => {}
                _ => errors.add(at, "names a header, a query parameter, a form field or a JSON member without further steps; the location is something else"),
            }
            Some(name.to_owned())
        }
    };
    Some(Token {
        place,
        prefix: token.prefix.clone(),
        name_parameter,
        is_public: token.public,
    })
}

fn signed_time(time: &v1::SignedTime, at: &str, errors: &mut Errors) -> Option<SignedTime> {
    let location = errors.location(&time.location, &format!("{at}.location"));
    let unit = v1::TimeUnit::try_from(time.unit).unwrap_or_default();
    if unit == v1::TimeUnit::Unspecified {
        errors.add(
            format!("{at}.unit"),
            "is missing; it is seconds, milliseconds, rfc3339, http_date or epoch",
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

pub(super) fn equalities(
    list: &[v1::Equality],
    at: &str,
    errors: &mut Errors,
) -> Vec<(Location, Template)> {
    errors.at_most(at, list.len(), MAX_EQUALITIES, "equalities");
    list.iter()
        .take(MAX_EQUALITIES)
        .enumerate()
        .filter_map(|(index, equality)| {
            let at = format!("{at}[{index}]");
            let location = errors.location(&equality.location, &format!("{at}.location"));
            let template = errors.template(&equality.equals, Use::Signed, &format!("{at}.equals"));
            if template.as_ref().is_some_and(Template::holds_secret) {
                errors.add(
                    format!("{at}.equals"),
                    "may not hold {secret}; a shared secret is a `token`",
                );
            }
            Some((location?, template?))
        })
        .collect()
}
