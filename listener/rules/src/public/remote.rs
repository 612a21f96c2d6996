//! Where keys may be fetched: the URL as rendered must be https, on one of the definition's hosts, and of its path.
//!
//! A URL that a sender names is read by our own few rules and not by a URL parser: nothing is taken that two readers could take for two
//! hosts or paths.

use std::sync::Arc;

use super::{KeySource, Reading};
use crate::location::Location;
use crate::request::{Around, Request};
use crate::template::Template;
use crate::{Refusal, RefusalKind};

/// The longest URL, in bytes.
const MAX_URL_BYTES: usize = 1_024;
/// The longest name of a host, in bytes.
const MAX_HOST_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// A definition's remote keys, compiled.
#[derive(Debug)]
pub(crate) struct RemoteKeys {
    pub(crate) url: Template,
    /// The sender has a say in the URL.
    pub(crate) is_sender_named: bool,
    pub(crate) place: Place,
    /// Where the request names the key.
    pub(crate) key_id: Option<Location>,
    pub(crate) reading: Arc<Reading>,
}

/// What a URL must fit.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Any of them. None where the URL is the group's own alone.
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) path_prefix: String,
    pub(crate) path_suffix: String,
}

/// A host's labels; none stands for any one.
#[derive(Debug)]
pub(crate) struct HostPattern(Vec<Option<String>>);

impl HostPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let labels: Vec<Option<String>> = text
            .split('.')
            .map(|label| (label != "*").then(|| label.to_ascii_lowercase()))
            .collect();
        if !labels.iter().flatten().all(|label| is_label(label)) || text.len() > MAX_HOST_BYTES {
            return Err(format!(
                "`{text}` is no host; one is `api.example.com`, without scheme, port and path, and `*` stands for one whole label"
            ));
        }
        // Who may name anything below a public suffix names a host of his own.
        let fixed = labels.iter().rev().take_while(|label| label.is_some());
        if fixed.count() < 2 {
            return Err(format!(
                "`{text}` must end in two labels that are written out"
            ));
        }
        Ok(Self(labels))
    }

    fn fits(&self, host: &str) -> bool {
        let labels: Vec<&str> = host.split('.').collect();
        labels.len() == self.0.len()
            && labels
                .iter()
                .zip(&self.0)
                .all(|(label, pattern)| pattern.as_deref().is_none_or(|one| one == *label))
    }
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    (1..=MAX_LABEL_BYTES).contains(&bytes.len())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Host and path of a URL, when there is only one way to read it.
pub(crate) fn split(url: &str, may_have_query: bool) -> Result<(String, &str), &'static str> {
    if url.len() > MAX_URL_BYTES {
        return Err("it is too long");
    }
    if !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("it holds what no URL holds");
    }
    let rest = url.strip_prefix("https://").ok_or("it is not https")?;
    let (host, path) = rest.split_at(rest.find('/').ok_or("it has no path")?);
    let host = host.to_ascii_lowercase();
    let is_name = host.len() <= MAX_HOST_BYTES
        && host.contains('.')
        && host.split('.').all(is_label)
        // The last label of an address is a number; of a name it never is.
        && host.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_lowercase()));
    if !is_name {
        return Err("its host is not a plain name, without user, port and address");
    }
    let (only_path, query) = match path.split_once('?') {
        Some((only_path, query)) => (only_path, Some(query)),
        None => (path, None),
    };
    if query.is_some() && !may_have_query {
        return Err("it has a query");
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&b);
    if !only_path.bytes().all(plain) {
        return Err("its path holds an escape, a fragment or a backslash");
    }
    if query.is_some_and(|query| query.contains(['#', '\\'])) {
        return Err("its query holds a fragment or a backslash");
    }
    if only_path
        .split('/')
        .skip(1)
        .any(|segment| matches!(segment, "." | ".."))
        || only_path.contains("//")
    {
        return Err("its path has empty or dotted segments");
    }
    Ok((host, path))
}

impl Place {
    /// Host and path, when the URL fits.
    pub(crate) fn admit<'a>(
        &self,
        url: &'a str,
        may_have_query: bool,
    ) -> Result<(String, &'a str), &'static str> {
        let (host, path) = split(url, may_have_query)?;
        if !self.hosts.is_empty() && !self.hosts.iter().any(|pattern| pattern.fits(&host)) {
            return Err("its host is none of the provider's");
        }
        let only_path = path.split('?').next().unwrap_or(path);
        if !only_path.starts_with(&self.path_prefix) || !only_path.ends_with(&self.path_suffix) {
            return Err("its path is not one of the provider's keys");
        }
        Ok((host, path))
    }
}

