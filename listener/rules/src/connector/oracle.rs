//! Risk 35, the half that can be told beforehand: what a handshake signs for whoever asks must be no signed content of a callback's.

use super::Errors;
use super::handshake::Challenge;
use super::scheme::{HashKind, Proof, Scheme};
use crate::location::Location;
use crate::template::{Part, Template};

/// What an HMAC for a challenge may be over, so that a callback whose signed content is such proves nothing.
#[derive(Debug, Clone)]
pub(crate) struct Mimicked {
    pub(crate) handshake: String,
    pub(super) hash: HashKind,
    pub(super) parameter: Option<String>,
    pub(super) before: String,
    pub(super) shape: Challenge,
    pub(super) after: String,
}

impl Mimicked {
    /// True when this signed content could have been hashed for a challenge, under the same key.
    pub(crate) fn could_be(&self, content: &[u8]) -> bool {
        let middle = content
            .strip_prefix(self.before.as_bytes())
            .and_then(|rest| rest.strip_suffix(self.after.as_bytes()));
        middle
            .and_then(|middle| std::str::from_utf8(middle).ok())
            .is_some_and(|middle| self.shape.fits(middle))
    }

    /// The first of these characters, none of them a letter or digit, that what is hashed may hold.
    fn may_hold(&self, separators: &str) -> Option<char> {
        let fixed = self.before.chars().chain(self.after.chars());
        let mut all = self.shape.also.chars().chain(fixed);
        all.find(|c| separators.contains(*c))
    }

    /// The longest content that it is about, in bytes.
    pub(crate) fn max_bytes(&self) -> usize {
        self.before.len() + self.shape.max_length + self.after.len()
    }

    /// Whether this scheme's keys are those that challenges are hashed with.
    pub(crate) fn concerns(&self, scheme: &Scheme) -> bool {
        match &scheme.proof {
            Proof::Hmac(keyed) => keyed.hash == self.hash && keyed.key.parameter == self.parameter,
            _ => false,
        }
    }
}

/// Refuses a shape that could hold a signed content of a scheme under the same secret.
pub(super) fn refuse_oracle(
    mimicked: &Mimicked,
    schemes: &[Scheme],
    at: &str,
    errors: &mut Errors,
) {
    for scheme in schemes {
        match &scheme.proof {
            Proof::Hmac(keyed) if mimicked.concerns(scheme) => {
                for content in keyed.contents() {
                    refuse_alike(mimicked, content, &scheme.name, at, errors);
                }
            }
            // What a token signs has a dot in it.
            Proof::Jwt(token)
                if token
                    .shared_key()
                    .is_some_and(|key| key.parameter == mimicked.parameter)
                    && mimicked.may_hold(".").is_some() =>
            {
                errors.add(
                    at,
                    format!(
                        "may not hold `.`: the tokens of scheme `{}` have it, so a caller could have one of his own signed",
                        scheme.name
                    ),
                );
            }
            _ => {}
        }
    }
}

fn refuse_alike(
    mimicked: &Mimicked,
    content: &Template,
    scheme: &str,
    at: &str,
    errors: &mut Errors,
) {
    let mut separators: String = content
        .literals()
        .filter(|c| !c.is_ascii_alphanumeric())
        .collect();
    let has_structure = |part: &Part| match part {
        Part::Body | Part::RawQuery => true,
        Part::At(location) => matches!(location, Location::Form(_)),
        _ => false,
    };
    if separators.is_empty() && !content.parts.iter().any(has_structure) {
        // Hashes, names and numbers: any challenge could be one of them.
        errors.add(
            at,
            format!(
                "can't be told from the signed content of scheme `{scheme}`, which may be letters and digits alone, so a caller could have a callback of his own signed"
            ),
        );
        return;
    }
    if separators.is_empty() {
        // Then a challenge must not be able to look like a body: no form, no string, no structure. What is a number, or a word, is
        // refused as a callback.
        separators.push_str("=&\"{[");
    }
    if let Some(bad) = mimicked.may_hold(&separators) {
        errors.add(
            at,
            format!(
                "may not hold `{}`: the signed content of scheme `{scheme}` has it, so a caller could have a callback of his own signed",
                bad.escape_default(),
            ),
        );
    }
}
