//! The form of a destination, HTTP or Salesforce. Secrets go in and never come back: an empty one keeps what is stored.

use std::collections::BTreeMap;

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;

use super::{Place, update};
use crate::form::Form;
use crate::name;
use crate::page::{Page, Visitor, form_page, html, to};
use crate::problem::{Faults, Problem};

/// Empty rows for headers; whoever needs more saves in between.
const NEW_HEADERS: usize = 3;
/// As the API takes them.
const MAX_HEADERS: usize = 20;

/// What is typed, without the secrets.
#[derive(Default)]
struct Draft {
    name: String,
    etag: String,
    display_name: String,
    /// `http`, `salesforce`.
    kind: String,
    url: String,
    /// Stored headers, with whether they shall go.
    headers: Vec<(String, bool)>,
    new_headers: Vec<String>,
    client_id: String,
    username: String,
    audience: String,
    api_version: String,
    auto_assign: bool,
    allow_duplicates: bool,
    all_or_none: bool,
    concurrency: String,
    rate_per_second: String,
    timeout_seconds: String,
    max_attempts: String,
}

/// Of secrets: whether one is stored is all that is told.
struct Hints {
    signing_secret: String,
    client_secret: String,
    private_key: String,
}

#[derive(Template)]
#[template(path = "destination_edit.html")]
struct Edit {
    page: Page,
    org: String,
    /// None: it is a new one.
    place: Option<Place>,
    draft: Draft,
    hints: Hints,
    faults: Faults,
}

impl Draft {
    fn of(destination: &v1::Destination) -> Self {
        let metadata = destination.metadata.clone().unwrap_or_default();
        let spec = destination.spec.clone().unwrap_or_default();
        let limits = spec.limits.unwrap_or_default();
        let number = |given: u32| match given {
            0 => String::new(),
            given => given.to_string(),
        };
        let mut draft = Self {
            name: metadata.name,
            etag: metadata.etag,
            display_name: spec.display_name,
            concurrency: number(limits.concurrency),
            rate_per_second: number(limits.rate_per_second),
            timeout_seconds: number(limits.timeout_seconds),
            max_attempts: number(limits.max_attempts),
            ..Self::default()
        };
        if let Some(http) = spec.http {
            draft.kind = "http".to_owned();
            draft.url = http.url;
            draft.headers = http.headers.into_keys().map(|name| (name, false)).collect();
            let room = MAX_HEADERS.saturating_sub(draft.headers.len());
            draft.new_headers = vec![String::new(); NEW_HEADERS.min(room)];
        }
        if let Some(salesforce) = spec.salesforce {
            draft.kind = "salesforce".to_owned();
            draft.url = salesforce.url;
            draft.client_id = salesforce.client_id;
            draft.username = salesforce.username;
            draft.audience = salesforce.audience;
            draft.api_version = salesforce.api_version;
            draft.auto_assign = salesforce.auto_assign;
            draft.allow_duplicates = salesforce.allow_duplicates;
            draft.all_or_none = salesforce.all_or_none;
        }
        draft
    }

    fn typed(form: &Form) -> Self {
        let text = |name: &str| form.text(name).to_owned();
        let removed: Vec<&str> = form.all("remove_header").collect();
        let headers: Vec<_> = form
            .all("stored_header")
            .take(MAX_HEADERS)
            .map(|name| (name.to_owned(), removed.contains(&name)))
            .collect();
        let kind = match form.text("kind") {
            "salesforce" => "salesforce",
            _ => "http",
        };
        Self {
            name: text("name"),
            etag: text("etag"),
            display_name: text("display_name"),
            kind: kind.to_owned(),
            url: text("url"),
            headers,
            new_headers: (0..NEW_HEADERS)
                .map(|index| text(&format!("header_name_{index}")))
                .collect(),
            client_id: text("client_id"),
            username: text("username"),
            audience: text("audience"),
            api_version: text("api_version"),
            auto_assign: form.ticked("auto_assign"),
            allow_duplicates: form.ticked("allow_duplicates"),
            all_or_none: form.ticked("all_or_none"),
            concurrency: text("concurrency"),
            rate_per_second: text("rate_per_second"),
            timeout_seconds: text("timeout_seconds"),
            max_attempts: text("max_attempts"),
        }
    }

    fn limits(&self, faults: &mut Faults) -> Option<v1::DeliveryLimits> {
        let mut number = |field: &str, text: &str| match text {
            "" => 0,
            text => text.parse().unwrap_or_else(|_| {
                let field = format!("spec.limits.{field}");
                faults.add(&field, "is no whole number from 0 on");
                0
            }),
        };
        let limits = v1::DeliveryLimits {
            concurrency: number("concurrency", &self.concurrency),
            rate_per_second: number("ratePerSecond", &self.rate_per_second),
            timeout_seconds: number("timeoutSeconds", &self.timeout_seconds),
            max_attempts: number("maxAttempts", &self.max_attempts),
        };
        (limits != v1::DeliveryLimits::default()).then_some(limits)
    }

