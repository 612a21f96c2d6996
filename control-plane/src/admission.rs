//! What a webhook group becomes when it is saved: defaults filled in, immutables kept, secrets sealed, and compiled by the very rules that
//! the listeners run. What doesn't compile is not admitted.

use std::collections::BTreeSet;
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::{Connector, FieldError, Group, MAX_SECRETS};
use subtle::ConstantTimeEq;

use crate::seal::{SealError, SealKey, parameter_field, secret_field};

const MAX_CAPTURE_DAYS: u32 = 90;
const MAX_RETENTION_DAYS: u32 = 3_650;

/// Why a group isn't admitted.
#[derive(Debug)]
pub enum Refused {
    /// To be mended in the manifest.
    Fields(Vec<FieldError>),
    /// A stored secret can't be opened.
    Seal(SealError),
    /// A secret can't be sealed.
    Io(std::io::Error),
}

impl From<SealError> for Refused {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// What becomes of a secret that has no value, where none is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// It has to be given.
    Refused,
    /// What is only tried goes without it.
    LeftOut,
}

/// A spec fit to be stored.
pub struct Admitted {
    /// Secrets sealed, defaults filled in.
    pub spec: v1::WebhookGroupSpec,
    /// Whether a stored secret was replaced or a new one came.
    pub secret: v1::SecretChange,
}

/// Fills what the caller left out: from the stored group, then from the connector.
pub fn fill_defaults(
    spec: &mut v1::WebhookGroupSpec,
    stored: Option<&v1::WebhookGroupSpec>,
    definition: &v1::Connector,
) -> Result<(), FieldError> {
    // The stored function is no default for another connector.
    if let Some(stored) = stored {
        unchangeable("spec.connector", &stored.connector, &spec.connector)?;
    }
    if spec.function.is_empty() {
        let first = definition.spec.as_ref().and_then(|s| s.functions.first());
        spec.function = match (stored, first) {
            (Some(stored), _) => stored.function.clone(),
            (None, Some(first)) => first.name.clone(),
            (None, None) => String::new(),
        };
    }
    if spec.pool.is_empty() {
        spec.pool = "default".to_owned();
    }
    let functions = definition.spec.as_ref().map_or(&[][..], |s| &s.functions);
    if !functions.iter().any(|f| f.name == spec.function) {
        let known: Vec<&str> = functions.iter().map(|f| f.name.as_str()).collect();
        return Err(FieldError::new(
            "spec.function",
            format!(
                "`{}` has no function `{}`; it has {}",
                spec.connector,
                spec.function,
                known.join(", ")
            ),
        ));
    }
    if let Some(stored) = stored {
        unchangeable("spec.function", &stored.function, &spec.function)?;
    }
    Ok(())
}

/// What is part of the callback URL, and decides what the group's other fields mean.
fn unchangeable(field: &str, old: &str, new: &str) -> Result<(), FieldError> {
    if old == new {
        return Ok(());
    }
    Err(FieldError::new(
        field,
        format!("can't be changed (it is `{old}`): make another group"),
    ))
}

/// Bounds that the rules don't have, as what they are of isn't theirs. And how many secrets there are, before any is sealed.
pub fn check_bounds(spec: &v1::WebhookGroupSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut refuse = |wrong: bool, field: &str, message: String| {
        if wrong {
            errors.push(FieldError::new(field, message));
        }
    };
    refuse(
        spec.signature_secrets.len() > MAX_SECRETS,
        "spec.signatureSecrets",
        format!("are at most {MAX_SECRETS}: take out those that the provider no longer uses"),
    );
    refuse(
        spec.capture_days > MAX_CAPTURE_DAYS,
        "spec.captureDays",
        format!("is at most {MAX_CAPTURE_DAYS}"),
    );
    errors.extend(check_retention(spec.retention.as_ref()));
    errors
}

/// Of a group or an org.
pub fn check_retention(retention: Option<&v1::Retention>) -> Option<FieldError> {
    let days = retention.map_or(0, |retention| retention.max_days);
    (days > MAX_RETENTION_DAYS).then(|| {
        FieldError::new(
            "spec.retention.maxDays",
            format!("is at most {MAX_RETENTION_DAYS}"),
        )
    })
}

