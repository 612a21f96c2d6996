//! From a group as stored, its secrets opened, to one that serves. Fails closed: a secret may be lacking only where it doesn't serve.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hookplane_proto::v1;

use super::{Credentials, Group, KeyedScheme, User, Webhook};
use crate::connector::{
    Errors, Function, KeyPlace, KeySpec, Proof, Scheme, Token, TokenKeys, TokenPlace, check_limit,
    event_name_problem, is_name, not_a_name,
};
use crate::location::Location;
use crate::payload::Reading;
use crate::public::{Algorithm, PublicKey};
use crate::redact::Redaction;
use crate::request::{Around, Decoding, Request};
use crate::verify::keys::{Key, Secret, fingerprint};
use crate::verify::url;
use crate::{Callback, Connector, FieldError};

const MAX_SECRETS: usize = 8;
/// The name under which a secret is kept that the provider handed over.
const LEARNED: &str = "learned";
/// The longest secret or parameter, in bytes.
const MAX_VALUE_BYTES: usize = 8_192;
const MAX_REGISTERED: usize = 1_000;
/// The longest display name or external id, in bytes.
const MAX_TEXT_BYTES: usize = 256;
/// The widest window in which resends are recognised, in days.
const MOST_DEDUP_DAYS: u32 = 90;

pub(super) fn compile(
    group: &v1::WebhookGroup,
    connector: &Arc<Connector>,
    webhooks: Vec<Arc<Webhook>>,
    serves: bool,
) -> Result<Group, Vec<FieldError>> {
    let mut errors = Errors::default();
    let metadata = group.metadata.clone().unwrap_or_default();
    for (field, name) in [
        ("metadata.name", &metadata.name),
        ("metadata.org", &metadata.org),
    ] {
        if !is_name(name) {
            errors.add(field, not_a_name(name));
        }
    }
    let Some(spec) = &group.spec else {
        errors.add("spec", "is missing");
        return Err(errors.list);
    };
    let Some(function) = errors.take("spec.function", connector.function(&spec.function)) else {
        return Err(errors.list);
    };
    check_texts(spec, &mut errors);
    check_events(spec, connector, function, &mut errors);
    let parameters = parameters(spec, connector, serves, &mut errors);
    let secrets = secrets(spec, serves, &mut errors);
    let own_limit = spec
        .max_body_bytes
        .map(|limit| check_limit(Some(limit), "spec.maxBodyBytes", &mut errors));
    let max_body_bytes = own_limit.unwrap_or(function.protocol.max_body_bytes);
    let decoding = Arc::new(Decoding {
        reading: Reading {
            format: function.protocol.body,
            payload: function.protocol.extraction.payload.clone(),
            max_bytes: usize::try_from(max_body_bytes).unwrap_or(usize::MAX),
            signs_unpacked: function.protocol.signs_unpacked_body,
        },
        parameters,
    });
    let keyed = keys(spec, function, &secrets, &decoding, serves, &mut errors);
    let redaction = Redaction::compile(spec, function, &keyed, &mut errors);
    let handshake_keys = handshake_keys(function, &secrets, &decoding, &mut errors);
    check_learning(spec, function, &mut errors);
    let learned = secrets.iter().find(|secret| &*secret.name == LEARNED);
    let learned = learned.map(|secret| fingerprint(secret.text().as_bytes()));
    let status = group.status.clone().unwrap_or_default();
    let retiring: Vec<&str> = status
        .retiring_urls
        .iter()
        .map(|one| one.url.as_str())
        .collect();
    if !errors.list.is_empty() {
        return Err(errors.list);
    }
    let secret_parameters = connector
        .parameters
        .iter()
        .filter(|parameter| parameter.secret)
        .filter_map(|parameter| {
            let value = decoding.parameters.get(&parameter.name)?;
            Some(Secret::new(&parameter.name, value))
        });
    let has_signature_secrets = !secrets.is_empty();
    let named = keyed.iter().filter_map(|keyed| keyed.token.clone());
    let credentials = Credentials::new(function, named, secrets, secret_parameters);
    let has_keys_in_parameters = function
        .protocol
        .schemes
        .iter()
        .zip(&keyed)
        .any(|(scheme, keyed)| key_parameter(scheme).is_some() && !keyed.keys.is_empty());
    Ok(Group {
        uid: metadata.uid,
        org: metadata.org,
        name: metadata.name,
        has_signature_secret: has_signature_secrets,
        has_secret: has_signature_secrets
            || has_keys_in_parameters
            || function.protocol.schemes.iter().any(Scheme::has_own_keys),
        keyed,
        handshake_keys,
        learns: spec.learn_secret,
        learned,
        accept_unsigned: spec.accept_unsigned,
        external_id: (!spec.external_id.is_empty()).then(|| spec.external_id.clone()),
        registered: spec.registered_events.clone().into(),
        webhooks,
        capture_unmatched: spec.capture_unmatched,
        urls: if function.protocol.schemes.iter().any(Scheme::is_url_bound) {
            url::candidates(&status.callback_url, &retiring)
        } else {
            Vec::new()
        },
        callback_url: status.callback_url.into(),
        decoding,
        credentials: Arc::new(credentials),
        redaction,
        max_body_bytes,
        rate_limit: (spec.rate_limit_per_second > 0).then_some(spec.rate_limit_per_second),
        function: function.clone(),
        connector: Arc::clone(connector),
    })
}

