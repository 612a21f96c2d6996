//! A group's configuration, checked and made ready.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hookplane_proto::v1;

use super::{DEFAULT_MAX_BODY_BYTES, DEFAULT_PATIENCE, Group, Webhook};
use crate::FieldError;
use crate::callback::Reply;
use crate::connector::{Connector, Errors, Function, MAX_BODY_BYTES, Proof};
use crate::location::url_variants;
use crate::verify::{Keyring, Secret, decode_key};

const MAX_SECRETS: usize = 8;
const MAX_SECRET_BYTES: usize = 4_096;
const MAX_PARAMETER_BYTES: usize = 8_192;
const MAX_REGISTERED: usize = 2_000;
const MAX_EXTERNAL_ID_BYTES: usize = 512;
const MAX_DISPLAY_NAME_CHARS: usize = 200;
const MAX_DEDUP_WINDOW_DAYS: u32 = 90;

pub(super) fn group(
    message: &v1::WebhookGroup,
    connector: Arc<Connector>,
    webhooks: Vec<Arc<Webhook>>,
) -> Result<Group, Vec<FieldError>> {
    let mut errors = Errors::new();
    let default = v1::WebhookGroupSpec::default();
    let spec = message.spec.as_ref().unwrap_or(&default);
    let metadata = message.metadata.clone().unwrap_or_default();
    let Some(index) = connector
        .functions
        .iter()
        .position(|function| spec.function.is_empty() || function.name == spec.function)
    else {
        errors.add(
            "spec.function",
            format!(
                "`{}` is no function of connector `{}`; there are {}",
                spec.function,
                connector.name,
                connector.function_names()
            ),
        );
        return errors.finish(None);
    };
    let function = &connector.functions[index];
    bounds(spec, &mut errors);
    let parameters = parameters(spec, &connector, &mut errors);
    let takes_unsigned = takes_unsigned(spec, function, &mut errors);
    let keyrings = keyrings(spec, function, &parameters, &mut errors);
    registered(spec, function, &mut errors);
    let url = message
        .status
        .as_ref()
        .map(|status| status.callback_url.clone())
        .unwrap_or_default();
    let answer = function.protocol.answer.as_ref();
    let compiled = Group {
        uid: metadata.uid,
        org: metadata.org,
        name: metadata.name,
        function: index,
        urls: url_variants(&url),
        external_id: Some(spec.external_id.clone()).filter(|id| !id.is_empty()),
        parameters,
        keyrings,
        takes_unsigned,
        registered: spec.registered_events.clone(),
        webhooks,
        capture_unmatched: spec.capture_unmatched,
        max_body_bytes: spec
            .max_body_bytes
            .or(function.protocol.max_body_bytes)
            .unwrap_or(DEFAULT_MAX_BODY_BYTES),
        rate_limit: Some(spec.rate_limit_per_second).filter(|rate| *rate > 0),
        success: answer.map_or_else(
            || Reply {
                status: 200,
                content_type: None,
                body: bytes::Bytes::new(),
            },
            |answer| answer.reply.clone(),
        ),
        patience: answer
            .and_then(|answer| answer.patience)
            .unwrap_or(DEFAULT_PATIENCE),
        connector,
    };
    errors.finish(Some(compiled))
}

fn bounds(spec: &v1::WebhookGroupSpec, errors: &mut Errors) {
    if spec.display_name.chars().count() > MAX_DISPLAY_NAME_CHARS {
        errors.add(
            "spec.displayName",
            format!("is longer than {MAX_DISPLAY_NAME_CHARS} characters"),
        );
    }
    if spec.external_id.len() > MAX_EXTERNAL_ID_BYTES {
        errors.add(
            "spec.externalId",
            format!("is longer than {MAX_EXTERNAL_ID_BYTES} bytes"),
        );
    }
    if spec
        .max_body_bytes
        .is_some_and(|bytes| bytes == 0 || bytes > MAX_BODY_BYTES)
    {
        errors.add("spec.maxBodyBytes", format!("is 1 to {MAX_BODY_BYTES}"));
    }
    if spec.dedup_window_days > MAX_DEDUP_WINDOW_DAYS {
        errors.add(
            "spec.dedupWindowDays",
            format!("is at most {MAX_DEDUP_WINDOW_DAYS}"),
        );
    }
}

/// The parameters with the connector's defaults, each known, the required ones there.
fn parameters(
    spec: &v1::WebhookGroupSpec,
    connector: &Connector,
    errors: &mut Errors,
) -> BTreeMap<String, String> {
    let mut parameters = spec.parameters.clone();
    for (name, value) in &spec.parameters {
        let at = format!("spec.parameters.{name}");
        if !connector
            .parameters
            .iter()
            .any(|declared| declared.name == *name)
        {
            let known: Vec<&str> = connector
                .parameters
                .iter()
                .map(|declared| declared.name.as_str())
                .collect();
            let known = if known.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            };
            errors.add(
                at,
                format!(
                    "connector `{}` has no such parameter; {known}",
                    connector.name
                ),
            );
        } else if value.len() > MAX_PARAMETER_BYTES {
            errors.add(at, format!("is longer than {MAX_PARAMETER_BYTES} bytes"));
        }
    }
    for declared in &connector.parameters {
        let value = parameters.entry(declared.name.clone()).or_default();
        if value.is_empty() {
            value.clone_from(&declared.default_value);
        }
        if value.is_empty() && declared.required {
            errors.add(
                format!("spec.parameters.{}", declared.name),
                format!("is missing: connector `{}` needs it", connector.name),
            );
        }
    }
    parameters
}