/// Seals what the caller gave and keeps what is stored of what the caller left out. `spec` has its defaults.
pub fn seal_secrets(
    seal: &SealKey,
    uid: &str,
    mut spec: v1::WebhookGroupSpec,
    stored: Option<&v1::WebhookGroupSpec>,
    definition: &v1::Connector,
    lacking: Lacking,
) -> Result<Admitted, Refused> {
    let kept = stored.map_or(&[][..], |s| &s.signature_secrets);
    let mut errors = Vec::new();
    let mut changed = false;
    if spec.signature_secrets.is_empty() {
        spec.signature_secrets = kept.to_vec();
    } else {
        let mut names = BTreeSet::new();
        for (i, secret) in spec.signature_secrets.iter_mut().enumerate() {
            secret.sealed.clear();
            if secret.name.is_empty() {
                secret.name = format!("secret-{}", i + 1);
            }
            if !names.insert(secret.name.clone()) {
                errors.push(FieldError::new(
                    format!("spec.signatureSecrets[{i}].name"),
                    "is the name of another one: names tell secrets apart",
                ));
                continue;
            }
            let old = kept
                .iter()
                .find(|old| old.name == secret.name)
                .map(|old| &old.sealed);
            match keep_or_seal(seal, uid, secret_field(&secret.name), &secret.value, old)? {
                Some((sealed, is_new)) => {
                    secret.sealed = sealed;
                    changed |= is_new;
                }
                None if lacking == Lacking::LeftOut => {}
                None => errors.push(FieldError::new(
                    format!("spec.signatureSecrets[{i}].value"),
                    "is missing, and no secret of this name is stored",
                )),
            }
            secret.value.clear();
        }
        changed |= kept.iter().any(|old| !names.contains(&old.name));
    }
    spec.sealed_parameters.clear();
    let declared = definition.spec.as_ref().map_or(&[][..], |s| &s.parameters);
    for parameter in declared.iter().filter(|p| p.secret) {
        let value = spec.parameters.remove(&parameter.name).unwrap_or_default();
        let old = stored.and_then(|s| s.sealed_parameters.get(&parameter.name));
        let field = parameter_field(&parameter.name);
        if let Some((sealed, is_new)) = keep_or_seal(seal, uid, &field, &value, old)? {
            spec.sealed_parameters
                .insert(parameter.name.clone(), sealed);
            changed |= is_new;
        }
    }
    if !errors.is_empty() {
        return Err(Refused::Fields(errors));
    }
    let secret = match (
        changed,
        spec.signature_secrets.is_empty() && spec.sealed_parameters.is_empty(),
    ) {
        (true, _) => v1::SecretChange::Changed,
        (false, true) => v1::SecretChange::Unspecified,
        (false, false) => v1::SecretChange::Unchanged,
    };
    Ok(Admitted { spec, secret })
}

/// None when there is neither a value nor a stored one. A value equal to the stored one keeps it as it is, so that nothing changes.
fn keep_or_seal(
    seal: &SealKey,
    uid: &str,
    field: &str,
    value: &str,
    old: Option<&bytes::Bytes>,
) -> Result<Option<(bytes::Bytes, bool)>, Refused> {
    if value.is_empty() {
        return Ok(old.map(|old| (old.clone(), false)));
    }
    if let Some(old) = old {
        let plain = seal.open(uid, field, old)?;
        if bool::from(plain.as_slice().ct_eq(value.as_bytes())) {
            return Ok(Some((old.clone(), false)));
        }
    }
    Ok(Some((seal.seal(uid, field, value.as_bytes())?, true)))
}

