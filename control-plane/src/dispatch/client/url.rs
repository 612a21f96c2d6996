//! What a destination's URL may look like.

use std::net::IpAddr;

use http::Uri;

use super::networks::Networks;

/// The longest URL.
pub const MAX_URL_BYTES: usize = 2_048;

pub(super) fn check(text: &str, networks: &Networks) -> Result<(), String> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("is longer than {MAX_URL_BYTES} bytes"));
    }
    // Never sent, and lost where URLs are parsed.
    if text.contains('#') {
        return Err("must have no fragment (#)".to_owned());
    }
    let uri: Uri = text
        .parse()
        .map_err(|error| format!("is no URL ({error}): write it as https://HOST/PATH"))?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") if networks.is_empty() => {
            return Err(
                "must begin with https://: the operator allowed no range of addresses that http:// may go to"
                    .to_owned(),
            );
        }
        Some("http") => false,
        _ => return Err("must begin with https://".to_owned()),
    };
    let authority = uri
        .authority()
        .ok_or("has no host: write it as https://HOST/PATH")?;
    if authority.as_str().contains('@') {
        return Err(
            "must have no user and password: put them into the header Authorization, where they are kept sealed"
                .to_owned(),
        );
    }
    if uri.port().is_some() && uri.port_u16().is_none_or(|port| port == 0) {
        return Err("has no port that can be connected to".to_owned());
    }
    let host = authority.host();
    if host.is_empty() {
        return Err("has no host: write it as https://HOST/PATH".to_owned());
    }
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = literal.parse::<IpAddr>() {
        networks
            .checked(address, tls)
            .map_err(|why| format!("leads nowhere: {why}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_leads_nowhere_is_told_when_it_is_saved() {
        let none = Networks::default();
        for (url, why) in [
            ("https://user:pass@example.com/", "Authorization"),
            ("https://example.com/#x", "fragment"),
            ("http://example.com/", "https://"),
            ("ftp://example.com/", "https://"),
            ("/path", "https://"),
            ("https:///path", ""),
            ("https://example.com:0/", "port"),
            ("https://127.0.0.1/", "--allow-destinations"),
            ("https://[::ffff:10.0.0.1]/", "--allow-destinations"),
            (
                "https://169.254.169.254/latest/meta-data",
                "--allow-destinations",
            ),
        ] {
            let refused = check(url, &none).unwrap_err();
            assert!(refused.contains(why), "{url}: {refused}");
        }
        let long = format!("https://example.com/{}", "x".repeat(MAX_URL_BYTES));
        assert!(check(&long, &none).is_err());
        for url in ["https://example.com", "https://example.com:8443/a?b=c"] {
            assert_eq!(check(url, &none), Ok(()), "{url}");
        }
        let local = Networks::loopback();
        for url in [
            "http://127.0.0.1:9000/in",
            "http://localhost:9000",
            "https://[::1]/",
        ] {
            assert_eq!(check(url, &local), Ok(()), "{url}");
        }
        assert!(check("http://8.8.8.8/", &local).is_err());
    }
}