fn check_texts(spec: &v1::WebhookGroupSpec, errors: &mut Errors) {
    for (field, text) in [
        ("spec.displayName", &spec.display_name),
        ("spec.externalId", &spec.external_id),
    ] {
        if text.len() > MAX_TEXT_BYTES {
            errors.add(
                field,
                format!(
                    "is {} bytes long, at most {MAX_TEXT_BYTES} are taken",
                    text.len()
                ),
            );
        }
    }
    if !spec.pool.is_empty() && !is_name(&spec.pool) {
        errors.add("spec.pool", not_a_name(&spec.pool));
    }
    if spec.dedup_window_days > MOST_DEDUP_DAYS {
        errors.add(
            "spec.dedupWindowDays",
            format!(
                "is {}, at most {MOST_DEDUP_DAYS} are taken",
                spec.dedup_window_days
            ),
        );
    }
}

fn check_events(
    spec: &v1::WebhookGroupSpec,
    connector: &Connector,
    function: &Function,
    errors: &mut Errors,
) {
    let list = &spec.registered_events;
    errors.at_most(
        "spec.registeredEvents",
        list.len(),
        MAX_REGISTERED,
        "events",
    );
    for (index, name) in list.iter().take(MAX_REGISTERED).enumerate() {
        let at = format!("spec.registeredEvents[{index}]");
        if let Some(problem) = event_name_problem(name) {
            errors.add(at, problem);
        } else if name != "*" && !function.knows(name) {
            errors.add(at, connector.no_such_event(function, name));
        }
    }
}

fn parameters(
    spec: &v1::WebhookGroupSpec,
    connector: &Connector,
    serves: bool,
    errors: &mut Errors,
) -> BTreeMap<String, String> {
    for (name, value) in &spec.parameters {
        let at = format!("spec.parameters.{name}");
        if !connector
            .parameters
            .iter()
            .any(|parameter| parameter.name == *name)
        {
            let known: Vec<&str> = connector
                .parameters
                .iter()
                .map(|p| p.name.as_str())
                .collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            errors.add(
                at,
                format!(
                    "connector `{}` has no such parameter; it has {known}",
                    connector.name
                ),
            );
        } else if value.len() > MAX_VALUE_BYTES {
            errors.add(at, format!("is longer than {MAX_VALUE_BYTES} bytes"));
        }
    }
    let mut all = BTreeMap::new();
    for parameter in &connector.parameters {
        let value = spec
            .parameters
            .get(&parameter.name)
            .filter(|value| !value.is_empty())
            .unwrap_or(&parameter.default_value);
        if !value.is_empty() {
            all.insert(parameter.name.clone(), value.clone());
        } else if parameter.required && (serves || !parameter.secret) {
            errors.add(
                format!("spec.parameters.{}", parameter.name),
                format!(
                    "is missing; connector `{}` can't do without it",
                    connector.name
                ),
            );
        }
    }
    all
}

fn secrets(spec: &v1::WebhookGroupSpec, serves: bool, errors: &mut Errors) -> Vec<Secret> {
    let list = &spec.signature_secrets;
    errors.at_most("spec.signatureSecrets", list.len(), MAX_SECRETS, "secrets");
    let mut names = BTreeSet::new();
    let mut secrets = Vec::new();
    for (index, secret) in list.iter().take(MAX_SECRETS).enumerate() {
        let at = format!("spec.signatureSecrets[{index}]");
        let name = match secret.name.as_str() {
            "" => format!("secret-{}", index + 1),
            name => name.to_owned(),
        };
        if !is_name(&name) {
            errors.add(format!("{at}.name"), not_a_name(&name));
        }
        if !names.insert(name.clone()) {
            errors.add(format!("{at}.name"), format!("`{name}` is there twice"));
        }
        if secret.value.is_empty() {
            if serves {
                errors.add(format!("{at}.value"), "is empty; a secret has a value");
            }
        } else if secret.value.len() > MAX_VALUE_BYTES {
            errors.add(
                format!("{at}.value"),
                format!("is longer than {MAX_VALUE_BYTES} bytes"),
            );
        } else {
            secrets.push(Secret::new(&name, &secret.value));
        }
    }
    secrets
}

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

fn keys(
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
fn handshake_keys(
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

fn check_learning(spec: &v1::WebhookGroupSpec, function: &Function, errors: &mut Errors) {
    if !spec.learn_secret {
        return;
    }
    let mut handshakes = function.protocol.handshakes.iter();
    if !handshakes.any(|handshake| handshake.learn.is_some()) {
        errors.add(
            "spec.learnSecret",
            "must be false: this provider hands over no secret; paste it as a signature secret",
        );
    }
    if spec.accept_unsigned {
        errors.add(
            "spec.learnSecret",
            "can't go with acceptUnsigned: until the secret is learned anybody's callbacks would be taken",
        );
    }
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
