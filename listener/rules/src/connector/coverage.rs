//! What a signature covers, told from what is signed.

use super::WebToken;
use super::scheme::{Proof, Scheme};
use crate::canonical::Canonical;
use crate::location::{Location, Step};
use crate::template::{Part, Template};

/// The parts of a request that the signature proves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coverage {
    pub(crate) body: bool,
    /// Values are signed that nothing tells where they end: proven together, and none by itself.
    is_loose: bool,
    form: bool,
    query: bool,
    url: bool,
    method: bool,
    /// What the token says, in its header and its claims.
    token: bool,
    /// The payload is the token's claims, and they are proven.
    claims: bool,
    locations: Vec<Location>,
    /// What a form or a query leaves out of itself.
    but_not: Vec<Location>,
    /// Where the JSON is that locations read, if it isn't the body.
    payload: Option<Location>,
}

impl Coverage {
    /// The same, where locations in JSON are read in this field of a form.
    pub(crate) fn with_payload_in(&self, field: &str) -> Self {
        Self {
            payload: Some(Location::Form(field.to_owned())),
            ..self.clone()
        }
    }

    /// What this scheme's signature and its further equalities prove.
    pub(crate) fn of(scheme: &Scheme) -> Self {
        let contents: Vec<&Template> = match &scheme.proof {
            Proof::Hmac(keyed) | Proof::Digest(keyed) => keyed.contents().collect(),
            Proof::PublicKey(signature) => signature.contents().collect(),
            Proof::Jwt(token) => return Self::of_token(token, scheme),
            // A token proves who speaks, and nothing of what is said.
            Proof::Token(_) | Proof::Basic { .. } | Proof::Unsigned => return Self::default(),
        };
        let coverage = contents
            .into_iter()
            .map(|content| Self::of_content(content, scheme))
            .reduce(|one, other| one.and(&other))
            .unwrap_or_default();
        coverage.with_equalities(scheme)
    }

    /// A JSON Web Token proves what it says, and of the rest of the request what it must say the same of.
    fn of_token(token: &WebToken, scheme: &Scheme) -> Self {
        let mut coverage = Self {
            token: true,
            body: token.place == Location::Body,
            ..Self::default()
        };
        for template in token.proven() {
            let content = Self::of_content(template, scheme);
            coverage = coverage.or(content);
        }
        coverage.with_equalities(scheme)
    }

    fn with_equalities(self, scheme: &Scheme) -> Self {
        let mut coverage = self;
        // In order: an equality with a proven value proves what it is compared with.
        for (location, template) in &scheme.also {
            if coverage.covers(location) {
                coverage.add(&template.parts);
            }
        }
        coverage
    }

    fn or(mut self, other: Self) -> Self {
        self.body |= other.body;
        self.form |= other.form;
        self.query |= other.query;
        self.url |= other.url;
        self.method |= other.method;
        self.locations.extend(other.locations);
        self.but_not.extend(other.but_not);
        self
    }

    fn of_content(content: &Template, scheme: &Scheme) -> Self {
        let mut coverage = Self::default();
        coverage.add(&content.parts);
        if content.has(&Part::Timestamp)
            && let Some(time) = &scheme.timestamp
        {
            coverage.locations.push(time.location.clone());
        }
        coverage
    }

    /// What both prove: of contents where one is enough, the sender chooses which.
    fn and(&self, other: &Self) -> Self {
        let both = |part: fn(&Self) -> bool| part(self) && part(other);
        let locations = self.locations.iter().chain(&other.locations);
        let mut common: Vec<Location> = Vec::new();
        for location in locations {
            if self.covers(location) && other.covers(location) && !common.contains(location) {
                common.push(location.clone());
            }
        }
        Self {
            body: both(|one| one.body),
            form: both(|one| one.body || one.form),
            query: both(|one| one.query),
            url: both(|one| one.url),
            method: both(|one| one.method),
            token: both(|one| one.token),
            is_loose: both(|one| one.is_loose),
            claims: both(|one| one.claims),
            locations: common,
            but_not: [self.but_not.as_slice(), &other.but_not].concat(),
            payload: None,
        }
    }

