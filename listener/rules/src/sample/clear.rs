//! What a sample shows of its group's secrets. Who may have one signed may not see them: what is told here as shown is not handed out by whoever
//! keeps them, and made by whoever brings a secret of their own.
//!
//! A token and a password are secrets that are posted as they are; so may a secret parameter be, where a definition writes one into a request. Nothing else of a sample holds a secret but what a hash was made with.

use crate::Group;
use crate::connector::{Handshake, Proof, Scheme, TokenPlace};
use crate::location::Location;
use crate::template::{Part, Template};

const CREDENTIAL: &str = "the provider posts the secret itself, and the group's is told to nobody; \
     with your own copy of it `hookplane send --secret-file FILE` makes the same";

/// Of what this scheme signs with the group's own keys.
pub(super) fn signed(group: &Group, scheme: &Scheme) -> Option<String> {
    let is_open = group.accept_unsigned && !group.has_secret;
    match &scheme.proof {
        Proof::Token(_) | Proof::Basic { .. } if !is_open => Some(CREDENTIAL.to_owned()),
        _ => besides(group, scheme),
    }
}

/// Of what this scheme signs with any key: what the group says besides.
pub(super) fn besides(group: &Group, scheme: &Scheme) -> Option<String> {
    let also = scheme.also.iter().map(|(_, template)| template);
    let shown = first_secret(group, also);
    match &scheme.proof {
        Proof::Jwt(token) => {
            shown.or_else(|| first_secret(group, token.claims.iter().map(|one| &one.equals)))
        }
        Proof::Token(token) => shown.or_else(|| {
            let name = match token.place {
                TokenPlace::At(_) => token.name_parameter.as_deref(),
                TokenPlace::Everywhere(_) => None,
            };
            name.and_then(|name| secret(group, name))
        }),
        Proof::Basic { user_parameter } => shown.or_else(|| {
            let name = user_parameter.as_deref();
            name.and_then(|name| secret(group, name))
        }),
        _ => shown,
    }
}

/// Of a handshake. What it is answered holds no secret, else the definition would not compile.
pub(super) fn handshake(group: &Group, shake: &Handshake) -> Option<String> {
    first_secret(group, shake.require.iter().map(|(_, template)| template))
}

/// The first secret parameter that one of these writes.
fn first_secret<'a>(
    group: &Group,
    mut templates: impl Iterator<Item = &'a Template>,
) -> Option<String> {
    let of_part = |part: &Part| match part {
        Part::At(location) | Part::IfThere(location) => match location.base() {
            Location::Param(name) => secret(group, name),
            _ => None,
        },
        _ => None,
    };
    templates.find_map(|template| {
        let mut found = None;
        template.for_each(&mut |part| found = found.take().or_else(|| of_part(part)));
        found
    })
}

fn secret(group: &Group, name: &str) -> Option<String> {
    let parameters = &group.connector().parameters;
    let is_secret = parameters.iter().any(|one| one.secret && one.name == *name);
    is_secret.then(|| {
        format!("the group's parameter `{name}` stands in it as it is, and that is a secret, which is told to nobody")
    })
}