impl RemoteKeys {
    /// What it reads of a request.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &Location> {
        self.url.locations().into_iter().chain(&self.key_id)
    }

    /// Where this request's key is.
    pub(crate) fn source(
        &self,
        request: &Request,
        around: Around<'_>,
    ) -> Result<KeySource, Refusal> {
        let refuse = |why: String| Refusal::new(RefusalKind::Signature, why);
        let mut url = Vec::new();
        request
            .render(&self.url, around, &mut |bytes| {
                // A bit more than may be, so that it is seen to be too long.
                let room = (MAX_URL_BYTES + 1).saturating_sub(url.len());
                url.extend_from_slice(&bytes[..bytes.len().min(room)]);
            })
            .map_err(|(missing, why)| crate::verify::signature::refuse(&missing, why))?;
        let url =
            std::str::from_utf8(&url).map_err(|_| refuse("the key's URL is no text".to_owned()))?;
        let (host, path) = self
            .place
            .admit(url, !self.is_sender_named)
            .map_err(|why| refuse(format!("the key's URL is refused: {why}")))?;
        Ok(KeySource {
            host,
            path: path.to_owned(),
            reading: Arc::clone(&self.reading),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(hosts: &[&str], prefix: &str, suffix: &str) -> Place {
        Place {
            hosts: hosts
                .iter()
                .map(|host| HostPattern::parse(host).unwrap())
                .collect(),
            path_prefix: prefix.to_owned(),
            path_suffix: suffix.to_owned(),
        }
    }

    // Risk 36: the sender names where the key is.
    #[test]
    fn a_url_with_another_host_or_a_trick_in_it_is_refused() {
        let place = place(
            &["sns.*.amazonaws.com", "sns.*.amazonaws.com.cn"],
            "/Simple",
            ".pem",
        );
        for good in [
            "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-abc.pem",
            "https://SNS.eu-west-1.amazonaws.com/SimpleNotificationService-abc.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-abc.pem",
        ] {
            place.admit(good, false).unwrap();
        }
        for bad in [
            "http://sns.eu-west-1.amazonaws.com/Simple.pem",
            "HTTPS://sns.eu-west-1.amazonaws.com/Simple.pem",
            "//sns.eu-west-1.amazonaws.com/Simple.pem",
            "https:/sns.eu-west-1.amazonaws.com/Simple.pem",
            "https://sns.eu-west-1.amazonaws.com.evil.com/Simple.pem",
            "https://evil.com/.amazonaws.com/Simple.pem",
            "https://evil.com/Simple.pem",
            "https://sns.amazonaws.com/Simple.pem",
            "https://sns.a.b.amazonaws.com/Simple.pem",
            "https://sns..amazonaws.com/Simple.pem",
            "https://xsns.eu-west-1.amazonaws.com/Simple.pem",
            "https://sns.eu-west-1.amazonaws.com./Simple.pem",
            "https://sns.eu-west-1.amazonaws.com:443/Simple.pem",
            "https://sns.eu-west-1.amazonaws.com:8443/Simple.pem",
            "https://user@sns.eu-west-1.amazonaws.com/Simple.pem",
            "https://sns.eu-west-1.amazonaws.com@evil.com/Simple.pem",
            "https://evil.com#@sns.eu-west-1.amazonaws.com/Simple.pem",
            "https://evil.com\\@sns.eu-west-1.amazonaws.com/Simple.pem",
            "https://evil.com\\.eu.amazonaws.com/Simple.pem",
            "https://sns.evil.com/.amazonaws.com/Simple.pem",
            "https://sns.evil.com?.amazonaws.com/Simple.pem",
            "https://sns.%65u.amazonaws.com/Simple.pem",
            "https://sns.eü.amazonaws.com/Simple.pem",
            "https://sns.e u.amazonaws.com/Simple.pem",
            "https://sns.eu\n.amazonaws.com/Simple.pem",
            "https://sns.eu-west-1.amazonaws.com",
            "https://sns.eu-west-1.amazonaws.com/",
            "https://sns.eu-west-1.amazonaws.com/Simple.pem?x",
            "https://sns.eu-west-1.amazonaws.com/Simple?.pem",
            "https://sns.eu-west-1.amazonaws.com/Simple#.pem",
            "https://sns.eu-west-1.amazonaws.com/Simple/../evil.pem",
            "https://sns.eu-west-1.amazonaws.com/Simple/..%2fevil.pem",
            "https://sns.eu-west-1.amazonaws.com/Simple//evil.pem",
            "https://sns.eu-west-1.amazonaws.com/other.pem",
            "https://sns.eu-west-1.amazonaws.com/Simple.pem.exe",
            "",
        ] {
            assert!(place.admit(bad, false).is_err(), "{bad}");
        }
        let long = format!(
            "https://sns.eu.amazonaws.com/Simple{}.pem",
            "a".repeat(MAX_URL_BYTES)
        );
        assert!(place.admit(&long, false).is_err());
    }

    #[test]
    fn an_address_is_no_host() {
        let anywhere = Place::default();
        anywhere
            .admit("https://keys.example.com/jwks.json?v=1", true)
            .unwrap();
        for bad in [
            "https://127.0.0.1/keys",
            "https://2130706433/keys",
            "https://0x7f.0.0.1/keys",
            "https://[::1]/keys",
            "https://localhost/keys",
            "https://10.1/keys",
        ] {
            assert!(anywhere.admit(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_that_fits_everything_is_refused() {
        for bad in [
            "*",
            "*.com",
            "a.*.com",
            "",
            "https://a.com",
            "a.com:443",
            "a.com/",
            "a*.example.com",
            "a..com",
            ".com",
        ] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
        HostPattern::parse("*.Example.com").unwrap();
    }
}
