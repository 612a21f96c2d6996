//! One target as it is saved: within bounds, its secrets sealed, and those that were left out kept, unless they would go somewhere else.

use hookplane_proto::v1;
use hookplane_rules::FieldError;
use http::{HeaderName, HeaderValue};
use subtle::ConstantTimeEq as _;
use v1::SecretChange;

use crate::admission::Lacking;
use crate::api::desk::Desk;
use crate::api::status::Problem;
use crate::dispatch::sink::http::{SIGNING_KEY_BYTES, is_reserved, signing_key};
use crate::dispatch::sink::salesforce;
use crate::dispatch::target::Target;

const MAX_HEADERS: usize = 20;
/// Of a header's value, and of any other secret but a private key.
const MAX_SECRET_BYTES: usize = 8_192;
const MAX_TEXT_BYTES: usize = 512;
const MAX_CONCURRENCY: u32 = 64;
const MAX_RATE: u32 = 10_000;
const MAX_TIMEOUT_SECONDS: u32 = 120;
const MAX_ATTEMPTS: u32 = 100;

/// Where a target stands.
pub(in crate::api) struct Place<'a> {
    /// Of its resource.
    pub(in crate::api) uid: &'a str,
    /// What its sealed fields begin with.
    pub(in crate::api) prefix: &'a str,
    /// As a manifest has it: `spec`, `spec.destinations[0]`.
    pub(in crate::api) path: &'a str,
}

/// Checks and seals. `stored` is what was there before, sealed.
pub(in crate::api) fn admit(
    desk: &Desk<'_>,
    place: &Place<'_>,
    mut given: Target,
    stored: Option<&Target>,
) -> Result<(Target, SecretChange), Problem> {
    let mut old = stored.cloned();
    if let Some(old) = &old {
        keep_what_is_left_out(&mut given, old);
    }
    super::fields(check(desk, place.path, &given))?;
    let moved = old
        .as_ref()
        .is_some_and(|old| old.leads_to() != given.leads_to());
    let mut kept: Vec<(String, &mut v1::Secret)> = match &mut old {
        Some(old) => old.secrets_mut(),
        None => Vec::new(),
    };
    let mut errors = Vec::new();
    let (mut changed, mut count) = (false, 0);
    for (field, secret) in given.secrets_mut() {
        count += 1;
        secret.sealed.clear();
        let value = std::mem::take(&mut secret.value);
        let at = || format!("{}.{field}", place.path);
        let sealed_for = format!("{}{field}", place.prefix);
        let seal = &desk.context.seal;
        let old = kept.iter().position(|(name, _)| *name == field);
        let old = old.map(|at| std::mem::take(&mut kept.swap_remove(at).1.sealed));
        match old {
            // What is stored was trusted to another place, or nothing is; what is only tried is sent nowhere.
            None if value.is_empty() && desk.lacking == Lacking::LeftOut => continue,
            Some(_) if value.is_empty() && moved && desk.lacking == Lacking::LeftOut => continue,
            None if value.is_empty() => {
                errors.push(FieldError::new(at(), "has no value, and none is stored"));
                continue;
            }
            Some(_) if value.is_empty() && moved => {
                errors.push(FieldError::new(
                    at(),
                    "must be given again: it was trusted to another place or user than the one it would now be used for",
                ));
                continue;
            }
            Some(old) if value.is_empty() => {
                secret.sealed = old;
                continue;
            }
            Some(old) => {
                let plain = seal.open(place.uid, &sealed_for, &old)?;
                if bool::from(plain.as_slice().ct_eq(value.as_bytes())) {
                    secret.sealed = old;
                    continue;
                }
            }
            None => {}
        }
        if value.len() > MAX_SECRET_BYTES {
            let message = format!("is longer than {MAX_SECRET_BYTES} bytes");
            errors.push(FieldError::new(at(), message));
            continue;
        }
        secret.sealed = seal
            .seal(place.uid, &sealed_for, value.as_bytes())
            .map_err(|error| Problem::Internal(error.to_string()))?;
        changed = true;
    }
    // Whatever wasn't taken over is gone.
    changed |= !kept.is_empty();
    super::fields(errors)?;
    let secret = match (changed, count) {
        (true, _) => SecretChange::Changed,
        (false, 0) => SecretChange::Unspecified,
        (false, _) => SecretChange::Unchanged,
    };
    Ok((given, secret))
}

