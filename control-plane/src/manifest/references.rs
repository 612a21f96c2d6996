//! Values that stand elsewhere: `{env: NAME}` and `{file: PATH}` in signature secrets, parameters, and the secrets of destinations.
//!
//! They are replaced in the tree, before it becomes a message, so that the wire knows values alone. Only the command line
//! resolves them: a server that did would read its own environment for whoever may apply.

use super::ManifestError;
use super::tree::{Entry, Node, Place, Value};

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// In an environment variable.
    Env(String),
    /// In a file; one line break at its end is not part of the value.
    File(String),
}

/// None: as if the value had been left out.
pub(super) type Resolve<'a> = &'a mut dyn FnMut(&Reference) -> Result<Option<String>, String>;

/// Resolves those of a document.
pub(super) fn resolve(
    kind: &str,
    root: &mut Node,
    resolve: Resolve<'_>,
) -> Result<(), ManifestError> {
    let Some(spec) = root.get_mut("spec") else {
        return Ok(());
    };
    match kind {
        "WebhookGroup" => in_group(spec, resolve),
        "Destination" => in_target(spec, "spec", resolve),
        "Webhook" => {
            if let Some(Node {
                value: Value::List(destinations),
                ..
            }) = spec.get_mut("destinations")
            {
                for (index, one) in destinations.iter_mut().enumerate() {
                    in_target(one, &format!("spec.destinations[{index}]"), resolve)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What holds an `http` or a `salesforce`.
fn in_target(node: &mut Node, path: &str, resolve: Resolve<'_>) -> Result<(), ManifestError> {
    const SECRETS: [(&str, &str); 3] = [
        ("http", "signingSecret"),
        ("salesforce", "clientSecret"),
        ("salesforce", "privateKey"),
    ];
    for (target, field) in SECRETS {
        if let Some(secret) = node.get_mut(target).and_then(|t| t.get_mut(field)) {
            in_secret(secret, &format!("{path}.{target}.{field}"), resolve)?;
        }
    }
    if let Some(Node {
        value: Value::Map(headers),
        ..
    }) = node
        .get_mut("http")
        .and_then(|http| http.get_mut("headers"))
    {
        for header in headers {
            let path = format!("{path}.http.headers.{}", header.key);
            in_secret(&mut header.node, &path, resolve)?;
        }
    }
    Ok(())
}

/// In signature secrets and parameters.
fn in_group(spec: &mut Node, resolve: Resolve<'_>) -> Result<(), ManifestError> {
    if let Some(Node {
        value: Value::List(secrets),
        ..
    }) = spec.get_mut("signatureSecrets")
    {
        for (index, secret) in secrets.iter_mut().enumerate() {
            in_secret(secret, &format!("spec.signatureSecrets[{index}]"), resolve)?;
        }
    }
    if let Some(Node {
        value: Value::Map(parameters),
        ..
    }) = spec.get_mut("parameters")
    {
        for parameter in parameters {
            let path = format!("spec.parameters.{}", parameter.key);
            in_parameter(parameter, &path, resolve)?;
        }
    }
    Ok(())
}

fn in_secret(secret: &mut Node, path: &str, resolve: Resolve<'_>) -> Result<(), ManifestError> {
    let Value::Map(entries) = &mut secret.value else {
        return Err(ManifestError::at(
            secret.place,
            format!(
                "{path}: expected `{{value: …}}`, `{{env: NAME}}` or `{{file: PATH}}`, or none of these to keep what is stored"
            ),
        ));
    };
    let sources = entries
        .iter()
        .filter(|entry| matches!(entry.key.as_str(), "value" | "env" | "file"));
    if sources.count() > 1 {
        return Err(ManifestError::at(
            secret.place,
            format!("{path}: one of `value`, `env` and `file`, not several"),
        ));
    }
    for entry in entries {
        if let Some(text) = referred(entry, path, resolve)? {
            entry.key = "value".to_owned();
            entry.node.value = text;
        }
    }
    Ok(())
}

fn in_parameter(
    parameter: &mut Entry,
    path: &str,
    resolve: Resolve<'_>,
) -> Result<(), ManifestError> {
    let Value::Map(entries) = &mut parameter.node.value else {
        return Ok(());
    };
    if let [entry] = entries.as_mut_slice() {
        if entry.key == "value" {
            parameter.node = entry.node.clone();
            return Ok(());
        }
        if let Some(text) = referred(entry, path, resolve)? {
            parameter.node.value = text;
            return Ok(());
        }
    }
    Err(ManifestError::at(
        parameter.place,
        format!("{path}: expected text, `{{env: NAME}}` or `{{file: PATH}}`"),
    ))
}

fn referred(
    entry: &Entry,
    path: &str,
    resolve: Resolve<'_>,
) -> Result<Option<Value>, ManifestError> {
    let of: fn(String) -> Reference = match entry.key.as_str() {
        "env" => Reference::Env,
        "file" => Reference::File,
        _ => return Ok(None),
    };
    let fail = |place: Place, message: String| {
        ManifestError::at(place, format!("{path}.{}: {message}", entry.key))
    };
    let name = match &entry.node.value {
        Value::Scalar { text, .. } if !entry.node.is_null() => text.clone(),
        _ => return Err(fail(entry.node.place, "expected text".to_owned())),
    };
    let resolved = resolve(&of(name)).map_err(|message| fail(entry.node.place, message))?;
    // Empty means "keep the stored one" on the wire; an unset variable must not mean that by accident.
    if resolved.as_ref().is_some_and(String::is_empty) {
        return Err(fail(entry.node.place, "holds an empty value".to_owned()));
    }
    let text = resolved.unwrap_or_default();
    Ok(Some(Value::Scalar { text, plain: false }))
}