/// Compiles a group as the listeners will.
pub fn compile_group(
    seal: &SealKey,
    group: &v1::WebhookGroup,
    connector: &Arc<Connector>,
    lacking: Lacking,
) -> Result<v1::WebhookGroup, Refused> {
    let opened = seal.open_group(group)?;
    let compiled = match lacking {
        Lacking::Refused => Group::compile(&opened, Arc::clone(connector), Vec::new()),
        Lacking::LeftOut => Group::compile_for_trial(&opened, Arc::clone(connector), Vec::new()),
    };
    compiled.map_err(Refused::Fields)?;
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (tempfile::TempDir, SealKey, v1::Connector) {
        let dir = tempfile::tempdir().unwrap();
        let seal = SealKey::load_or_create(&dir.path().join("seal.key")).unwrap();
        let definition = v1::Connector {
            metadata: None,
            spec: Some(v1::ConnectorSpec {
                functions: vec![v1::ConnectorFunction {
                    name: "hooks".into(),
                    ..Default::default()
                }],
                parameters: vec![v1::ConnectorParameter {
                    name: "token".into(),
                    secret: true,
                    ..Default::default()
                }],
                ..Default::default()
            }),
        };
        (dir, seal, definition)
    }

    fn with_secret(name: &str, value: &str) -> v1::WebhookGroupSpec {
        v1::WebhookGroupSpec {
            signature_secrets: vec![v1::SignatureSecret {
                name: name.into(),
                value: value.into(),
                ..Default::default()
            }],
            parameters: [("token".to_owned(), "planted-param".to_owned())].into(),
            ..Default::default()
        }
    }

    #[test]
    fn secrets_are_sealed_and_their_text_is_nowhere() {
        let (_dir, seal, definition) = fixture();
        let admitted = seal_secrets(
            &seal,
            "u",
            with_secret("", "planted-secret"),
            None,
            &definition,
            Lacking::Refused,
        )
        .unwrap();
        let text = format!("{:?}", admitted.spec);
        assert!(!text.contains("planted"), "{text}");
        assert_eq!(admitted.spec.signature_secrets[0].name, "secret-1");
        assert_eq!(admitted.secret, v1::SecretChange::Changed);
    }

    #[test]
    fn an_absent_secret_keeps_the_stored_one_and_the_same_value_is_no_change() {
        let (_dir, seal, definition) = fixture();
        let stored = seal_secrets(
            &seal,
            "u",
            with_secret("", "one"),
            None,
            &definition,
            Lacking::Refused,
        )
        .unwrap()
        .spec;
        for again in [
            v1::WebhookGroupSpec::default(),
            with_secret("secret-1", ""),
            with_secret("secret-1", "one"),
        ] {
            let admitted = seal_secrets(
                &seal,
                "u",
                again,
                Some(&stored),
                &definition,
                Lacking::Refused,
            )
            .unwrap();
            assert_eq!(admitted.spec.signature_secrets, stored.signature_secrets);
            assert_eq!(admitted.spec.sealed_parameters, stored.sealed_parameters);
            assert_eq!(admitted.secret, v1::SecretChange::Unchanged);
        }
        let changed = seal_secrets(
            &seal,
            "u",
            with_secret("secret-1", "two"),
            Some(&stored),
            &definition,
            Lacking::Refused,
        )
        .unwrap();
        assert_eq!(changed.secret, v1::SecretChange::Changed);
    }

    #[test]
    fn a_secret_without_value_or_stored_one_is_refused_at_its_place() {
        let (_dir, seal, definition) = fixture();
        let Err(Refused::Fields(errors)) = seal_secrets(
            &seal,
            "u",
            with_secret("new", ""),
            None,
            &definition,
            Lacking::Refused,
        ) else {
            panic!("taken");
        };
        assert_eq!(errors[0].field, "spec.signatureSecrets[0].value");
    }

    #[test]
    fn what_the_rules_bound_is_bounded_by_them_alone() {
        let mut spec = with_secret("", "x");
        spec.display_name = "x".repeat(256);
        assert!(check_bounds(&spec).is_empty());
        spec.signature_secrets = vec![v1::SignatureSecret::default(); MAX_SECRETS + 1];
        assert_eq!(check_bounds(&spec)[0].field, "spec.signatureSecrets");
    }

    #[test]
    fn connector_and_function_cannot_be_changed() {
        let (_dir, _seal, definition) = fixture();
        let stored = v1::WebhookGroupSpec {
            connector: "a".into(),
            function: "hooks".into(),
            ..Default::default()
        };
        let mut spec = v1::WebhookGroupSpec {
            connector: "b".into(),
            ..Default::default()
        };
        assert_eq!(
            fill_defaults(&mut spec, Some(&stored), &definition)
                .unwrap_err()
                .field,
            "spec.connector"
        );
        let mut fresh = v1::WebhookGroupSpec {
            connector: "a".into(),
            ..Default::default()
        };
        fill_defaults(&mut fresh, None, &definition).unwrap();
        assert_eq!(
            (fresh.function.as_str(), fresh.pool.as_str()),
            ("hooks", "default")
        );
    }
}
