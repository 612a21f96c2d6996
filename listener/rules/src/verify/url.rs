//! The URLs that a signature may be over.
//!
//! Risk 39: what is signed is the URL that the provider was given. Proxies change host, port and scheme, and the Host header is the
//! caller's own, so nothing of the request but its query goes into it.

use std::borrow::Cow;

/// Retiring URLs that are still tried. More would let a flood of forgeries cost more than it must.
const MAX_RETIRING: usize = 3;

/// The bases that are tried: each URL as it is, and with or without its scheme's own port.
pub(crate) fn candidates(callback_url: &str, retiring: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let known = [callback_url]
        .into_iter()
        .chain(retiring.iter().take(MAX_RETIRING).copied());
    for url in known.filter(|url| !url.is_empty()) {
        for candidate in [Some(url.to_owned()), other_port_form(url)]
            .into_iter()
            .flatten()
        {
            if !all.contains(&candidate) {
                all.push(candidate);
            }
        }
    }
    all
}

fn other_port_form(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if let Some(host) = authority.strip_suffix(port) {
        return Some(format!("{scheme}://{host}{path}"));
    }
    // A colon within brackets is an IPv6 address's own.
    let after_brackets = authority.rsplit(']').next().unwrap_or(authority);
    (!after_brackets.contains(':')).then(|| format!("{scheme}://{authority}{port}{path}"))
}

/// A URL as some providers sign it: with the escapes undone that separate nothing. So two URLs that are signed alike also read alike.
pub(crate) fn unescaped(url: &str) -> Cow<'_, str> {
    const ESCAPES: [(&str, &str); 12] = [
        ("%3A", ":"),
        ("%2F", "/"),
        ("%3F", "?"),
        ("%40", "@"),
        ("%21", "!"),
        ("%24", "$"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
        ("%2C", ","),
        ("%3B", ";"),
    ];
    if !url.contains('%') {
        return Cow::Borrowed(url);
    }
    let mut out = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let plain = rest.get(..3).and_then(|escape| {
            ESCAPES
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(escape))
        });
        match plain {
            Some((_, plain)) => {
                out.push_str(plain);
                rest = &rest[3..];
            }
            None => {
                out.push('%');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}
