//! Mistakes with the secret: what was pasted is nearly the key.

use std::borrow::Cow;
use std::sync::Arc;

use super::trial::{Altered, Patient, Trials};
use super::{Cause, Diagnosis};
use crate::Group;
use crate::connector::{HashKind, KeySpec, Proof, Scheme, TokenKeys};
use crate::encoding::TextEncoding;
use crate::group::{KeyedScheme, key_parameter};
use crate::request::Decoding;
use crate::verify::keys::{Key, Secret};

/// What providers write before a secret, where people leave it away or copy it along.
const PREFIXES: [&str; 8] = [
    "whsec_",
    "v1,whsec_",
    "v1,",
    "sha256=",
    "base64:",
    "sk_",
    "whsk_",
    "hex:",
];
const ENCODINGS: [TextEncoding; 4] = [
    TextEncoding::Raw,
    TextEncoding::Hex,
    TextEncoding::Base64,
    TextEncoding::Base64Url,
];
/// What stands before a token or password in a header.
const HEADER_WORDS: [&str; 4] = ["Bearer ", "Basic ", "Token ", "token "];

/// One text to try as the secret.
struct Try<'a> {
    of: &'a str,
    text: Cow<'a, str>,
    /// None: as the connector says.
    decode: Option<TextEncoding>,
    keep_prefix: bool,
    cause: Cause,
    what: Cow<'static, str>,
}

pub(super) fn examine(patient: Patient<'_>, trials: &mut Trials<'_>) -> Option<Diagnosis> {
    let rule = rule(patient.scheme)?;
    let pasted = pasted(patient.group, patient.scheme);
    let tries: Vec<Try<'_>> = pasted.iter().flat_map(|one| tries(one, &rule)).collect();
    if let Some(found) = among(patient, &rule, &tries, trials) {
        return Some(Diagnosis::new(found.cause, advice(found)));
    }
    let all = patient.group.credentials.secrets().iter();
    let all: Vec<Try<'_>> = all.map(|one| as_it_is(&one.name, one.text())).collect();
    if let Some(found) = among(patient, &rule, &all, trials) {
        return Some(Diagnosis::new(
            Cause::SecretSwapped,
            format!(
                "it is signed with the value that the group has as `{}`: the group's values are in each other's places",
                found.of
            ),
        ));
    }
    None
}

/// How a scheme makes a key of a secret, where it has one.
pub(super) fn rule(scheme: &Scheme) -> Option<Cow<'_, KeySpec>> {
    match &scheme.proof {
        Proof::Hmac(hash) | Proof::Digest(hash) => Some(Cow::Borrowed(&hash.key)),
        Proof::Jwt(token) => match &token.keys {
            TokenKeys::Shared(key) => Some(Cow::Borrowed(key)),
            TokenKeys::Public(_) | TokenKeys::Chain { .. } => None,
        },
        Proof::Token(_) | Proof::Basic { .. } => Some(Cow::Owned(KeySpec::default())),
        Proof::PublicKey(_) | Proof::Unsigned => None,
    }
}

/// What the group has as this scheme's secrets.
pub(super) fn pasted(group: &Group, scheme: &Scheme) -> Vec<Secret> {
    match key_parameter(scheme) {
        None => group.signature_secrets().to_vec(),
        Some(name) => {
            let value = group.decoding.parameters.get(name);
            value
                .map(|value| Secret::new(name, value))
                .into_iter()
                .collect()
        }
    }
}

/// The hash that a key is made ready for.
fn hash(scheme: &Scheme) -> Option<HashKind> {
    match &scheme.proof {
        Proof::Hmac(hash) => Some(hash.hash),
        _ => None,
    }
}

/// Those of these secrets that are keys of the scheme.
pub(super) fn keys(
    scheme: &Scheme,
    rule: &KeySpec,
    secrets: &[Secret],
    decoding: &Arc<Decoding>,
) -> Vec<Key> {
    let key = |secret: &Secret| secret.key(rule, hash(scheme), decoding).ok();
    secrets.iter().filter_map(key).collect()
}

fn among<'t>(
    patient: Patient<'_>,
    rule: &KeySpec,
    tries: &'t [Try<'_>],
    trials: &mut Trials<'_>,
) -> Option<&'t Try<'t>> {
    // A few at a time, so that a trial stays small.
    for (part, chunk) in tries.chunks(8).enumerate() {
        let mut keyed = KeyedScheme {
            user: patient.keyed.user.clone(),
            token: patient.keyed.token.clone(),
            ..KeyedScheme::default()
        };
        for (index, one) in chunk.iter().enumerate() {
            let mut rule = rule.clone();
            rule.decode = one.decode.unwrap_or(rule.decode);
            if one.keep_prefix {
                rule.strip_prefix.clear();
            }
            let secret = Secret::new(&(part * 8 + index).to_string(), &one.text);
            let decoding = &patient.group.decoding;
            keyed
                .keys
                .extend(keys(patient.scheme, &rule, &[secret], decoding));
        }
        if keyed.keys.is_empty() {
            continue;
        }
        let altered = Altered {
            keyed: Some(&keyed),
            ..Altered::default()
        };
        if let Some(name) = trials.fits(patient, altered) {
            return tries.get(name.parse::<usize>().ok()?);
        }
    }
    None
}

fn as_it_is<'a>(of: &'a str, text: impl Into<Cow<'a, str>>) -> Try<'a> {
    Try {
        of,
        text: text.into(),
        decode: None,
        keep_prefix: false,
        cause: Cause::SecretUnknown,
        what: Cow::Borrowed(""),
    }
}

