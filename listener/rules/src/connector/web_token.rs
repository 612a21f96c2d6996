//! JSON Web Tokens: where one is, under which algorithms and keys it is believed, and what it must say.
//!
//! Risk 36: the algorithms are of one family, and the keys of the same, so that nothing a sender writes turns one into the other.

use std::time::Duration;

use hookplane_proto::v1;
pub(crate) use x509_cert::der::asn1::ObjectIdentifier;

use super::{Errors, HashKind, KeyPlace, KeySpec};
use crate::location::{Location, pointer};
use crate::public::formats::pem_certificate;
use crate::public::{Algorithm, Root};
use crate::template::{Filter, Part, Template, Use};

const MAX_CLAIMS: usize = 16;
/// The longest prefix, in bytes.
const MAX_PREFIX_BYTES: usize = 64;
/// The longest leeway and age, in seconds: a day.
const MOST_SECONDS: u32 = 86_400;

/// A JSON Web Token's rules, compiled.
#[derive(Debug)]
pub(crate) struct WebToken {
    /// In a header, the query or the body; or all of the body.
    pub(crate) place: Location,
    pub(crate) prefix: String,
    pub(crate) algorithms: Vec<TokenAlgorithm>,
    pub(crate) keys: TokenKeys,
    pub(crate) claims: Vec<ClaimRule>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) leeway: Duration,
    pub(crate) detached: Option<Detached>,
}

/// One of the names that `alg` may have, and what it stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenAlgorithm {
    pub(crate) name: &'static str,
    pub(crate) kind: TokenKind,
}

/// The two families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// An HMAC under a shared secret.
    Shared(HashKind),
    Public(Algorithm),
}

/// What a token is verified with.
#[derive(Debug)]
pub(crate) enum TokenKeys {
    Shared(KeySpec),
    Public(KeyPlace),
    /// A certificate that comes with it, under this root and with this extension.
    Chain {
        root: Root,
        extension: ObjectIdentifier,
    },
}

/// What a claim must be.
#[derive(Debug)]
pub(crate) struct ClaimRule {
    /// As written, for an operator.
    pub(crate) name: String,
    pub(crate) claim: Vec<String>,
    pub(crate) equals: Template,
    pub(crate) is_optional: bool,
    /// It is base64url, which some pad.
    pub(crate) is_base64url: bool,
}

/// A payload that isn't in the token but made of the request.
#[derive(Debug)]
pub(crate) struct Detached {
    pub(crate) payload: Template,
    /// Signed as it is, not in base64url.
    pub(crate) raw: bool,
}

const ALGORITHMS: [TokenAlgorithm; 8] = [
    TokenAlgorithm {
        name: "HS256",
        kind: TokenKind::Shared(HashKind::Sha256),
    },
    TokenAlgorithm {
        name: "HS384",
        kind: TokenKind::Shared(HashKind::Sha384),
    },
    TokenAlgorithm {
        name: "HS512",
        kind: TokenKind::Shared(HashKind::Sha512),
    },
    TokenAlgorithm {
        name: "RS256",
        kind: TokenKind::Public(Algorithm::RsaSha256),
    },
    TokenAlgorithm {
        name: "RS512",
        kind: TokenKind::Public(Algorithm::RsaSha512),
    },
    TokenAlgorithm {
        name: "ES256",
        kind: TokenKind::Public(Algorithm::P256Sha256Fixed),
    },
    TokenAlgorithm {
        name: "ES512",
        kind: TokenKind::Public(Algorithm::P521Sha512Fixed),
    },
    TokenAlgorithm {
        name: "EdDSA",
        kind: TokenKind::Public(Algorithm::Ed25519),
    },
];

impl TokenAlgorithm {
    /// Shared secret, RSA, elliptic curve, Edwards curve.
    fn family(self) -> u8 {
        match self.kind {
            TokenKind::Shared(_) => 0,
            TokenKind::Public(Algorithm::RsaSha256 | Algorithm::RsaSha512) => 1,
            TokenKind::Public(Algorithm::Ed25519) => 3,
            TokenKind::Public(_) => 2,
        }
    }
}

