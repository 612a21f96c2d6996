//! Templates: what is signed, compared or answered, as connector files write it, parsed.
//!
//! ```text
//!  id:{header:X-Id}[[;q:{query|lower}]];{body|sha256|hex}
//!     └─ location ┘└── optional ─────┘  └─ part|filters ─┘
//! ```
//!
//! Parsed once, when a connector is compiled. What a template may hold depends on what it is for: [`Use`].

mod filter;
mod parse;
mod render;
#[cfg(test)]
mod tests;

use crate::canonical::Canonical;
use crate::location::{Location, Step};

pub(crate) use filter::Filter;

/// What a template is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// What is signed, or what must be equal.
    Signed,
    /// A key's text: of nothing that a sender writes.
    Key,
    /// What a challenge is hashed with.
    Challenge,
    /// What a handshake is answered. Never the secret.
    Reply,
    /// Any other text made of a request, such as an answer or a URL. Never the secret.
    Text,
}

/// One piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Body,
    Timestamp,
    Secret,
    UrlWithoutQuery,
    /// The URL with the query's harmless escapes undone.
    UrlUnescaped,
    Path,
    PathAndQuery,
    /// The raw query.
    RawQuery,
    SortedFormParams,
    /// A handshake's challenge.
    Challenge,
    /// The challenge's MAC or digest.
    Mac,
    /// A provider's own form of the request.
    Canonical(Canonical),
    At(Location),
    /// Empty where there is nothing.
    IfThere(Location),
    Filtered(Box<Filtered>),
    /// Left out where one of its placeholders has no value.
    Optional(Vec<Part>),
}

/// A part, and what is done with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filtered {
    pub(crate) part: Part,
    /// One or more.
    pub(crate) filters: Vec<Filter>,
}

/// What is signed, or what must be equal, or what is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) parts: Vec<Part>,
}

impl Template {
    /// Reads one, or says at which placeholder it is wrong.
    pub(crate) fn parse(text: &str, purpose: Use) -> Result<Self, String> {
        parse::template(text, purpose)
    }

    /// True when it has this part, filtered or not.
    pub(crate) fn has(&self, part: &Part) -> bool {
        self.any(&|one| one == part)
    }

    /// True when this is true of one of its parts; of a filtered one the part under the filters is asked.
    pub(crate) fn any(&self, test: &dyn Fn(&Part) -> bool) -> bool {
        any(&self.parts, test)
    }

    /// Every part that stands for a value: within optional ones and under filters too.
    pub(crate) fn for_each<'a>(&'a self, see: &mut dyn FnMut(&'a Part)) {
        for_each(&self.parts, see);
    }

    /// True when it holds the URL in any form, so that the group's public URL must be known.
    pub(crate) fn is_url_bound(&self) -> bool {
        self.any(&|part| match part {
            Part::UrlWithoutQuery | Part::UrlUnescaped | Part::Path | Part::PathAndQuery => true,
            Part::Canonical(form) => form.covered().url,
            Part::At(location) | Part::IfThere(location) => *location.base() == Location::Url,
            _ => false,
        })
    }

    /// True when the secret itself is in it.
    pub(crate) fn holds_secret(&self) -> bool {
        self.any(&|part| match part {
            Part::Secret => true,
            Part::Canonical(form) => form.holds_secret(),
            _ => false,
        })
    }

    /// The locations that it reads.
    pub(crate) fn locations(&self) -> Vec<&Location> {
        let mut all = Vec::new();
        for_each(&self.parts, &mut |part| {
            if let Part::At(location) | Part::IfThere(location) = part {
                all.push(location);
            }
        });
        all
    }

    /// The locations that must have a value.
    pub(crate) fn required(&self) -> Vec<&Location> {
        let bare = self.parts.iter().map(|part| match part {
            Part::Filtered(filtered) => &filtered.part,
            part => part,
        });
        bare.filter_map(|part| match part {
            Part::At(location) => Some(location),
            _ => None,
        })
        .collect()
    }

    /// The characters that are literally in all that it makes.
    pub(crate) fn literals(&self) -> impl Iterator<Item = char> + '_ {
        self.parts.iter().flat_map(|part| match part {
            Part::Text(text) => text.chars(),
            _ => "".chars(),
        })
    }
}

impl Filtered {
    /// True when a change of the part always changes what comes out, as far as its hashes can promise that.
    pub(crate) fn keeps_all(&self) -> bool {
        keep_all(&self.filters)
    }

    /// The location whose value can't change unnoticed, where case alone is lost.
    pub(crate) fn lowered(&self) -> Option<Location> {
        match (&self.part, self.filters.split_first()) {
            (Part::At(location) | Part::IfThere(location), Some((Filter::Lower, rest)))
                if keep_all(rest) =>
            {
                Some(location.clone().stepped(vec![Step::Lower]))
            }
            _ => None,
        }
    }
}

fn keep_all(filters: &[Filter]) -> bool {
    let mut is_hex = false;
    filters.iter().all(|filter| {
        let keeps = match filter {
            // Its values are so few that another body of the same is soon found.
            Filter::Crc32 => false,
            // Hex means the same in either case, and nothing else does.
            Filter::Lower | Filter::Upper => is_hex,
            _ => true,
        };
        is_hex = match filter {
            Filter::Lower | Filter::Upper => is_hex,
            filter => *filter == Filter::Hex,
        };
        keeps
    })
}

fn any(parts: &[Part], test: &dyn Fn(&Part) -> bool) -> bool {
    let mut found = false;
    for_each(parts, &mut |part| found |= test(part));
    found
}

/// Every part that stands for a value: within optional ones and under filters too.
fn for_each<'a>(parts: &'a [Part], see: &mut dyn FnMut(&'a Part)) {
    for part in parts {
        match part {
            Part::Optional(inner) => for_each(inner, see),
            Part::Filtered(filtered) => see(&filtered.part),
            part => see(part),
        }
    }
}