/// A header stands in the list or it doesn't; of the others an absent one is the stored one. Of Salesforce's two, one that is given takes the
/// other's place.
fn keep_what_is_left_out(given: &mut Target, stored: &Target) {
    let keep = |given: &mut Option<v1::Secret>, stored: &Option<v1::Secret>| {
        if given.is_none() && stored.is_some() {
            *given = Some(v1::Secret::default());
        }
    };
    match (given, stored) {
        (Target::Http(given), Target::Http(stored)) => {
            keep(&mut given.signing_secret, &stored.signing_secret);
        }
        (Target::Salesforce(given), Target::Salesforce(stored))
            if given.client_secret.is_none() && given.private_key.is_none() =>
        {
            keep(&mut given.client_secret, &stored.client_secret);
            keep(&mut given.private_key, &stored.private_key);
        }
        _ => {}
    }
}

fn check(desk: &Desk<'_>, path: &str, target: &Target) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut refuse = |field: String, message: String| {
        errors.push(FieldError::new(format!("{path}.{field}"), message));
    };
    match target {
        Target::Http(http) => {
            if let Err(why) = desk.context.client.check(&http.url) {
                refuse("http.url".to_owned(), why);
            }
            let secret = http.signing_secret.as_ref().map_or("", |s| &s.value);
            if !secret.is_empty() && signing_key(secret).is_none() {
                refuse(
                    "http.signingSecret".to_owned(),
                    format!(
                        "must be `whsec_` and the base64 of {} to {} bytes",
                        SIGNING_KEY_BYTES.start(),
                        SIGNING_KEY_BYTES.end()
                    ),
                );
            }
            if http.headers.len() > MAX_HEADERS {
                refuse(
                    "http.headers".to_owned(),
                    format!("are at most {MAX_HEADERS}"),
                );
            }
            for (name, secret) in &http.headers {
                let field = format!("http.headers.{name}");
                match HeaderName::from_bytes(name.as_bytes()) {
                    Err(_) => refuse(field, "is no header's name".to_owned()),
                    Ok(header) if is_reserved(&header) => {
                        refuse(field, "is set by each request itself".to_owned());
                    }
                    Ok(_) if HeaderValue::from_str(&secret.value).is_err() => refuse(
                        field,
                        "can't be sent as a header: visible ASCII characters and spaces alone"
                            .to_owned(),
                    ),
                    Ok(_) => {}
                }
            }
            let mut names: Vec<_> = http
                .headers
                .keys()
                .map(|n| n.to_ascii_lowercase())
                .collect();
            names.sort_unstable();
            if names.windows(2).any(|pair| pair[0] == pair[1]) {
                refuse(
                    "http.headers".to_owned(),
                    "have one name twice: case doesn't tell them apart".to_owned(),
                );
            }
        }
        Target::Salesforce(target) => {
            if let Err(why) = desk.context.client.check(&target.url) {
                refuse("salesforce.url".to_owned(), why);
            }
            if !target.audience.is_empty()
                && let Err(why) = desk.context.client.check(&target.audience)
            {
                refuse("salesforce.audience".to_owned(), why);
            }
            for (field, text) in [
                ("clientId", &target.client_id),
                ("username", &target.username),
            ] {
                if text.len() > MAX_TEXT_BYTES {
                    refuse(
                        format!("salesforce.{field}"),
                        format!("is longer than {MAX_TEXT_BYTES} bytes"),
                    );
                }
            }
            if target.client_id.is_empty() {
                refuse(
                    "salesforce.clientId".to_owned(),
                    "is missing: the connected app's".to_owned(),
                );
            }
            if target.client_secret.is_some() && target.private_key.is_some() {
                refuse(
                    "salesforce".to_owned(),
                    "has a client secret and a private key: one of them lets in".to_owned(),
                );
            }
            if target.client_secret.is_none() && target.private_key.is_none() {
                refuse(
                    "salesforce".to_owned(),
                    "has neither a client secret nor a private key: one of them lets in".to_owned(),
                );
            }
            if target.private_key.is_some() && target.username.is_empty() {
                refuse(
                    "salesforce.username".to_owned(),
                    "is missing: whom to act as".to_owned(),
                );
            }
            for (field, why) in salesforce::shape(target) {
                refuse(format!("salesforce.{field}"), why);
            }
        }
    }
    errors
}

/// What limits may be.
pub(in crate::api) fn check_limits(
    path: &str,
    limits: Option<&v1::DeliveryLimits>,
) -> Vec<FieldError> {
    let given = limits.copied().unwrap_or_default();
    [
        ("concurrency", given.concurrency, MAX_CONCURRENCY),
        ("ratePerSecond", given.rate_per_second, MAX_RATE),
        ("timeoutSeconds", given.timeout_seconds, MAX_TIMEOUT_SECONDS),
        ("maxAttempts", given.max_attempts, MAX_ATTEMPTS),
    ]
    .into_iter()
    .filter(|(_, given, most)| given > most)
    .map(|(field, _, most)| {
        FieldError::new(
            format!("{path}.limits.{field}"),
            format!("is at most {most}"),
        )
    })
    .collect()
}