impl WebToken {
    pub(super) fn compile(token: &v1::JsonWebToken, at: &str, errors: &mut Errors) -> Option<Self> {
        let place = place(&token.location, &format!("{at}.location"), errors);
        if token.prefix.len() > MAX_PREFIX_BYTES {
            errors.add(
                format!("{at}.prefix"),
                format!("is longer than {MAX_PREFIX_BYTES} bytes"),
            );
        }
        let algorithms = algorithms(&token.algorithms, &format!("{at}.algorithms"), errors);
        let keys = algorithms
            .as_ref()
            .and_then(|algorithms| token_keys(token, algorithms, at, errors));
        errors.at_most(
            &format!("{at}.claims"),
            token.claims.len(),
            MAX_CLAIMS,
            "claims",
        );
        let claims = (0..MAX_CLAIMS)
            .zip(&token.claims)
            .filter_map(|(index, rule)| {
                ClaimRule::compile(rule, &format!("{at}.claims[{index}]"), errors)
            })
            .collect();
        for (field, seconds) in [
            ("maxAgeSeconds", token.max_age_seconds),
            ("leewaySeconds", token.leeway_seconds),
        ] {
            if seconds > MOST_SECONDS {
                errors.add(
                    format!("{at}.{field}"),
                    format!("is {seconds}, at most {MOST_SECONDS} are taken"),
                );
            }
        }
        let detached = detached(token, at, errors);
        Some(Self {
            place: place?,
            prefix: token.prefix.clone(),
            algorithms: algorithms?,
            keys: keys?,
            claims,
            max_age: (token.max_age_seconds > 0)
                .then(|| Duration::from_secs(token.max_age_seconds.into())),
            leeway: Duration::from_secs(token.leeway_seconds.into()),
            detached: detached?,
        })
    }

    /// What makes a key of the group's secret, or of a parameter, where it is signed with one that both sides know.
    pub(super) fn shared_key(&self) -> Option<&KeySpec> {
        match &self.keys {
            TokenKeys::Shared(key) => Some(key),
            _ => None,
        }
    }

    /// Those under public keys.
    pub(crate) fn public_algorithms(&self) -> Vec<Algorithm> {
        public_algorithms(&self.algorithms)
    }

    /// The templates that what the token proves is compared with.
    pub(crate) fn proven(&self) -> impl Iterator<Item = &Template> {
        let claims = self.claims.iter().filter(|rule| !rule.is_optional);
        let payload = self.detached.as_ref().map(|detached| &detached.payload);
        claims.map(|rule| &rule.equals).chain(payload)
    }

    /// What it reads of a request besides the token.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &Location> {
        let payload = self.detached.as_ref().map(|detached| &detached.payload);
        let claims = self.claims.iter().map(|rule| &rule.equals);
        let remote = match &self.keys {
            TokenKeys::Public(KeyPlace::Remote(remote)) => Some(remote.locations()),
            _ => None,
        };
        let compared = claims.chain(payload).flat_map(Template::locations);
        compared.chain(remote.into_iter().flatten())
    }

    /// True when the URL is among what is compared.
    pub(crate) fn is_url_bound(&self) -> bool {
        let payload = self.detached.as_ref().map(|detached| &detached.payload);
        let claims = self.claims.iter().map(|rule| &rule.equals);
        claims.chain(payload).any(Template::is_url_bound)
    }
}

fn place(text: &str, at: &str, errors: &mut Errors) -> Option<Location> {
    let location = errors.location(text, at)?;
    match location.base() {
        Location::Header(_)
        | Location::Query(_)
        | Location::Form(_)
        | Location::Json(_)
        | Location::Body => Some(location),
        _ => {
            errors.add(
                at,
                "must be in a header, the query, a form field or the JSON body, or be the body",
            );
            None
        }
    }
}

fn algorithms(list: &[String], at: &str, errors: &mut Errors) -> Option<Vec<TokenAlgorithm>> {
    let known = || ALGORITHMS.map(|one| one.name).join(", ");
    let mut found: Vec<TokenAlgorithm> = Vec::new();
    if list.is_empty() {
        errors.add(at, format!("is empty; name the provider's, of {}", known()));
        return None;
    }
    for (index, name) in list.iter().enumerate() {
        let at = format!("{at}[{index}]");
        match ALGORITHMS.iter().find(|one| one.name == name) {
            None => errors.add(at, format!("`{name}` is none of {}", known())),
            Some(one) if found.iter().any(|known| known.name == one.name) => {
                errors.add(at, format!("`{name}` is there twice"));
            }
            Some(one) => found.push(*one),
        }
    }
    if found
        .iter()
        .any(|one| found.first().map(|first| first.family()) != Some(one.family()))
    {
        errors.add(
            at,
            "are of several families, so that a sender could choose what the key is taken for; make a scheme for each",
        );
        return None;
    }
    (found.len() == list.len()).then_some(found)
}

