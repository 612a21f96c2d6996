//! Mistakes with the time.

use super::*;

pub(super) const TIMES: &[Row] = &[
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
