//! Requests that the providers' own libraries signed, or a second implementation did, and one thing wrong with each.

mod bodies;
mod secrets;
mod signatures;
mod times;
mod urls;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookplane_rules::Cause;
use hookplane_tests::catalogue::Case;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::{diagnose, diagnose_while, genuine};
use bodies::BODIES;
use secrets::SECRETS;
use signatures::SIGNATURES;
use times::TIMES;
use urls::URLS;

/// Connector, part of a vector's name, the mistake, what it is made with, what it is.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    fn(&mut Case),
    Cause,
);

const SECRET: &str = "synthetic-key-for-tests-only";

fn value<'a>(case: &'a mut Case, name: &str) -> &'a mut String {
    let found = case
        .headers
        .iter_mut()
        .find(|(of, _)| of.eq_ignore_ascii_case(name));
    &mut found.unwrap_or_else(|| panic!("header {name}")).1
}

fn rename(case: &mut Case, name: &str, new: &str) {
    for (of, _) in &mut case.headers {
        if of.eq_ignore_ascii_case(name) {
            *of = new.to_owned();
        }
    }
}

fn remove(case: &mut Case, name: &str) {
    case.headers
        .retain(|(of, _)| !of.eq_ignore_ascii_case(name));
}

fn secret(case: &mut Case, edit: impl FnOnce(&str) -> String) {
    case.secrets = vec![edit(&case.secrets[0])];
}

fn body(case: &mut Case, edit: impl FnOnce(&str) -> String) {
    case.body = Some(edit(case.body.as_deref().unwrap()));
}

fn hmac256(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// As GitHub signs, over another body than is posted.
fn github_signed(case: &mut Case, signed: &str) {
    let signature = hex::encode(hmac256(SECRET.as_bytes(), signed));
    *value(case, "X-Hub-Signature-256") = format!("sha256={signature}");
}

/// As Netlify signs, with these claims beside the body's hash.
fn netlify_signed(case: &mut Case, issuer: &str) {
    let hash = hex::encode(Sha256::digest(case.body()));
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!(
        "{}.{}",
        encode(r#"{"alg":"HS256"}"#),
        encode(&format!(r#"{{"iss":"{issuer}","sha256":"{hash}"}}"#))
    );
    let signature = URL_SAFE_NO_PAD.encode(hmac256(SECRET.as_bytes(), &signed));
    *value(case, "X-Webhook-Signature") = format!("{signed}.{signature}");
}

fn check(rows: &[Row]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(connector, named, what, make, cause)| {
            let mut case = genuine(connector, named);
            assert_eq!(diagnose(&case), None, "{connector} {named} is genuine");
            make(&mut case);
            let got = diagnose(&case);
            (got.as_ref().map(|it| it.cause) != Some(*cause))
                .then(|| format!("{connector}, {what}: {got:?}, not {cause:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mistakes_with_the_secret_are_named() {
    check(SECRETS);
}

#[test]
fn mistakes_with_the_signature_are_named() {
    check(SIGNATURES);
}

#[test]
fn mistakes_with_the_time_are_named() {
    check(TIMES);
}

#[test]
fn mistakes_with_the_url_are_named() {
    check(URLS);
}

#[test]
fn mistakes_with_the_body_are_named() {
    check(BODIES);
}

/// Every row there is.
pub(super) fn all() -> impl Iterator<Item = (String, Case)> {
    let rows = [SECRETS, SIGNATURES, TIMES, URLS, BODIES]
        .into_iter()
        .flatten();
    rows.map(|(connector, named, what, make, _)| {
        let mut case = genuine(connector, named);
        make(&mut case);
        (format!("{connector}: {what}"), case)
    })
}

// A flood of forgeries must not become work: the clock that is asked before each trial ends them.
#[test]
fn trials_end_when_their_time_is_up_and_have_an_end_of_their_own() {
    let mut case = genuine("hubspot", "v3");
    case.secrets = (0..8).map(|n| format!(" wrong-{n} ")).collect();
    let mut asked = 0;
    let whole = diagnose_while(&case, &mut || {
        asked += 1;
        true
    });
    assert_eq!(whole.unwrap().cause, Cause::SecretUnknown);
    assert!((20..=512).contains(&asked), "{asked} trials");
    for most in [0, 1, 7] {
        let mut made = 0;
        let cut = diagnose_while(&case, &mut || {
            made += 1;
            made <= most
        });
        assert_eq!(cut.unwrap().cause, Cause::Undetermined);
        assert!(made > most, "it stopped by itself after {made}");
    }
}

#[test]
fn a_large_body_is_not_hashed() {
    let mut case = genuine("github", "");
    case.body = Some("x".repeat(300 * 1024));
    let mut asked = 0;
    let mut count = || {
        asked += 1;
        true
    };
    let found = diagnose_while(&case, &mut count);
    assert_eq!(found.unwrap().cause, Cause::Undetermined);
    // What needs no hashing is still told.
    case.headers.retain(|(name, _)| !name.starts_with("X-Hub"));
    assert_eq!(
        diagnose_while(&case, &mut count).unwrap().cause,
        Cause::SignatureMissing
    );
    assert_eq!(asked, 0);
}
