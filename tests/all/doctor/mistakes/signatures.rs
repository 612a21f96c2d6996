//! Mistakes with the signature.

use super::*;

pub(super) const SIGNATURES: &[Row] = &[
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
