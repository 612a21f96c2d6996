//! The start page: the orgs that the visitor sees. With one there is nothing to choose.

use askama::Template;
use axum::body::Bytes;
use axum::response::Response;
use hookplane_proto::v1;

use crate::form::Form;
use crate::name;
use crate::page::{Page, Visitor, form_page, html, to};
use crate::problem::{Faults, Problem};

struct Row {
    name: String,
    display_name: String,
}

#[derive(Template)]
#[template(path = "orgs.html")]
struct Orgs {
    page: Page,
    orgs: Vec<Row>,
    next: Option<String>,
    faults: Faults,
    name: String,
    display_name: String,
}

async fn listed(visitor: &Visitor) -> Result<Orgs, Problem> {
    let request = v1::ListOrgsRequest {
        page_size: 100,
        page_token: visitor.query.text("page").to_owned(),
    };
    let answer = visitor.api.orgs().list_orgs(request).await?.into_inner();
    let orgs = answer.orgs.into_iter().map(|org| Row {
        name: org.metadata.unwrap_or_default().name,
        display_name: org.spec.unwrap_or_default().display_name,
    });
    Ok(Orgs {
        page: visitor.page("Orgs", ""),
        orgs: orgs.collect(),
        next: Some(answer.next_page_token).filter(|next| !next.is_empty()),
        faults: Faults::default(),
        name: String::new(),
        display_name: String::new(),
    })
}

pub(super) async fn list(visitor: Visitor) -> Result<Response, Problem> {
    if !visitor.who.org.is_empty() {
        return Ok(to(&format!("/orgs/{}", visitor.who.org)));
    }
    html(&listed(&visitor).await?)
}

pub(super) async fn create(visitor: Visitor, body: Bytes) -> Result<Response, Problem> {
    let form = visitor.posted(&body)?;
    let (typed, display_name) = (form.text("name"), form.text("display_name"));
    let name = name::typed_or_from(typed, display_name);
    let org = v1::Org {
        metadata: Some(v1::Metadata {
            name: name.clone(),
            ..Default::default()
        }),
        spec: Some(v1::OrgSpec {
            display_name: display_name.to_owned(),
            ..Default::default()
        }),
    };
    let mut faults = Faults::default();
    match (name.is_empty(), display_name.is_empty()) {
        (true, true) => faults.add("spec.displayName", "is missing: it is what people read"),
        (true, false) => faults.add(
            "metadata.name",
            "can't be made of this name: type one, of lower-case letters, digits and dashes",
        ),
        (false, _) => {}
    }
    if !faults.is_empty() {
        return refused(&visitor, &form, faults).await;
    }
    let request = v1::CreateOrgRequest {
        org: Some(org),
        validate_only: false,
    };
    match visitor.api.orgs().create_org(request).await {
        Ok(_) => Ok(to(&format!("/orgs/{name}/connectors?done=org-created"))),
        Err(status) => refused(&visitor, &form, Faults::of(status)?).await,
    }
}

async fn refused(visitor: &Visitor, form: &Form, faults: Faults) -> Result<Response, Problem> {
    let page = Orgs {
        faults,
        name: form.text("name").to_owned(),
        display_name: form.text("display_name").to_owned(),
        ..listed(visitor).await?
    };
    form_page(&page.faults, &page)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::rig::Rig;

    #[tokio::test]
    async fn an_org_without_a_name_is_refused_at_the_field_that_people_type() {
        let rig = Rig::new();
        let org = v1::Org {
            metadata: Some(v1::Metadata {
                name: "acme".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let orgs = v1::ListOrgsResponse {
            orgs: vec![org],
            ..Default::default()
        };
        rig.says("ListOrgs", &orgs);
        let cookie = rig.signed_in("of-an-admin").await;
        let mark = rig.get("/", &cookie).await.mark();
        for (display_name, id) in [("", "display_name-error"), ("!!!", "name-error")] {
            let fields = [
                ("mark", &*mark),
                ("display_name", display_name),
                ("name", ""),
            ];
            let answer = rig.post("/orgs", &cookie, &fields).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
            let wrong = answer.text.matches("-error\">").count();
            assert_eq!(wrong, 1, "{}", answer.text);
            assert!(answer.text.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
}
