//! Whether it was meant for another scheme or function of the connector.

use std::borrow::Cow;
use std::sync::Arc;

use super::trial::{Altered, Patient, Trials};
use super::{Cause, Diagnosis, secret};
use crate::Group;
use crate::connector::{Function, KeyPlace, Proof, Scheme, TokenKeys};
use crate::group::KeyedScheme;
use crate::payload::Reading;
use crate::request::{Decoding, Request};
use crate::verify::carried;

/// `patient` is before any of the group's schemes; that one isn't tried again.
pub(super) fn examine(
    patient: Patient<'_>,
    request: &Request,
    trials: &mut Trials<'_>,
) -> Option<Diagnosis> {
    let group = patient.group;
    let own = &*group.function;
    let others = group.connector().functions().map(|one| &**one);
    let others = others.filter(|one| one.name != own.name);
    for function in std::iter::once(own).chain(others) {
        let is_own = function.name == own.name;
        let decoding = match is_own {
            true => Arc::clone(&group.decoding),
            false => decoding(group, function),
        };
        for (index, scheme) in function.protocol.schemes.iter().enumerate() {
            if std::ptr::eq(scheme, patient.scheme) || matches!(scheme.proof, Proof::Unsigned) {
                continue;
            }
            let keyed = match group.keyed.get(index).filter(|_| is_own) {
                Some(keyed) => Cow::Borrowed(keyed),
                None => Cow::Owned(keyed(group, scheme, &decoding)),
            };
            if carried(scheme, &keyed, request).is_none() {
                continue;
            }
            let urls = [group.callback_url.to_string()];
            let altered = Altered {
                scheme: Some(scheme),
                keyed: Some(&keyed),
                urls: scheme.is_url_bound().then_some(urls.as_slice()),
                decoding: Some(Arc::clone(&decoding)),
                ..Altered::default()
            };
            if trials.fits(patient, altered).is_some() {
                return Some(advice(group, function, scheme));
            }
        }
    }
    None
}

fn advice(group: &Group, function: &Function, scheme: &Scheme) -> Diagnosis {
    if function.name == group.function.name {
        return Diagnosis::new(
            Cause::AnotherScheme,
            format!(
                "it verifies under scheme `{}` of this function, which is not the one that a request like this must use: something removed \
                 or added a header, or the provider is set to another version",
                scheme.name
            ),
        );
    }
    Diagnosis::new(
        Cause::AnotherFunction,
        format!(
            "it verifies as function `{}` of connector `{}`, and the group is of `{}`: make a group of that function, and give its URL to the \
             provider there",
            function.name,
            group.connector().name,
            group.function.name
        ),
    )
}

/// How another function reads bodies.
fn decoding(group: &Group, function: &Function) -> Arc<Decoding> {
    Arc::new(Decoding {
        reading: Reading {
            format: function.protocol.body,
            payload: function.protocol.extraction.payload.clone(),
            signs_unpacked: function.protocol.signs_unpacked_body,
            max_bytes: group.decoding.reading.max_bytes,
        },
        parameters: group.decoding.parameters.clone(),
    })
}

/// The group's secrets as this scheme's keys.
fn keyed(group: &Group, scheme: &Scheme, decoding: &Arc<Decoding>) -> KeyedScheme {
    let secrets = secret::pasted(group, scheme);
    let keys = match secret::rule(scheme) {
        Some(rule) => secret::keys(scheme, &rule, &secrets, decoding),
        None => Vec::new(),
    };
    let public = match &scheme.proof {
        Proof::PublicKey(signature) => Some((&signature.keys, vec![signature.algorithm])),
        Proof::Jwt(token) => match &token.keys {
            TokenKeys::Public(keys) => Some((keys, token.public_algorithms())),
            TokenKeys::Shared(_) | TokenKeys::Chain { .. } => None,
        },
        _ => None,
    };
    let public = match public {
        Some((KeyPlace::Pasted(format), algorithms)) => secrets
            .iter()
            .filter_map(|one| one.public_keys(*format, &algorithms).ok())
            .flatten()
            .collect(),
        _ => Box::default(),
    };
    KeyedScheme {
        keys,
        public,
        ..KeyedScheme::default()
    }
}
