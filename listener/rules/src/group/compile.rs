//! From a group as stored, its secrets opened, to one that serves. Fails closed: a secret may be lacking only where it doesn't serve.

mod keys;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hookplane_proto::v1;

use super::{Credentials, Group, User, Webhook};
use crate::connector::{
    Errors, Function, Scheme, check_limit, event_name_problem, is_name, not_a_name,
};
use crate::payload::Reading;
use crate::redact::Redaction;
use crate::request::Decoding;
use crate::verify::keys::{Secret, fingerprint};
use crate::verify::url;
use crate::{Connector, FieldError};
pub(crate) use keys::key_parameter;
use keys::{handshake_keys, keys};

/// Each is tried on every callback.
pub const MAX_SECRETS: usize = 8;
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
    let first = || list.iter().take(MAX_REGISTERED).map(String::as_str);
    for ((index, name), known) in first().enumerate().zip(function.knows(first())) {
        let at = format!("spec.registeredEvents[{index}]");
        if let Some(problem) = event_name_problem(name) {
            errors.add(at, problem);
        } else if name != "*" && !known {
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
