//! Mistakes with the URL.

use super::*;

pub(super) const URLS: &[Row] = &[
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