/// Whether nothing has to prove a callback. Risk 33: where something should and can't, that is an error.
fn takes_unsigned(spec: &v1::WebhookGroupSpec, function: &Function, errors: &mut Errors) -> bool {
    let signs_nothing = function
        .protocol
        .schemes
        .iter()
        .any(|scheme| matches!(scheme.proof, Proof::Unsigned));
    if signs_nothing && !spec.accept_unsigned {
        errors.add(
            "spec.acceptUnsigned",
            "the provider signs nothing: set it to true to let the callback URL be the credential",
        );
    }
    let needs_secret = function
        .protocol
        .schemes
        .iter()
        .any(|scheme| scheme.needs_secret());
    if needs_secret && spec.signature_secrets.is_empty() && !spec.accept_unsigned {
        errors.add(
            "spec.signatureSecrets",
            "is missing: without the provider's signature secret nothing can be verified",
        );
    }
    let keyed_by_parameter = function.protocol.schemes.iter().any(|scheme| {
        matches!(&scheme.proof, Proof::Hmac(keyed) | Proof::Digest(keyed) if keyed.key.parameter.is_some())
    });
    spec.accept_unsigned && spec.signature_secrets.is_empty() && !keyed_by_parameter
}

fn keyrings(
    spec: &v1::WebhookGroupSpec,
    function: &Function,
    parameters: &BTreeMap<String, String>,
    errors: &mut Errors,
) -> Vec<Keyring> {
    if spec.signature_secrets.len() > MAX_SECRETS {
        errors.add("spec.signatureSecrets", format!("more than {MAX_SECRETS}"));
    }
    let mut names = BTreeSet::new();
    for (index, secret) in spec.signature_secrets.iter().enumerate() {
        let at = format!("spec.signatureSecrets[{index}]");
        if secret.value.is_empty() || secret.value.len() > MAX_SECRET_BYTES {
            errors.add(
                format!("{at}.value"),
                format!("is 1 to {MAX_SECRET_BYTES} bytes"),
            );
        }
        if !names.insert(secret_name(index, secret)) {
            errors.add(
                format!("{at}.name"),
                format!("`{}` is there twice", secret.name),
            );
        }
    }
    let mut keyrings = Vec::new();
    for scheme in &function.protocol.schemes {
        let mut keyring = Keyring::default();
        let (hash, key) = match &scheme.proof {
            Proof::Hmac(keyed) => (Some(keyed.hash), Some(&keyed.key)),
            Proof::Digest(keyed) => (None, Some(&keyed.key)),
            _ => (None, None),
        };
        if let Some((key, name)) = key.and_then(|key| Some((key, key.parameter.as_ref()?))) {
            let value = parameters.get(name).map(String::as_str).unwrap_or_default();
            match decode_key(key, value) {
                Ok(bytes) => keyring.secrets.push(Secret::new(name, bytes, hash)),
                Err(message) => errors.add(format!("spec.parameters.{name}"), message),
            }
        } else {
            for (index, secret) in spec.signature_secrets.iter().enumerate() {
                let bytes = match key {
                    Some(key) => decode_key(key, &secret.value),
                    None => Ok(secret.value.as_bytes().to_vec()),
                };
                match bytes {
                    Ok(bytes) => {
                        keyring
                            .secrets
                            .push(Secret::new(&secret_name(index, secret), bytes, hash))
                    }
                    Err(message) => {
                        errors.add(format!("spec.signatureSecrets[{index}].value"), message);
                    }
                }
            }
        }
        keyrings.push(keyring);
    }
    keyrings
}

fn secret_name(index: usize, secret: &v1::SignatureSecret) -> String {
    if secret.name.is_empty() {
        format!("secret-{}", index + 1)
    } else {
        secret.name.clone()
    }
}

fn registered(spec: &v1::WebhookGroupSpec, function: &Function, errors: &mut Errors) {
    if spec.registered_events.len() > MAX_REGISTERED {
        errors.add(
            "spec.registeredEvents",
            format!("more than {MAX_REGISTERED}"),
        );
    }
    for (index, event) in spec
        .registered_events
        .iter()
        .take(MAX_REGISTERED)
        .enumerate()
    {
        if event.is_empty() || !function.knows(event) {
            errors.add(
                format!("spec.registeredEvents[{index}]"),
                format!(
                    "`{event}` is no event of function `{}`; `hookplane get functions` lists them",
                    function.name
                ),
            );
        }
    }
}
