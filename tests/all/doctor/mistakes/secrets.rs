//! Mistakes with the secret.

use super::*;

pub(super) const SECRETS: &[Row] = &[
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