/// The likely first.
fn tries<'a>(secret: &'a Secret, rule: &KeySpec) -> Vec<Try<'a>> {
    let (of, text) = (&*secret.name, secret.text());
    let mut all = Vec::new();
    let mut add = |cause, what: Cow<'static, str>, text: Cow<'a, str>| {
        all.push(Try {
            cause,
            what,
            ..as_it_is(of, text)
        });
    };
    let trimmed = text.trim();
    if trimmed != text {
        let what = "has a space or line break before or after it";
        add(Cause::SecretWhitespace, what.into(), trimmed.into());
    }
    if trimmed.contains(char::is_whitespace) {
        let joined: String = trimmed.split_whitespace().collect();
        let what = "has spaces or line breaks in it";
        add(Cause::SecretWhitespace, what.into(), joined.into());
    }
    for (what, inner) in wrapped(trimmed) {
        add(Cause::SecretWrapped, what.into(), inner.into());
    }
    let known = (!rule.strip_prefix.is_empty()).then_some(rule.strip_prefix.as_str());
    for prefix in PREFIXES {
        if let Some(rest) = trimmed.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
            // Whether it is part of the key is the provider's word: where a script signed, the script is what is wrong.
            let what = format!("fits when its `{prefix}` is left out");
            add(Cause::SecretPrefix, what.into(), rest.into());
        } else if known.is_none() {
            let what = format!("lacks its beginning `{prefix}`, which is part of the key");
            let text = format!("{prefix}{trimmed}");
            add(Cause::SecretPrefix, what.into(), text.into());
        }
    }
    for (what, end) in [("a line feed", "\n"), ("CR LF", "\r\n"), ("a space", " ")] {
        let what = format!("ends in {what} at the provider");
        add(
            Cause::SecretWhitespace,
            what.into(),
            format!("{trimmed}{end}").into(),
        );
    }
    if let Some(prefix) = known.filter(|prefix| trimmed.starts_with(prefix)) {
        let mut whole = as_it_is(of, trimmed);
        whole.keep_prefix = true;
        whole.cause = Cause::SecretPrefix;
        whole.what = format!("is the key with its beginning `{prefix}`, which is taken off").into();
        all.push(whole);
    }
    all.extend(encodings(of, trimmed, rule));
    all
}

/// The same texts, read in other encodings.
fn encodings<'a>(of: &'a str, text: &'a str, rule: &KeySpec) -> Vec<Try<'a>> {
    let mut all = Vec::new();
    let others = ENCODINGS.into_iter().filter(|one| *one != rule.decode);
    for decode in others {
        let rests = PREFIXES.iter().filter_map(|one| text.strip_prefix(one));
        for (text, keep_prefix) in [(text, false), (text, true)]
            .into_iter()
            .chain(rests.map(|rest| (rest, true)))
        {
            let what = match decode {
                TextEncoding::Raw => format!(
                    "is the key as it stands, and is decoded from {}",
                    rule.decode.name()
                ),
                _ => format!(
                    "is the key in {}, and is read as {}",
                    decode.name(),
                    rule.decode.name()
                ),
            };
            all.push(Try {
                decode: Some(decode),
                keep_prefix,
                cause: Cause::SecretEncoding,
                what: what.into(),
                ..as_it_is(of, text)
            });
        }
    }
    all
}

/// What is within quotes, after a header's word, after a name.
fn wrapped(text: &str) -> Vec<(&'static str, &str)> {
    let mut all = Vec::new();
    for quote in ['"', '\'', '`'] {
        let inner = text
            .strip_prefix(quote)
            .and_then(|text| text.strip_suffix(quote));
        all.extend(inner.map(|inner| ("was pasted with quotes around it", inner)));
    }
    for word in HEADER_WORDS {
        let inner = text.strip_prefix(word).map(str::trim);
        all.extend(inner.map(|inner| ("was pasted with the header's first word before it", inner)));
    }
    if let Some((name, value)) = text.split_once('=')
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
    {
        let value = value.trim_matches(['"', '\'']);
        all.push(("was pasted with a name and `=` before it", value));
    }
    if let Some((_, password)) = text.split_once(':') {
        all.push(("was pasted with a name and `:` before it", password));
    }
    all.retain(|(_, inner)| !inner.is_empty());
    all
}

/// Basic authentication: is it the name alone?
pub(super) fn user_name(patient: Patient<'_>, trials: &mut Trials<'_>) -> Option<Diagnosis> {
    patient.keyed.user.as_ref()?;
    let keyed = KeyedScheme {
        keys: patient.keyed.keys.clone(),
        ..KeyedScheme::default()
    };
    let altered = Altered {
        keyed: Some(&keyed),
        ..Altered::default()
    };
    trials.fits(patient, altered)?;
    Some(Diagnosis::new(
        Cause::UserName,
        "the password is right and the user name isn't: write the group's user name parameter as the provider has it",
    ))
}

fn advice(found: &Try<'_>) -> String {
    let what = &found.what;
    let what_to_do = match found.cause {
        Cause::SecretEncoding => {
            "paste it in the form that the provider's page about webhooks shows; if that is what it is, the connector's rule for the key is \
             wrong: please report it"
        }
        Cause::SecretWhitespace if what.starts_with("ends in") => {
            "set the same secret anew at both ends, without it"
        }
        Cause::SecretPrefix if what.starts_with("fits when") => {
            "if the sender is a script of yours, sign with the whole secret; otherwise copy the secret again from the provider"
        }
        _ => "paste the secret again, as the provider shows it and nothing else",
    };
    format!("the secret `{}` {what}: {what_to_do}", found.of)
}
