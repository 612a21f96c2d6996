//! What a group's schemes and handshakes are checked and answered with: keys made of its secrets and parameters.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookplane_proto::v1;

use super::User;
use crate::Callback;
use crate::connector::{
    Errors, Function, KeyPlace, KeySpec, Proof, Scheme, Token, TokenKeys, TokenPlace,
};
use crate::group::KeyedScheme;
use crate::location::Location;
use crate::public::{Algorithm, PublicKey};
use crate::request::{Around, Decoding, Request};
use crate::verify::keys::{Key, Secret, fingerprint};

/// The group's parameter that is this scheme's key instead of the signature secrets.
pub(crate) fn key_parameter(scheme: &Scheme) -> Option<&str> {
    match &scheme.proof {
        Proof::Hmac(keyed) | Proof::Digest(keyed) => keyed.key.parameter.as_deref(),
        Proof::Jwt(token) => match &token.keys {
            TokenKeys::Shared(key) => key.parameter.as_deref(),
            _ => None,
        },
        Proof::PublicKey(_) | Proof::Token(_) | Proof::Basic { .. } | Proof::Unsigned => None,
    }
}

pub(super) fn keys(
    spec: &v1::WebhookGroupSpec,
    function: &Function,
    secrets: &[Secret],
    decoding: &Arc<Decoding>,
    serves: bool,
    errors: &mut Errors,
) -> Vec<KeyedScheme> {
    let parameters = &decoding.parameters;
    let schemes = &function.protocol.schemes;
    let signs = |scheme: &Scheme| !matches!(scheme.proof, Proof::Unsigned);
    let uses_secrets = |scheme: &Scheme| {
        signs(scheme) && key_parameter(scheme).is_none() && !scheme.has_own_keys()
    };
    if serves
        && schemes.iter().any(uses_secrets)
        && secrets.is_empty()
        && spec.signature_secrets.is_empty()
        && !spec.accept_unsigned
        && !spec.learn_secret
    {
        errors.add(
            "spec.signatureSecrets",
            "is empty, so that nothing could be proven genuine; add the provider's signature secret",
        );
    }
    if !schemes.iter().any(signs) && !spec.accept_unsigned {
        errors.add(
            "spec.acceptUnsigned",
            "must be true: the provider signs nothing, and the callback URL is then the only credential",
        );
    }
    if !schemes.iter().any(uses_secrets) && !secrets.is_empty() {
        errors.add(
            "spec.signatureSecrets",
            "is of no use here: the connector doesn't check any; leave it out",
        );
    }
    // A secret need not fit every scheme (a token isn't base64), but one that fits none is a mistake.
    let mut fits = vec![None; secrets.len()];
    let as_pasted = KeySpec::default();
    let mut all = Vec::new();
    for scheme in schemes {
        let mut keyed = KeyedScheme::default();
        let (rule, hmac) = match &scheme.proof {
            Proof::Hmac(hash) => (&hash.key, Some(hash.hash)),
            Proof::Digest(hash) => (&hash.key, None),
            Proof::Token(_) | Proof::Basic { .. } => (&as_pasted, None),
            Proof::Jwt(token) => match &token.keys {
                TokenKeys::Shared(key) => (key, None),
                TokenKeys::Public(keys) => {
                    check_url(keys, decoding, errors);
                    keyed.public =
                        public_keys(keys, &token.public_algorithms(), secrets, &mut fits);
                    all.push(keyed);
                    continue;
                }
                TokenKeys::Chain { .. } => {
                    all.push(keyed);
                    continue;
                }
            },
            Proof::PublicKey(signature) => {
                check_url(&signature.keys, decoding, errors);
                let algorithms = [signature.algorithm];
                keyed.public = public_keys(&signature.keys, &algorithms, secrets, &mut fits);
                all.push(keyed);
                continue;
            }
            Proof::Unsigned => {
                all.push(keyed);
                continue;
            }
        };
        let lacks = |name: &str| !parameters.contains_key(name);
        if !serves && rule.template_parameters().any(lacks) {
            all.push(keyed);
            continue;
        }
        for name in rule.template_parameters() {
            if lacks(name) {
                errors.add(
                    format!("spec.parameters.{name}"),
                    "is missing; it is part of the key that proves callbacks genuine",
                );
            }
        }
        if let Proof::Token(token) = &scheme.proof {
            keyed.token = named_token(token, parameters, errors);
        }
        if let Proof::Basic {
            user_parameter: Some(name),
        } = &scheme.proof
        {
            match parameters.get(name) {
                Some(user) => {
                    keyed.user = Some(Box::new(User {
                        fingerprint: fingerprint(user.as_bytes()),
                        name: user.clone(),
                    }));
                }
                None if !serves => {}
                None => errors.add(
                    format!("spec.parameters.{name}"),
                    "is missing; it is the user name that the provider sends",
                ),
            }
        }
        if let Some(name) = key_parameter(scheme) {
            let at = format!("spec.parameters.{name}");
            match parameters.get(name) {
                Some(value) => keyed
                    .keys
                    .extend(errors.take(at, Secret::new(name, value).key(rule, hmac, decoding))),
                None if spec.accept_unsigned || !serves => {}
                None => errors.add(
                    at,
                    "is missing; it is the key that proves callbacks genuine",
                ),
            }
        } else {
            for (secret, fits) in secrets.iter().zip(&mut fits) {
                match secret.key(rule, hmac, decoding) {
                    Ok(key) => {
                        keyed.keys.push(key);
                        *fits = Some(Ok(()));
                    }
                    Err(problem) => {
                        fits.get_or_insert(Err(problem));
                    }
                }
            }
        }
        keyed.keys.shrink_to_fit();
        all.push(keyed);
    }
    // There are many groups, and a key is large.
    all.shrink_to_fit();
    for (index, fits) in fits.into_iter().enumerate() {
        if let Some(Err(problem)) = fits {
            errors.add(format!("spec.signatureSecrets[{index}].value"), problem);
        }
    }
    all
}

