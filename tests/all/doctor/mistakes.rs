//! Requests that the providers' own libraries signed, or a second implementation did, and one thing wrong with each.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookplane_rules::Cause;
use hookplane_tests::catalogue::Case;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::{diagnose, diagnose_while, genuine};

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

const SECRETS: &[Row] = &[
    (
        "stripe",
        "",
        "the secret's prefix left away",
        |case| secret(case, |s| s.replace("whsec_", "")),
        Cause::SecretPrefix,
    ),
    (
        "stripe",
        "",
        "signed without the secret's prefix, which is part of the key",
        |case| secret(case, |s| format!("whsec_{s}")),
        Cause::SecretPrefix,
    ),
    (
        "github",
        "",
        "a prefix copied along",
        |case| secret(case, |s| format!("sha256={s}")),
        Cause::SecretPrefix,
    ),
    (
        "stripe",
        "",
        "a line break after the secret",
        |case| secret(case, |s| format!("{s}\n")),
        Cause::SecretWhitespace,
    ),
    (
        "slack",
        "",
        "a space before the secret",
        |case| secret(case, |s| format!(" {s}")),
        Cause::SecretWhitespace,
    ),
    (
        "gitlab",
        "",
        "a line break after the token",
        |case| secret(case, |s| format!("{s}\r\n")),
        Cause::SecretWhitespace,
    ),
    (
        "github",
        "",
        "a line break in the provider's secret",
        |case| {
            let signed = case.body.clone().unwrap();
            let signature = hex::encode(hmac256(format!("{SECRET}\n").as_bytes(), &signed));
            *value(case, "X-Hub-Signature-256") = format!("sha256={signature}");
        },
        Cause::SecretWhitespace,
    ),
    (
        "slack",
        "",
        "quotes around the secret",
        |case| secret(case, |s| format!("\"{s}\"")),
        Cause::SecretWrapped,
    ),
    (
        "gitlab",
        "",
        "a header's first word before the token",
        |case| secret(case, |s| format!("Bearer {s}")),
        Cause::SecretWrapped,
    ),
    (
        "github",
        "",
        "a line of a .env file",
        |case| secret(case, |s| format!("WEBHOOK_SECRET='{s}'")),
        Cause::SecretWrapped,
    ),
    (
        "postmark",
        "",
        "user and password together",
        |case| secret(case, |s| format!("hookplane:{s}")),
        Cause::SecretWrapped,
    ),
    (
        "zendesk",
        "",
        "the secret's base64",
        |case| secret(case, |s| STANDARD.encode(s)),
        Cause::SecretEncoding,
    ),
    (
        "hubspot",
        "v3",
        "the secret's hex",
        |case| secret(case, |s| hex::encode(s)),
        Cause::SecretEncoding,
    ),
    (
        "netlify",
        "",
        "the secret's base64 for a token",
        |case| secret(case, |s| STANDARD.encode(s)),
        Cause::SecretEncoding,
    ),
    (
        "standard-webhooks",
        "",
        "a sender that doesn't decode the secret",
        |case| {
            let signed = format!(
                "msg_synthetic1.1767225600.{}",
                case.body.as_deref().unwrap()
            );
            let key = case.secrets[0].replace("whsec_", "");
            *value(case, "webhook-signature") =
                format!("v1,{}", STANDARD.encode(hmac256(key.as_bytes(), &signed)));
        },
        Cause::SecretEncoding,
    ),
    (
        "standard-webhooks",
        "",
        "a sender that takes the prefix for key",
        |case| {
            let signed = format!(
                "msg_synthetic1.1767225600.{}",
                case.body.as_deref().unwrap()
            );
            let key = case.secrets[0].clone();
            *value(case, "webhook-signature") =
                format!("v1,{}", STANDARD.encode(hmac256(key.as_bytes(), &signed)));
        },
        Cause::SecretEncoding,
    ),
    (
        "github",
        "",
        "another's secret",
        |case| secret(case, |_| "some-other-secret".to_owned()),
        Cause::SecretUnknown,
    ),
    (
        "netlify",
        "",
        "another's secret for a token",
        |case| secret(case, |_| "some-other-secret".to_owned()),
        Cause::SecretUnknown,
    ),
    (
        "gitlab",
        "",
        "another's token",
        |case| secret(case, |_| "some-other-secret".to_owned()),
        Cause::SecretUnknown,
    ),
    (
        "postmark",
        "",
        "another user",
        |case| *case.parameters.entry("user".to_owned()).or_default() = "somebody".to_owned(),
        Cause::UserName,
    ),
    (
        "discord",
        "",
        "the public key of another application",
        |case| {
            secret(case, |_| {
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".to_owned()
            });
        },
        Cause::PublicKeyUnknown,
    ),
];