    fn spec(&self, form: &Form, faults: &mut Faults) -> v1::DestinationSpec {
        let mut spec = v1::DestinationSpec {
            display_name: self.display_name.clone(),
            limits: self.limits(faults),
            ..Default::default()
        };
        if self.kind == "salesforce" {
            spec.salesforce = Some(v1::SalesforceTarget {
                url: self.url.clone(),
                client_id: self.client_id.clone(),
                client_secret: given(form.raw("client_secret")),
                // A key that was pasted has lines, and may have spaces around it.
                private_key: given(form.text("private_key")),
                username: self.username.clone(),
                audience: self.audience.clone(),
                api_version: self.api_version.clone(),
                auto_assign: self.auto_assign,
                allow_duplicates: self.allow_duplicates,
                all_or_none: self.all_or_none,
            });
        } else {
            spec.http = Some(v1::HttpTarget {
                url: self.url.clone(),
                signing_secret: given(form.text("signing_secret")),
                headers: self.headers(form, faults),
            });
        }
        spec
    }

    /// Those that are stored and stay, and those that are new.
    fn headers(&self, form: &Form, faults: &mut Faults) -> BTreeMap<String, v1::Secret> {
        let secret = |value: &str| v1::Secret {
            value: value.to_owned(),
            ..Default::default()
        };
        let mut headers = BTreeMap::new();
        for (index, (name, removed)) in self.headers.iter().enumerate() {
            if !removed {
                let value = form.raw(&format!("stored_value_{index}"));
                headers.insert(name.clone(), secret(value));
            }
        }
        for (index, name) in self.new_headers.iter().enumerate() {
            let value = form.raw(&format!("header_value_{index}"));
            match (name.as_str(), value) {
                ("", "") => {}
                ("", _) => faults.add("spec.http.headers", "one has a value and no name"),
                (name, _) if headers.contains_key(name) => {
                    faults.add("spec.http.headers", "have one name twice");
                }
                (name, value) => drop(headers.insert(name.to_owned(), secret(value))),
            }
        }
        headers
    }
}

fn given(value: &str) -> Option<v1::Secret> {
    (!value.is_empty()).then(|| v1::Secret {
        value: value.to_owned(),
        ..Default::default()
    })
}

impl Hints {
    /// None: it is a new one.
    fn of(destination: Option<&v1::Destination>) -> Self {
        let spec = destination
            .and_then(|one| one.spec.clone())
            .unwrap_or_default();
        let (http, salesforce) = (spec.http, spec.salesforce);
        let hint = |stored: Option<v1::Secret>, text: &str| match stored {
            Some(_) => format!("One is stored: leave this empty to keep it. {text}"),
            None => text.to_owned(),
        };
        Self {
            signing_secret: hint(
                http.and_then(|http| http.signing_secret),
                "whsec_ and base64 of 24 to 64 bytes; requests are signed as Standard Webhooks has it. Without one they are not signed.",
            ),
            client_secret: hint(
                salesforce.clone().and_then(|one| one.client_secret),
                "Client credentials.",
            ),
            private_key: hint(
                salesforce.and_then(|one| one.private_key),
                "JWT bearer: the app's private key, PEM (PKCS #8). Given, it takes the client secret's place.",
            ),
        }
    }
}

/// A new one. Without a kind in the address somebody means a destination of this name.
pub(in crate::pages) async fn fresh(
    visitor: Visitor,
    Path(org): Path<String>,
) -> Result<Response, Problem> {
    let kind = visitor.query.text("kind");
    if kind.is_empty() {
        let name = "new".to_owned();
        return super::shown(&visitor, Place { org, name }).await;
    }
    let draft = Draft {
        kind: match kind {
            "salesforce" => kind.to_owned(),
            _ => "http".to_owned(),
        },
        new_headers: vec![String::new(); NEW_HEADERS],
        ..Draft::default()
    };
    html(&Edit {
        page: visitor.page("New destination", &org),
        org,
        place: None,
        draft,
        hints: Hints::of(None),
        faults: Faults::default(),
    })
}

pub(in crate::pages) async fn create(
    visitor: Visitor,
    Path(org): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = visitor.posted(&body)?;
    let draft = Draft::typed(&form);
    let place = Place {
        org: org.clone(),
        name: name::typed_or_from(&draft.name, &draft.display_name),
    };
    let mut faults = Faults::default();
    let destination = v1::Destination {
        metadata: Some(place.metadata("")),
        spec: Some(draft.spec(&form, &mut faults)),
        status: None,
    };
    if faults.is_empty() {
        let request = v1::CreateDestinationRequest {
            parent: format!("orgs/{org}"),
            destination: Some(destination),
            validate_only: false,
        };
        let mut api = visitor.api.destinations();
        match api.create_destination(request).await {
            Ok(_) => return Ok(to(&format!("{}?done=destination-saved", place.path()))),
            Err(status) => faults = Faults::of(status)?,
        }
    }
    let page = Edit {
        page: visitor.page("New destination", &org),
        org,
        place: None,
        draft,
        hints: Hints::of(None),
        faults,
    };
    form_page(&page.faults, &page)
}

