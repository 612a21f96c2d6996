//! Mistakes with the body.

use super::*;

pub(super) const BODIES: &[Row] = &[
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