    fn add(&mut self, parts: &[Part]) {
        for (index, part) in parts.iter().enumerate() {
            // What ends one value begins the next: characters could be moved from one to the other under the same signature.
            let is_beside = |other: Option<&Part>| other.is_some_and(has_no_form);
            let before = index.checked_sub(1).and_then(|at| parts.get(at));
            if has_no_form(part) && (is_beside(before) || is_beside(parts.get(index + 1))) {
                self.is_loose = true;
                continue;
            }
            match part {
                Part::Body => self.body = true,
                Part::SortedFormParams => self.form = true,
                Part::UrlWithoutQuery | Part::Path => self.url = true,
                Part::PathAndQuery | Part::UrlUnescaped => {
                    self.url = true;
                    self.query = true;
                }
                Part::RawQuery => self.query = true,
                Part::Canonical(form) => self.add_form(form),
                Part::At(location) | Part::IfThere(location) => match location {
                    Location::Url => {
                        self.url = true;
                        self.query = true;
                    }
                    Location::Method => self.method = true,
                    location => self.locations.push(location.clone()),
                },
                Part::Filtered(filtered) if filtered.keeps_all() => {
                    self.add(std::slice::from_ref(&filtered.part));
                }
                Part::Filtered(filtered) => match filtered.lowered() {
                    // The methods that are taken are all in upper case.
                    Some(location) if *location.base() == Location::Method => self.method = true,
                    lowered => self.locations.extend(lowered),
                },
                // Where it is left out, what it would have held can't be put in without changing what is signed. Of several values any may be put
                // in as long as another is missing.
                Part::Optional(parts) => {
                    let values = parts.iter().filter(|part| !matches!(part, Part::Text(_)));
                    if values.count() == 1 {
                        self.add(parts);
                    }
                }
                Part::Text(_) | Part::Timestamp | Part::Secret | Part::Challenge | Part::Mac => {}
            }
        }
    }

    /// The same where the payload is what the token says.
    pub(super) fn with_token_as_payload(&self) -> Self {
        Self {
            claims: self.token,
            ..self.clone()
        }
    }

    fn add_form(&mut self, form: &Canonical) {
        let covered = form.covered();
        self.body |= covered.body;
        self.form |= covered.form;
        self.query |= covered.query;
        self.url |= covered.url;
        self.method |= covered.method;
        self.locations.extend(covered.locations);
        self.but_not.extend(covered.but_not);
    }

    /// True when the value at this location can't be changed without breaking the signature.
    pub(crate) fn covers(&self, location: &Location) -> bool {
        let is_listed = || self.locations.contains(location);
        let is_within = || !self.but_not.contains(location);
        match location {
            Location::Fixed(_) | Location::Param(_) => true,
            Location::Method => self.method,
            Location::Url => self.url && self.query,
            Location::Query(_) => (self.query && is_within()) || is_listed(),
            Location::Form(_) => self.body || (self.form && is_within()) || is_listed(),
            Location::Json(at) | Location::Raw(at) => {
                self.covers_json() || is_listed() || self.covers_within(at)
            }
            Location::Item(_) | Location::Parent(_) | Location::Key => {
                self.covers_json() || is_listed()
            }
            Location::Header(_) | Location::Sig(_) => is_listed(),
            Location::Jwt(_) | Location::Jws(_) => self.token,
            Location::Body => self.body,
            Location::Stepped(stepped) => {
                self.covers(&stepped.base)
                    || is_listed()
                    || self.covers_longer(&stepped.base, &stepped.steps)
            }
        }
    }

    /// True when all of the JSON that locations read is covered.
    fn covers_json(&self) -> bool {
        self.body || self.claims || self.payload.as_ref().is_some_and(|at| self.covers(at))
    }

    /// True when the JSON text of a value at or above this pointer is covered.
    fn covers_within(&self, at: &[String]) -> bool {
        self.locations
            .iter()
            .any(|location| matches!(location, Location::Raw(above) if at.starts_with(above)))
    }

    /// True when what the first steps lead to is covered: the others only read on from there.
    fn covers_longer(&self, base: &Location, steps: &[Step]) -> bool {
        self.locations.iter().any(|location| {
            matches!(location, Location::Stepped(known) if known.base == *base && steps.starts_with(&known.steps))
        })
    }

    /// Single values that are proven.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &Location> {
        self.locations.iter()
    }

    /// True when nothing of the request is proven.
    pub(crate) fn is_empty(&self) -> bool {
        !(self.body || self.form || self.query || self.url || self.method || self.is_loose)
            && self
                .locations
                .iter()
                .all(|location| matches!(location.base(), Location::Param(_)))
    }

    /// Reads what a definition states to be covered: `body`, or a location. Says what isn't so.
    pub(crate) fn check(&self, stated: &str) -> Result<(), String> {
        let holds = match stated {
            "body" => self.body || self.form,
            _ => self.covers(&Location::parse(stated)?),
        };
        if holds {
            Ok(())
        } else {
            Err(format!("`{stated}` is not covered by what is signed"))
        }
    }
}

/// True for a value that may be any text, so that nothing tells where it ends.
fn has_no_form(part: &Part) -> bool {
    match part {
        Part::At(location) | Part::IfThere(location) => {
            !matches!(location, Location::Url | Location::Method)
        }
        _ => false,
    }
}