fn public_algorithms(algorithms: &[TokenAlgorithm]) -> Vec<Algorithm> {
    algorithms
        .iter()
        .filter_map(|one| match one.kind {
            TokenKind::Public(algorithm) => Some(algorithm),
            TokenKind::Shared(_) => None,
        })
        .collect()
}

fn token_keys(
    token: &v1::JsonWebToken,
    algorithms: &[TokenAlgorithm],
    at: &str,
    errors: &mut Errors,
) -> Option<TokenKeys> {
    let public = public_algorithms(algorithms);
    let chain = !token.certificate_root.is_empty();
    let unfit =
        |errors: &mut Errors, field: &str, why: &str| errors.add(format!("{at}.{field}"), why);
    if public.is_empty() {
        if token.public_key.is_some() || chain {
            unfit(
                errors,
                if chain {
                    "certificateRoot"
                } else {
                    "publicKey"
                },
                "is of no use with HS: what is public would be the secret",
            );
            return None;
        }
        return KeySpec::compile(token.key.as_ref(), &format!("{at}.key"), errors)
            .map(TokenKeys::Shared);
    }
    if token.key.is_some() {
        unfit(
            errors,
            "key",
            "is only for HS; a public key is under `publicKey`",
        );
        return None;
    }
    if !token.certificate_extension.is_empty() && !chain {
        unfit(
            errors,
            "certificateExtension",
            "is of use only with `certificateRoot`",
        );
    }
    if !chain {
        let at = format!("{at}.publicKey");
        return KeyPlace::compile(token.public_key.as_ref(), &public, &at, errors)
            .map(TokenKeys::Public);
    }
    if token.public_key.is_some() {
        unfit(
            errors,
            "publicKey",
            "can't go with `certificateRoot`; one of them is the key",
        );
    }
    let root = pem_certificate(&token.certificate_root).and_then(Root::read);
    let root = errors.take(format!("{at}.certificateRoot"), root);
    let extension = ObjectIdentifier::new(&token.certificate_extension).map_err(|_| {
        "must be an OID, as 1.2.840.113635.100.6.11.1: under a root others have certificates too, and it tells the provider's own"
            .to_owned()
    });
    let extension = errors.take(format!("{at}.certificateExtension"), extension);
    Some(TokenKeys::Chain {
        root: root?,
        extension: extension?,
    })
}

impl ClaimRule {
    fn compile(rule: &v1::ClaimRule, at: &str, errors: &mut Errors) -> Option<Self> {
        let claim = errors.take(
            format!("{at}.claim"),
            match rule.claim.as_str() {
                "" => Err("is missing; it is a pointer such as /iss".to_owned()),
                text => pointer(text),
            },
        );
        let equals = errors.template(&rule.equals, Use::Signed, &format!("{at}.equals"));
        let equals = equals?;
        let is_base64url = matches!(
            equals.parts.as_slice(),
            [Part::Filtered(filtered)] if filtered.filters.last() == Some(&Filter::Base64Url)
        );
        Some(Self {
            is_base64url,
            name: rule.claim.clone(),
            claim: claim?,
            equals,
            is_optional: rule.optional,
        })
    }
}

/// None where it is wrong; None inside where the payload is in the token.
fn detached(token: &v1::JsonWebToken, at: &str, errors: &mut Errors) -> Option<Option<Detached>> {
    if token.detached_payload.is_empty() {
        if token.detached_raw {
            errors.add(
                format!("{at}.detachedRaw"),
                "is of use only with `detachedPayload`",
            );
        }
        return Some(None);
    }
    let payload = errors.template(
        &token.detached_payload,
        Use::Signed,
        &format!("{at}.detachedPayload"),
    )?;
    for (field, is_there) in [
        ("claims", !token.claims.is_empty()),
        ("maxAgeSeconds", token.max_age_seconds > 0),
    ] {
        if is_there {
            errors.add(
                format!("{at}.{field}"),
                "is of no use with a detached payload, which has no claims",
            );
        }
    }
    Some(Some(Detached {
        payload,
        raw: token.detached_raw,
    }))
}