const SIGNATURES: &[Row] = &[
    (
        "stripe",
        "",
        "no signature",
        |case| remove(case, "Stripe-Signature"),
        Cause::SignatureMissing,
    ),
    (
        "gitlab",
        "",
        "no token",
        |case| remove(case, "X-Gitlab-Token"),
        Cause::SignatureMissing,
    ),
    (
        "github",
        "",
        "the old header alone",
        |case| remove(case, "X-Hub-Signature-256"),
        Cause::SignatureElsewhere,
    ),
    (
        "github",
        "",
        "under another name",
        |case| rename(case, "X-Hub-Signature-256", "X-Signature-256"),
        Cause::SignatureElsewhere,
    ),
    (
        "standard-webhooks",
        "",
        "the headers of Svix",
        |case| {
            for part in ["id", "timestamp", "signature"] {
                rename(case, &format!("webhook-{part}"), &format!("svix-{part}"));
            }
        },
        Cause::SignatureElsewhere,
    ),
    (
        "slack",
        "",
        "no time",
        |case| remove(case, "X-Slack-Request-Timestamp"),
        Cause::SignedPartMissing,
    ),
    (
        "zendesk",
        "",
        "no time in what is signed",
        |case| remove(case, "X-Zendesk-Webhook-Signature-Timestamp"),
        Cause::SignedPartMissing,
    ),
    (
        "github",
        "",
        "without its prefix",
        |case| {
            let header = value(case, "X-Hub-Signature-256");
            *header = header.replace("sha256=", "");
        },
        Cause::SignatureEncoding,
    ),
    (
        "github",
        "",
        "in base64",
        |case| {
            let header = value(case, "X-Hub-Signature-256");
            *header = STANDARD.encode(hex::decode(&header["sha256=".len()..]).unwrap());
        },
        Cause::SignatureEncoding,
    ),
    (
        "zendesk",
        "",
        "in hex",
        |case| {
            let header = value(case, "X-Zendesk-Webhook-Signature");
            *header = hex::encode(STANDARD.decode(&header).unwrap());
        },
        Cause::SignatureEncoding,
    ),
    (
        "stripe",
        "",
        "in base64 among pairs",
        |case| {
            let header = value(case, "Stripe-Signature");
            let (before, signature) = header.split_once("v1=").unwrap();
            *header = format!(
                "{before}v1={}",
                STANDARD.encode(hex::decode(signature).unwrap())
            );
        },
        Cause::SignatureEncoding,
    ),
    (
        "gitlab",
        "",
        "a word before the token",
        |case| value(case, "X-Gitlab-Token").insert_str(0, "Bearer "),
        Cause::SignatureEncoding,
    ),
    (
        "livekit",
        "",
        "a word before the web token",
        |case| value(case, "Authorization").insert_str(0, "Bearer "),
        Cause::SignatureEncoding,
    ),
    (
        "github",
        "",
        "another hash",
        |case| {
            let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
            mac.update(case.body.as_deref().unwrap().as_bytes());
            *value(case, "X-Hub-Signature-256") =
                format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        },
        Cause::HashFunction,
    ),
    (
        "livekit",
        "",
        "another algorithm",
        |case| {
            let header = value(case, "Authorization");
            let (_, rest) = header.split_once('.').unwrap();
            *header = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS512"}"#));
        },
        Cause::TokenAlgorithm,
    ),
    (
        "netlify",
        "",
        "another issuer",
        |case| netlify_signed(case, "somebody"),
        Cause::SignedValue,
    ),
    (
        "hubspot",
        "v2",
        "the header that tells the scheme left out",
        |case| remove(case, "X-HubSpot-Signature-Version"),
        Cause::AnotherScheme,
    ),
];

const TIMES: &[Row] = &[
    (
        "stripe",
        "",
        "posted again after 20 minutes",
        |case| case.now += 1_200_000,
        Cause::TimestampStale,
    ),
    (
        "slack",
        "",
        "two zones away",
        |case| case.now += 2 * 3_600_000,
        Cause::TimestampZone,
    ),
    (
        "standard-webhooks",
        "",
        "our clock is late",
        |case| case.now -= 1_000_000,
        Cause::TimestampAhead,
    ),
    (
        "livekit",
        "",
        "a token that has expired",
        |case| case.now += 1_000_000,
        Cause::TimestampStale,
    ),
    (
        "hubspot",
        "v3",
        "seconds for milliseconds",
        |case| {
            let url = case.callback_url.clone();
            let signed = format!("POST{url}{}1767225600", case.body.as_deref().unwrap());
            *value(case, "X-HubSpot-Request-Timestamp") = "1767225600".to_owned();
            *value(case, "X-HubSpot-Signature-v3") =
                STANDARD.encode(hmac256(SECRET.as_bytes(), &signed));
        },
        Cause::TimestampUnit,
    ),
    (
        "slack",
        "",
        "milliseconds for seconds",
        |case| {
            let signed = format!("v0:1767225600000:{}", case.body.as_deref().unwrap());
            *value(case, "X-Slack-Request-Timestamp") = "1767225600000".to_owned();
            *value(case, "X-Slack-Signature") =
                format!("v0={}", hex::encode(hmac256(SECRET.as_bytes(), &signed)));
            // Its own library checks age alone, and so would take this.
            case.connector = "zoom".to_owned();
            rename(case, "X-Slack-Request-Timestamp", "x-zm-request-timestamp");
            rename(case, "X-Slack-Signature", "x-zm-signature");
        },
        Cause::TimestampUnit,
    ),
];