pub(in crate::pages) async fn show(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let destination = place.get(&visitor).await?;
    html(&Edit {
        page: visitor.page(format!("Edit {}", place.name), &place.org),
        org: place.org.clone(),
        draft: Draft::of(&destination),
        hints: Hints::of(Some(&destination)),
        faults: Faults::default(),
        place: Some(place),
    })
}

pub(in crate::pages) async fn save(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let form = visitor.posted(&body)?;
    let draft = Draft::typed(&form);
    let mut faults = Faults::default();
    let destination = v1::Destination {
        metadata: Some(place.metadata(&draft.etag)),
        spec: Some(draft.spec(&form, &mut faults)),
        status: None,
    };
    if faults.is_empty() {
        // Whether it is paused is none of the form's.
        let mask = ["display_name", draft.kind.as_str(), "limits"];
        match update(&visitor, destination, &mask).await {
            Ok(()) => return Ok(to(&format!("{}?done=destination-saved", place.path()))),
            Err(status) => faults = Faults::of(status)?,
        }
    }
    // Without it the form comes back all the same: it says less of secrets.
    let stored = place.get(&visitor).await.ok();
    let page = Edit {
        page: visitor.page(format!("Edit {}", place.name), &place.org),
        org: place.org.clone(),
        draft,
        hints: Hints::of(stored.as_ref()),
        faults,
        place: Some(place),
    };
    form_page(&page.faults, &page)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tonic::Code;

    use super::*;
    use crate::rig::Rig;

    fn spec(text: &str) -> (v1::DestinationSpec, Faults) {
        let form = Form::read(text.as_bytes()).unwrap();
        let mut faults = Faults::default();
        let spec = Draft::typed(&form).spec(&form, &mut faults);
        (spec, faults)
    }

    #[test]
    fn a_stored_header_stays_until_it_is_removed() {
        let (spec, faults) = spec(
            "kind=http&url=u&stored_header=a&stored_header=b&stored_value_1=new&remove_header=a\
             &header_name_0=c&header_value_0=+v+",
        );
        let http = spec.http.unwrap();
        let headers: Vec<_> = http
            .headers
            .iter()
            .map(|(name, secret)| (name.as_str(), secret.value.as_str()))
            .collect();
        assert_eq!(headers, [("b", "new"), ("c", " v ")]);
        assert!(http.signing_secret.is_none() && faults.is_empty());
    }

    #[test]
    fn a_limit_that_is_no_number_is_an_error_at_its_field() {
        let (_, faults) = spec("kind=http&concurrency=many&max_attempts=3&header_value_0=x");
        assert!(faults.at("spec.limits.concurrency").contains("number"));
        assert!(faults.at("spec.http.headers").contains("no name"));
        assert_eq!(faults.all().count(), 2);
    }

    #[test]
    fn an_empty_secret_is_left_out_and_keeps_the_stored_one() {
        let (spec, _) = spec("kind=salesforce&url=u&client_id=i&client_secret=&private_key=");
        let salesforce = spec.salesforce.unwrap();
        assert!(salesforce.client_secret.is_none() && salesforce.private_key.is_none());
        assert!(spec.limits.is_none() && spec.http.is_none());
    }

    #[tokio::test]
    async fn what_is_typed_comes_back_when_it_can_not_be_taken_now() {
        let rig = Rig::new();
        let cookie = rig.signed_in("hp_1").await;
        rig.says("ListOrgs", &v1::ListOrgsResponse::default());
        let mark = rig.get("/", &cookie).await.mark();
        rig.refuses("CreateDestination", Code::ResourceExhausted);
        rig.refuses("UpdateDestination", Code::Unavailable);
        rig.refuses("GetDestination", Code::Unavailable);
        let fields = [("mark", &*mark), ("name", "crm"), ("url", "https://typed")];
        for (path, status) in [
            ("/orgs/acme/destinations", StatusCode::TOO_MANY_REQUESTS),
            (
                "/orgs/acme/destinations/crm/edit",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
        ] {
            let answer = rig.post(path, &cookie, &fields).await;
            assert_eq!(answer.status, status, "{}", answer.text);
            assert!(answer.text.contains(r#"value="https://typed""#));
            assert!(answer.text.contains("Wait a moment, then send it again."));
        }
    }
}
