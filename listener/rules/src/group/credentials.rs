//! What must not be handed on with an event: credentials in headers and query.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};

use crate::connector::{Function, Proof, Scheme, TokenPlace};
use crate::location::Location;
use crate::verify::keys::Secret;

/// The control plane's mark on a request that it signed as a test.
pub(crate) const TEST_HEADER: &str = "hookplane-test";

/// A secret this long is also looked for inside values; a shorter one would be found by chance.
const MIN_EMBEDDED_BYTES: usize = 8;

/// This group's credentials, and where they are.
pub(crate) struct Credentials {
    function: Arc<Function>,
    /// Those that the group names.
    named: Box<[Location]>,
    /// As pasted: the signature secrets, then the secret parameters.
    secrets: Box<[Secret]>,
}

/// Where the credentials of a function's callbacks are.
#[derive(Debug)]
pub(crate) struct Places {
    headers: Vec<String>,
    queries: Vec<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("places", &self.function.protocol.credentials)
            .finish_non_exhaustive()
    }
}

impl Places {
    pub(crate) fn of(schemes: &[Scheme]) -> Self {
        let mut headers: Vec<String> = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION]
            .iter()
            .map(|name| name.as_str().to_owned())
            .collect();
        headers.push(TEST_HEADER.to_owned());
        let mut queries = Vec::new();
        let mut add = |location: &Location| match location.base() {
            Location::Header(name) => headers.push(name.as_str().to_owned()),
            Location::Query(name) => queries.push(name.clone()),
            _ => {}
        };
        for scheme in schemes {
            match &scheme.proof {
                Proof::Hmac(keyed) | Proof::Digest(keyed) => {
                    keyed.carrier.locations().for_each(&mut add);
                }
                Proof::Token(token) => {
                    if let TokenPlace::At(location) = &token.place {
                        add(location);
                    }
                }
                Proof::PublicKey(signature) => signature.carrier.locations().for_each(&mut add),
                Proof::Jwt(token) => add(&token.place),
                Proof::Basic { .. } | Proof::Unsigned => {}
            }
        }
        Self { headers, queries }
    }
}

impl Credentials {
    pub(super) fn new(
        function: &Arc<Function>,
        named: impl Iterator<Item = Location>,
        secrets: Vec<Secret>,
        parameters: impl Iterator<Item = Secret>,
    ) -> Self {
        Self {
            function: Arc::clone(function),
            named: named.collect(),
            secrets: secrets.into_iter().chain(parameters).collect(),
        }
    }

    fn places(&self) -> &Places {
        &self.function.protocol.credentials
    }

    fn is_header(&self, name: &str) -> bool {
        let is_named =
            |one: &Location| matches!(one, Location::Header(header) if header.as_str() == name);
        self.places().headers.iter().any(|one| one == name) || self.named.iter().any(is_named)
    }

    fn is_query(&self, name: &str) -> bool {
        let is_named = |one: &Location| matches!(one, Location::Query(query) if query == name);
        self.places().queries.iter().any(|one| one == name) || self.named.iter().any(is_named)
    }

    fn is_secret(&self, value: &str) -> bool {
        self.secrets.iter().map(Secret::text).any(|secret| {
            value == secret || (secret.len() >= MIN_EMBEDDED_BYTES && value.contains(secret))
        })
    }

    /// As pasted: the signature secrets, then the secret parameters.
    pub(crate) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// The headers that are handed on: lower-case names, what came several times joined by a comma.
    pub(crate) fn clean_headers(&self, headers: &HeaderMap) -> BTreeMap<String, String> {
        let mut clean: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in headers {
            let name = name.as_str();
            let value = String::from_utf8_lossy(value.as_bytes());
            if self.is_header(name) || self.is_secret(&value) {
                continue;
            }
            match clean.get_mut(name) {
                Some(before) => {
                    before.push_str(", ");
                    before.push_str(&value);
                }
                None => {
                    clean.insert(name.to_owned(), value.into_owned());
                }
            }
        }
        clean
    }

    /// The query that is handed on: as it came, without the pairs that are credentials.
    pub(crate) fn clean_query(&self, query: String) -> String {
        let keep = |pair: &&str| {
            form_urlencoded::parse(pair.as_bytes())
                .all(|(name, value)| !self.is_query(&name) && !self.is_secret(&value))
        };
        if query.split('&').all(|pair| keep(&pair)) {
            return query;
        }
        query.split('&').filter(keep).collect::<Vec<_>>().join("&")
    }
}
