//! Mistakes with the URL: what the provider signed is what it was given, or what a proxy made of it.

use http::HeaderName;
use http::header::HOST;

use super::trial::{Altered, Patient, Trials};
use super::{Cause, Diagnosis};
use crate::request::{path_of, single, with_query};

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The longest name of a host.
const MAX_HOST_BYTES: usize = 253;

pub(super) fn examine(patient: Patient<'_>, trials: &mut Trials<'_>) -> Option<Diagnosis> {
    if !patient.scheme.is_url_bound() {
        return None;
    }
    let url = &*patient.group.callback_url;
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let other_scheme = if scheme == "https" { "http" } else { "https" };
    let slash = match url.strip_suffix('/') {
        Some(without) => without.to_owned(),
        None => format!("{url}/"),
    };
    let mut forms = vec![
        (
            format!("{other_scheme}://{rest}"),
            format!(
                "{other_scheme}:// where the callback URL has {scheme}://, as behind a proxy that ends TLS"
            ),
        ),
        (
            slash,
            "the callback URL with its last slash added or left out".to_owned(),
        ),
        (
            path_of(url).to_owned(),
            "the path alone, without scheme and host".to_owned(),
        ),
        (
            with_query(url, &patient.callback.query).into_owned(),
            "the URL with its query".to_owned(),
        ),
        (
            format!("{scheme}://{}{path}", authority.to_ascii_lowercase()),
            "the host in small letters".to_owned(),
        ),
    ];
    for (name, header) in [("Host", HOST), ("X-Forwarded-Host", FORWARDED_HOST)] {
        let Some(host) = single(&patient.callback.headers, &header)
            .filter(|host| is_host(host) && *host != authority)
        else {
            continue;
        };
        let bare = host.split(':').next().unwrap_or(host);
        for (scheme, host) in [
            (scheme, host),
            (other_scheme, host),
            (scheme, bare),
            (other_scheme, bare),
        ] {
            forms.push((
                format!("{scheme}://{host}{path}"),
                format!("a URL on {scheme}://{host}, as header {name} has it, and not on the callback URL's host"),
            ));
        }
    }
    for (form, what) in forms {
        let urls = [form];
        let altered = Altered {
            urls: Some(&urls),
            ..Altered::default()
        };
        if trials.fits(patient, altered).is_some() {
            return Some(advice(&what));
        }
    }
    if !patient.callback.query.is_empty() {
        let mut callback = patient.callback.clone();
        callback.query.clear();
        let altered = Altered {
            callback: Some(callback),
            ..Altered::default()
        };
        if trials.fits(patient, altered).is_some() {
            return Some(advice("the URL without its query"));
        }
    }
    None
}

fn advice(what: &str) -> Diagnosis {
    Diagnosis::new(
        Cause::Url,
        format!(
            "the provider signed {what}: give it exactly the group's callback URL (`hookplane get group` shows it), or start the control \
             plane with the public URL that providers see"
        ),
    )
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_HOST_BYTES
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
}
