//! Tokens of an org, for its admins: made, shown once, listed, revoked.

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;
use tonic::Code;
use v1::TokenRole;

use crate::form::Form;
use crate::moment::Moment;
use crate::page::{Page, Visitor, form_page, html, to};
use crate::problem::{Faults, Problem};
use crate::spoken::in_words;
use crate::weight;

/// On one page.
const ROWS: u32 = 100;
/// Of what one is for, in the list: a token may name a hundred webhooks.
const NAMED: usize = 400;
const DAY: u32 = 24 * 3_600;

/// Each role, its name in a form, and what it may.
const ROLES: [(&str, &str); 5] = [
    (
        "viewer",
        "reads everything of the org but tokens; secrets are never read",
    ),
    (
        "editor",
        "that, and writes connectors, groups, webhooks and destinations, and replays",
    ),
    ("admin", "that, and tokens, and deleting the org"),
    ("consumer", "takes the deliveries of the webhooks it names"),
    (
        "listener",
        "gets the configuration of the pools it names, secrets among it, and reports for them",
    ),
];
/// How long one lasts, in days; 0: until it is revoked.
const LIFETIMES: [(u32, &str); 5] = [
    (30, "30 days"),
    (90, "90 days"),
    (365, "a year"),
    (3_650, "ten years"),
    (0, "until it is revoked"),
];
const USUAL_DAYS: u32 = 90;

struct Row {
    id: String,
    role: &'static str,
    named: Vec<String>,
    /// Names that a row has no room for.
    more: usize,
    expires: Option<Moment>,
    used: Option<Moment>,
    created: Option<Moment>,
    /// The one that the visitor signed in with.
    own: bool,
}

