//! Signature Secrets: several at once while one takes the place of another, each with its use counted, so that an old one goes when it is used no more.

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;

use super::asks::Asks;
use super::{Change, Place, definition, title};
use crate::page::{Page, Visitor, form_page, html, to};
use crate::problem::{Faults, Problem};

/// As many as a group takes.
const MAX_SECRETS: usize = 8;

struct Secret {
    name: String,
    /// None: not known now, which must not be taken for not used.
    uses: Option<u64>,
}

/// How often it proved a callback genuine, as far as is counted.
pub(super) fn uses(counts: Option<&v1::GroupCounts>, secret: &str) -> Option<u64> {
    counts.map(|counts| counts.secret_uses.get(secret).copied().unwrap_or(0))
}

#[derive(Template)]
#[template(path = "groups/secrets.html")]
struct Secrets {
    page: Page,
    group: String,
    title: String,
    etag: String,
    secrets: Vec<Secret>,
    /// The function checks one.
    checked: bool,
    /// The one that is asked about.
    removing: Option<Secret>,
    name: String,
    name_error: String,
    value_error: String,
    faults: Faults,
}

impl Secrets {
    fn of(visitor: &Visitor, place: &Place, group: v1::WebhookGroup) -> Self {
        let metadata = group.metadata.unwrap_or_default();
        let spec = group.spec.unwrap_or_default();
        let counts = group.status.unwrap_or_default().counts;
        let secrets = spec.signature_secrets.iter().map(|secret| Secret {
            name: secret.name.clone(),
            uses: uses(counts.as_ref(), &secret.name),
        });
        let title = title(&metadata, &spec);
        Self {
            page: visitor.page(format!("Rotate the secret of {title}"), &place.org),
            group: metadata.name,
            title,
            etag: metadata.etag,
            secrets: secrets.collect(),
            checked: true,
            removing: None,
            name: String::new(),
            name_error: String::new(),
            value_error: String::new(),
            faults: Faults::default(),
        }
    }

    fn is_full(&self) -> bool {
        self.secrets.len() >= MAX_SECRETS
    }

    fn uses_are_unknown(&self) -> bool {
        self.secrets.iter().any(|secret| secret.uses.is_none())
    }
}

pub(in crate::pages) async fn show(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let group = place.get(&visitor).await?;
    let spec = group.spec.clone().unwrap_or_default();
    let mut page = Secrets::of(&visitor, &place, group);
    // A connector of the org's own may be gone; its groups go on.
    if let Ok(connector) = definition(&visitor, &place.org, &spec.connector).await
        && let Some(asks) = Asks::of(&connector, &spec.function)
    {
        page.checked = asks.secret;
    }
    let remove = visitor.query.text("remove");
    if !remove.is_empty() {
        let found = page.secrets.iter().position(|secret| secret.name == remove);
        // Gone already: the list says so.
        page.removing = found.map(|index| page.secrets.remove(index));
    }
    html(&page)
}

pub(in crate::pages) async fn save(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = visitor.posted(&body)?;
    let place = Place::of(place);
    let group = place.get(&visitor).await?;
    let spec = group.spec.clone().unwrap_or_default();
    let names = spec
        .signature_secrets
        .iter()
        .map(|secret| secret.name.as_str());
    let names: Vec<&str> = names.collect();
    let remove = form.text("remove");
    let kept = names.iter().filter(|name| **name != remove);
    // Without a value the stored one stays.
    let mut secrets: Vec<_> = kept
        .map(|name| v1::SignatureSecret {
            name: (*name).to_owned(),
            ..Default::default()
        })
        .collect();
    let done = if remove.is_empty() {
        let name = match form.text("name") {
            "" => free(&names),
            name => name.to_owned(),
        };
        let value = form.raw("secret");
        if value.is_empty() {
            let mut page = Secrets::of(&visitor, &place, group);
            page.value_error = "is missing".to_owned();
            page.faults.add("", "The new secret is missing.");
            form.text("name").clone_into(&mut page.name);
            return form_page(&page.faults, &page);
        }
        secrets.push(v1::SignatureSecret {
            name,
            value: value.to_owned(),
            ..Default::default()
        });
        "secret-added"
    } else {
        if secrets.is_empty() {
            // The API would keep it: a group whose callbacks nothing proves is another set-up.
            let mut page = Secrets::of(&visitor, &place, group);
            page.faults
                .add("", "It is the only one: add the new one first.");
            return form_page(&page.faults, &page);
        }
        "secret-removed"
    };
    let added = secrets.len() - 1;
    let spec = v1::WebhookGroupSpec {
        signature_secrets: secrets,
        ..spec
    };
    let change = Change::of(form.text("etag"), &["signature_secrets"]);
    match place.update(&visitor, spec, change).await {
        Ok(()) => Ok(to(&format!("{}/secrets?done={done}", place.path()))),
        Err(status) => {
            let faults = Faults::of(status)?;
            let mut page = Secrets::of(&visitor, &place, group);
            let at = format!("spec.signatureSecrets[{added}]");
            page.name_error = faults.below(&format!("{at}.name"));
            page.value_error = faults.below(&format!("{at}.value"));
            form.text("name").clone_into(&mut page.name);
            page.faults = faults;
            form_page(&page.faults, &page)
        }
    }
}

/// `secret-2`: the first such name that isn't taken.
fn free(names: &[&str]) -> String {
    (1..=names.len() + 1)
        .map(|number| format!("secret-{number}"))
        .find(|name| !names.contains(&name.as_str()))
        // Of one more than there are names, one is free.
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_nobody_named_gets_the_first_free_number() {
        assert_eq!(free(&[]), "secret-1");
        assert_eq!(free(&["secret-1"]), "secret-2");
        assert_eq!(free(&["secret-2", "main"]), "secret-1");
        assert_eq!(free(&["secret-2", "secret-1"]), "secret-3");
    }
}
