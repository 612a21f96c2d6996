//! What a signature covers, told from what is signed.

use super::scheme::{Proof, Scheme};
use crate::location::{Location, Part, Template};

/// The parts of a request that the signature proves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coverage {
    pub(crate) body: bool,
    form: bool,
    query: bool,
    url: bool,
    method: bool,
    locations: Vec<Location>,
}

impl Coverage {
    /// What this scheme's signature and its further equalities prove.
    pub(crate) fn of(scheme: &Scheme) -> Self {
        let mut coverage = Self::default();
        let (Proof::Hmac(keyed) | Proof::Digest(keyed)) = &scheme.proof else {
            // A token proves who speaks, and nothing of what is said.
            return coverage;
        };
        coverage.add(&keyed.content);
        if keyed.content.has(&Part::Timestamp)
            && let Some(time) = &scheme.timestamp
        {
            coverage.locations.push(time.location.clone());
        }
        // In order: an equality with a proven value proves what it is compared with.
        for (location, template) in &scheme.also {
            if coverage.covers(location) {
                coverage.add(template);
            }
        }
        coverage
    }

    fn add(&mut self, template: &Template) {
        for part in &template.parts {
            match part {
                Part::Body | Part::Sha256HexBody => self.body = true,
                Part::SortedFormParams => self.form = true,
                Part::UrlWithoutQuery | Part::Path => self.url = true,
                Part::PathAndQuery | Part::UrlUnescaped => {
                    self.url = true;
                    self.query = true;
                }
                Part::RawQuery => self.query = true,
                Part::At(Location::Url) => {
                    self.url = true;
                    self.query = true;
                }
                Part::At(Location::Method) => self.method = true,
                Part::At(location) => self.locations.push(location.clone()),
                Part::Text(_) | Part::Timestamp | Part::Secret => {}
            }
        }
    }

    /// True when the value at this location can't be changed without breaking the signature.
    pub(crate) fn covers(&self, location: &Location) -> bool {
        match location {
            Location::Fixed(_) => true,
            Location::Method => self.method,
            Location::Url => self.url && self.query,
            Location::Query(_) => self.query || self.locations.contains(location),
            Location::Form(_) | Location::FormJson(..) => {
                self.body || self.form || self.locations.contains(location)
            }
            Location::Json(_) | Location::Item(_) => self.body || self.locations.contains(location),
            Location::Header(_) | Location::Sig(_) => self.locations.contains(location),
        }
    }

    /// True when nothing of the request is proven.
    pub(crate) fn is_empty(&self) -> bool {
        !(self.body || self.form || self.query || self.url || self.method)
            && self.locations.is_empty()
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