/// What is told once.
struct Made {
    id: String,
    role: &'static str,
    bearer: String,
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct Tokens {
    page: Page,
    tokens: Vec<Row>,
    next: String,
    made: Option<Made>,
    role: String,
    webhooks: String,
    pools: String,
    days: u32,
    faults: Faults,
}

impl Tokens {
    fn webhooks_error(&self) -> String {
        self.faults.below("spec.webhooks")
    }
}

#[derive(Template)]
#[template(path = "token_revoke.html")]
struct Revoke {
    page: Page,
    token: Row,
}

fn role_of(name: &str) -> TokenRole {
    match name {
        "admin" => TokenRole::Admin,
        "editor" => TokenRole::Editor,
        "viewer" => TokenRole::Viewer,
        "consumer" => TokenRole::Consumer,
        "listener" => TokenRole::Listener,
        _ => TokenRole::Unspecified,
    }
}

fn row(visitor: &Visitor, token: v1::Token) -> Row {
    let metadata = token.metadata.unwrap_or_default();
    let spec = token.spec.unwrap_or_default();
    let status = token.status.unwrap_or_default();
    let role = spec.role();
    let name = ROLES.iter().find(|(name, _)| role_of(name) == role);
    let prefix = format!("orgs/{}/groups/", metadata.org);
    let webhooks = spec.webhooks.iter().map(|path| {
        // `shop/paid`
        let path = path.strip_prefix(&prefix).unwrap_or(path);
        path.replacen("/webhooks/", "/", 1)
    });
    Row {
        own: metadata.name == visitor.who.token,
        id: metadata.name,
        role: name.map_or("unknown", |(name, _)| name),
        named: webhooks.chain(spec.pools.iter().cloned()).collect(),
        more: 0,
        expires: Moment::of(status.expire_time.as_ref()),
        used: Moment::of(status.last_use_time.as_ref()),
        created: Moment::of(metadata.create_time.as_ref()),
    }
}

async fn listed(visitor: &Visitor, org: &str) -> Result<Tokens, Problem> {
    let request = v1::ListTokensRequest {
        parent: format!("orgs/{org}"),
        page_size: ROWS,
        page_token: visitor.query.text("page").to_owned(),
    };
    let answer = visitor
        .api
        .tokens()
        .list_tokens(request)
        .await?
        .into_inner();
    let tokens = answer.tokens.into_iter().map(|token| {
        let mut row = row(visitor, token);
        (row.named, row.more) = weight::first(row.named, NAMED, |name| 2 + weight::of(name));
        row
    });
    Ok(Tokens {
        page: visitor.page("Tokens", org),
        tokens: tokens.collect(),
        next: answer.next_page_token,
        made: None,
        role: "editor".to_owned(),
        webhooks: String::new(),
        pools: String::new(),
        days: USUAL_DAYS,
        faults: Faults::default(),
    })
}

pub(super) async fn list(visitor: Visitor, Path(org): Path<String>) -> Result<Response, Problem> {
    html(&listed(&visitor, &org).await?)
}

/// `shop/paid` and `order/*`, as they are typed, as the API names them. The form has a field for either, whichever role is chosen; what isn't the
/// role's is an error of the API's.
fn spec_of(org: &str, form: &Form) -> v1::TokenSpec {
    let words = |name: &str| {
        let text = form.text(name).replace(',', " ");
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let webhook = |typed: String| match typed.split_once('/') {
        Some((group, webhook)) if !webhook.contains('/') => {
            format!("orgs/{org}/groups/{group}/webhooks/{webhook}")
        }
        _ => typed,
    };
    v1::TokenSpec {
        role: role_of(form.text("role")).into(),
        webhooks: words("webhooks").into_iter().map(webhook).collect(),
        pools: words("pools"),
    }
}

pub(super) async fn create(
    visitor: Visitor,
    Path(org): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = visitor.posted(&body)?;
    let days = form.text("days").parse().ok();
    let days = days.filter(|asked| LIFETIMES.iter().any(|(days, _)| days == asked));
    let request = v1::CreateTokenRequest {
        parent: format!("orgs/{org}"),
        spec: Some(spec_of(&org, &form)),
        lifetime_seconds: days.unwrap_or(USUAL_DAYS).saturating_mul(DAY),
    };
    let created = visitor.api.tokens().create_token(request).await;
    let mut page = listed(&visitor, &org).await?;
    match created {
        // No redirect: what is told once would have to be in an address. Sending the form again makes another token, which the list shows.
        Ok(answer) => {
            let answer = answer.into_inner();
            let token = row(&visitor, answer.token.unwrap_or_default());
            page.made = Some(Made {
                id: token.id,
                role: token.role,
                bearer: answer.bearer,
            });
            html(&page)
        }
        Err(status) => {
            page.faults = match status.code() {
                // Of the webhooks that it names; the org is there, for its tokens were listed.
                Code::NotFound => {
                    let mut faults = Faults::default();
                    faults.add("spec.webhooks", &in_words(status.message()));
                    faults
                }
                _ => Faults::of(status)?,
            };
            form.text("role").clone_into(&mut page.role);
            form.text("webhooks").clone_into(&mut page.webhooks);
            form.text("pools").clone_into(&mut page.pools);
            page.days = days.unwrap_or(USUAL_DAYS);
            form_page(&page.faults, &page)
        }
    }
}

pub(super) async fn ask(
    visitor: Visitor,
    Path((org, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let request = v1::GetTokenRequest {
        name: format!("orgs/{org}/tokens/{id}"),
    };
    let token = visitor.api.tokens().get_token(request).await?.into_inner();
    html(&Revoke {
        page: visitor.page(format!("Revoke token {id}?"), &org),
        token: row(&visitor, token),
    })
}

pub(super) async fn revoke(
    visitor: Visitor,
    Path((org, id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    visitor.posted(&body)?;
    let request = v1::RevokeTokenRequest {
        name: format!("orgs/{org}/tokens/{id}"),
    };
    visitor.api.tokens().revoke_token(request).await?;
    Ok(to(&format!("/orgs/{org}/tokens?done=token-revoked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_and_pools_are_named_as_they_are_typed() {
        let form = "role=consumer&webhooks=shop/paid,+code/to-main%0Aorgs/a/groups/g/webhooks/w&pools=eu+us";
        let spec = spec_of("acme", &Form::read(form.as_bytes()).unwrap());
        assert_eq!(spec.role(), TokenRole::Consumer);
        assert_eq!(
            spec.webhooks,
            [
                "orgs/acme/groups/shop/webhooks/paid",
                "orgs/acme/groups/code/webhooks/to-main",
                "orgs/a/groups/g/webhooks/w"
            ]
        );
        assert_eq!(spec.pools, ["eu", "us"]);
        let none = spec_of("acme", &Form::read(b"role=root").unwrap());
        assert_eq!(none, v1::TokenSpec::default());
    }
}