const URLS: &[Row] = &[
    (
        "twilio",
        "",
        "http for https",
        |case| case.callback_url = case.callback_url.replace("https:", "http:"),
        Cause::Url,
    ),
    (
        "hubspot",
        "v3",
        "https for http",
        |case| case.callback_url = case.callback_url.replace("https:", "http:"),
        Cause::Url,
    ),
    (
        "twilio",
        "",
        "a last slash",
        |case| case.callback_url.push('/'),
        Cause::Url,
    ),
    (
        "twilio",
        "",
        "the host that the provider knows",
        |case| {
            case.callback_url = case
                .callback_url
                .replace("hooks.example.com", "internal.example.net:8443");
            case.headers
                .push(("Host".to_owned(), "hooks.example.com".to_owned()));
        },
        Cause::Url,
    ),
    (
        "hubspot",
        "v3",
        "the host before a proxy, on http within",
        |case| {
            case.callback_url = case
                .callback_url
                .replace("https://hooks.example.com", "http://internal");
            case.headers
                .push(("Host".to_owned(), "internal".to_owned()));
            case.headers.push((
                "X-Forwarded-Host".to_owned(),
                "hooks.example.com".to_owned(),
            ));
        },
        Cause::Url,
    ),
    (
        "hubspot",
        "v3",
        "a query that a proxy added",
        |case| case.query = "utm=1".to_owned(),
        Cause::Url,
    ),
];

const BODIES: &[Row] = &[
    (
        "stripe",
        "",
        "a line feed added",
        |case| body(case, |b| format!("{b}\n")),
        Cause::BodyLineBreak,
    ),
    (
        "discord",
        "",
        "a line feed added to what a private key signed",
        |case| body(case, |b| format!("{b}\n")),
        Cause::BodyLineBreak,
    ),
    (
        "netlify",
        "",
        "a line feed added to what a token holds the hash of",
        |case| body(case, |b| format!("{b}\n")),
        Cause::BodyLineBreak,
    ),
    (
        "github",
        "",
        "a line feed taken away",
        |case| {
            let signed = format!("{}\n", case.body.as_deref().unwrap());
            github_signed(case, &signed);
        },
        Cause::BodyLineBreak,
    ),
    (
        "github",
        "",
        "CR LF made LF",
        |case| {
            github_signed(case, "{\r\n\"a\": 1\r\n}");
            case.body = Some("{\n\"a\": 1\n}".to_owned());
        },
        Cause::BodyLineBreak,
    ),
    (
        "github",
        "",
        "spaces put in",
        |case| body(case, |b| b.replacen("\":", "\": ", 1)),
        Cause::BodyReencoded,
    ),
    (
        "github",
        "",
        "indented text made compact",
        |case| {
            github_signed(case, "{\n  \"b\": 1,\n  \"a\": []\n}");
            case.body = Some(r#"{"b":1,"a":[]}"#.to_owned());
        },
        Cause::BodyReencoded,
    ),
    (
        "slack",
        "",
        "members that were sorted",
        |case| {
            let signed = "v0:1767225600:{\"a\":1,\"b\":\"ö\"}";
            *value(case, "X-Slack-Signature") =
                format!("v0={}", hex::encode(hmac256(SECRET.as_bytes(), signed)));
            case.body = Some(r#"{"b":"ö","a":1}"#.to_owned());
        },
        Cause::BodyReencoded,
    ),
    (
        "github",
        "",
        "letters escaped",
        |case| {
            github_signed(case, r#"{"name":"Zoë"}"#);
            case.body = Some(r#"{"name":"Zo\u00eb"}"#.to_owned());
        },
        Cause::BodyReencoded,
    ),
    (
        "github",
        "",
        "slashes no longer escaped",
        |case| {
            github_signed(case, r#"{"url":"https:\/\/x"}"#);
            case.body = Some(r#"{"url":"https://x"}"#.to_owned());
        },
        Cause::BodyReencoded,
    ),
    (
        "github",
        "",
        "shorter than was said",
        |case| {
            let length = case.body().len() + 7;
            case.headers
                .push(("Content-Length".to_owned(), length.to_string()));
            body(case, |b| b.replacen('1', "2", 1));
        },
        Cause::BodyLength,
    ),
    (
        "github",
        "",
        "nothing signed",
        |case| github_signed(case, ""),
        Cause::BodyUnsigned,
    ),
];

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