/// A URL of the group's parameters alone is known now, and so is what is wrong with it.
fn check_url(keys: &KeyPlace, decoding: &Arc<Decoding>, errors: &mut Errors) {
    let KeyPlace::Remote(remote) = keys else {
        return;
    };
    if remote.is_sender_named {
        return;
    }
    // It reads nothing of a request, so that any will do.
    let request = Request::new(Callback::default(), Arc::clone(decoding));
    if let Err(refusal) = remote.source(&request, Around::default()) {
        errors.add("spec.parameters", refusal.reason);
    }
}

/// What handshakes may be answered with: a MAC under each secret that fits, or under the parameter that is the key.
pub(super) fn handshake_keys(
    function: &Function,
    secrets: &[Secret],
    decoding: &Arc<Decoding>,
    errors: &mut Errors,
) -> Vec<Vec<Key>> {
    let handshakes = function.protocol.handshakes.iter();
    let keys = handshakes.map(|handshake| {
        let hashed = handshake.hashed.as_ref();
        let Some((hash, rule)) =
            hashed.and_then(|hashed| Some((hashed.hash, hashed.key.as_ref()?)))
        else {
            return Vec::new();
        };
        let key = |secret: &Secret| secret.key(rule, Some(hash), decoding);
        match &rule.parameter {
            None => secrets
                .iter()
                .filter_map(|secret| key(secret).ok())
                .collect(),
            Some(name) => {
                let value = decoding.parameters.get(name);
                let made = value.map(|value| key(&Secret::new(name, value)));
                let at = format!("spec.parameters.{name}");
                made.and_then(|made| errors.take(at, made))
                    .into_iter()
                    .collect()
            }
        }
    });
    keys.collect()
}

/// Those that the secrets hold, each under its name.
fn public_keys(
    place: &KeyPlace,
    algorithms: &[Algorithm],
    secrets: &[Secret],
    fits: &mut [Option<Result<(), String>>],
) -> Box<[PublicKey]> {
    let KeyPlace::Pasted(format) = place else {
        return Box::default();
    };
    let mut all = Vec::new();
    for (secret, fits) in secrets.iter().zip(fits) {
        match secret.public_keys(*format, algorithms) {
            Ok(keys) => {
                all.extend(keys);
                *fits = Some(Ok(()));
            }
            Err(problem) => {
                fits.get_or_insert(Err(problem));
            }
        }
    }
    all.into()
}

/// Where the token is in this group, if the group says so.
fn named_token(
    token: &Token,
    parameters: &BTreeMap<String, String>,
    errors: &mut Errors,
) -> Option<Location> {
    let name = token.name_parameter.as_ref()?;
    let (TokenPlace::At(location), Some(value)) = (&token.place, parameters.get(name)) else {
        return None;
    };
    errors.take(format!("spec.parameters.{name}"), location.named(value))
}
