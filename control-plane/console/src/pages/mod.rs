//! A file per page, and the parts that several have (`activity`, `changes`, `inbound`, `selection`, `story`, `waits`); here is which address leads where.

mod activity;
mod changes;
mod connector;
mod connectors;
mod deliveries;
mod destinations;
mod downloads;
mod events;
mod fleet;
mod groups;
mod inbound;
mod live;
mod mapping;
mod orgs;
mod overview;
mod refusals;
mod replay;
mod selection;
mod send_test;
mod sign_in;
mod story;
mod tokens;
mod waits;
mod webhooks;

use std::borrow::Cow;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::{Method, Uri};

use crate::Console;
use crate::form::Form;
use crate::page::{Page, to};
use crate::problem::Problem;
use crate::words;

impl Page {
    /// The menu of an org: what follows the org in the address, and what it is called.
    pub(crate) const PARTS: [(&'static str, &'static str); 6] = [
        ("connectors", "Connectors"),
        ("destinations", "Destinations"),
        ("events", "Events"),
        ("deliveries", "Deliveries"),
        ("refusals", "Refusals"),
        ("live", "Live"),
    ];
}

/// What a form that was taken says on the page it leads to, by the address's `done`: these texts and no others.
pub(crate) fn note(query: &Form) -> Option<Cow<'static, str>> {
    let done = query.text("done");
    // A number, and nothing else that an address says.
    if let ("replayed", Ok(count)) = (done, query.text("count").parse()) {
        return Some(put_back(count).into());
    }
    known(done).map(Cow::Borrowed)
}

fn put_back(count: u64) -> String {
    let deliveries = match count {
        0 => {
            return "Nothing is put back: what was chosen is on its way, or changed meanwhile."
                .to_owned();
        }
        1 => "1 delivery".to_owned(),
        count => format!("{} deliveries", words::number(count)),
    };
    format!(
        "Put back to pending: {deliveries}. What was on its way or changed meanwhile is left as it is."
    )
}

fn known(done: &str) -> Option<&'static str> {
    Some(match done {
        "org-created" => "The org is created.",
        "none-chosen" => "Nothing was chosen: tick what is to be replayed.",
        "webhook-saved" => "The webhook is saved. Listeners have it as soon as it says so here.",
        "webhook-cloned" => {
            "The webhook is cloned. Say where its events go under Edit, map them if they are to become records, then activate it."
        }
        "webhook-cloned-without-events" => {
            "The webhook is cloned, and takes nothing yet: choose its events under Edit, say there where they go, then activate it."
        }
        "webhook-activated" => "The webhook is active: it takes what comes from now on.",
        "webhook-deactivated" => {
            "The webhook is not active any more. What waits is still delivered."
        }
        "webhook-deleted" => "The webhook is deleted.",
        "mapping-saved" => "The mapping is saved.",
        "mapping-removed" => "The mapping is removed: events are handed over as they came.",
        "mapping-activated" => "The mapping is active: it maps new events.",
        "mapping-deactivated" => {
            "The mapping is not active any more: events are handed over as they came."
        }
        "destination-saved" => {
            "The destination is saved. A webhook’s events go there once it is ticked in the webhook’s form."
        }
        "destination-paused" => "Paused: deliveries wait, and nothing is lost.",
        "destination-resumed" => "Resumed: what waited is delivered now.",
        "destination-deleted" => "The destination is deleted.",
        "group-created" => {
            "The group is made. Give its Callback URL to the provider once it is live, then clone the template."
        }
        "group-saved" => "The group is saved.",
        "group-deleted" => "The group is deleted.",
        "group-disabled" => "The group is disabled: its Callback URL answers 404.",
        "group-enabled" => "The group is enabled.",
        "secret-added" => "The secret is added: both are taken. Change it at the provider now.",
        "secret-removed" => "The secret is removed.",
        "url-rotated" => {
            "The group has a new Callback URL. Change it at the provider before the old one ends."
        }
        "token-revoked" => "The token is revoked.",
        _ => return None,
    })
}

pub(crate) fn router() -> Router<Arc<Console>> {
    Router::new()
        .route("/", get(orgs::list))
        .route("/orgs", post(orgs::create))
        .route("/sign-in", get(sign_in::show).post(sign_in::begin))
        .route("/sign-out", post(sign_in::end))
        .route("/orgs/{org}/connectors", get(connectors::list))
        .route("/orgs/{org}", get(overview::show))
        .route("/orgs/{org}/connectors/{connector}", get(connector::show))
        .merge(of_groups())
        .route("/orgs/{org}/tokens", get(tokens::list).post(tokens::create))
        .route(
            "/orgs/{org}/tokens/{token}/revoke",
            get(tokens::ask).post(tokens::revoke),
        )
        .route("/fleet", get(fleet::show))
        .merge(of_webhooks())
        .merge(of_destinations())
        .merge(of_what_came())
        .fallback(|| async { Problem::NoPage })
        .method_not_allowed_fallback(where_it_was_sent_from)
}

/// An address that takes a form alone, asked for as a page: reloaded after the form was refused, or followed as a link. What it is of is one step up.
async fn where_it_was_sent_from(method: Method, uri: Uri) -> Response {
    match method {
        Method::GET | Method::HEAD => to(above(uri.path())),
        _ => Problem::NoMethod.into_response(),
    }
}

/// `/orgs/acme/deliveries/replay` is of `/orgs/acme/deliveries`.
fn above(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((above, _)) if !above.is_empty() => above,
        _ => "/",
    }
}

fn of_webhooks() -> Router<Arc<Console>> {
    const ALL: &str = "/orgs/{org}/groups/{group}/webhooks";
    let one = |part: &str| format!("{ALL}/{{webhook}}{part}");
    Router::new()
        .route(ALL, get(webhooks::rows::list))
        .route(&one(""), get(webhooks::view::show))
        .route(
            &one("/edit"),
            get(webhooks::edit::show).post(webhooks::edit::save),
        )
        .route(
            &one("/clone"),
            get(webhooks::edit::show_clone).post(webhooks::edit::clone),
        )
        .route(&one("/activate"), post(webhooks::activate))
        .route(&one("/pause"), post(webhooks::view::pause))
        .route(
            &one("/delete"),
            get(webhooks::remove::ask).post(webhooks::remove::delete),
        )
        .route(&one("/mapping"), get(mapping::show).post(mapping::post))
        .route(&one("/mapping/activate"), post(mapping::activate))
        .route(&one("/mapping/versions"), get(mapping::versions::list))
        .route(
            &one("/mapping/versions/{version}"),
            get(mapping::versions::show),
        )
}

fn of_destinations() -> Router<Arc<Console>> {
    const ALL: &str = "/orgs/{org}/destinations";
    let one = |part: &str| format!("{ALL}/{{destination}}{part}");
    Router::new()
        .route(
            ALL,
            get(destinations::list).post(destinations::edit::create),
        )
        // Also the page of one that has this name, as is a group's below: the form's address says of which kind it is.
        .route(&format!("{ALL}/new"), get(destinations::edit::fresh))
        .route(&one(""), get(destinations::show))
        .route(
            &one("/edit"),
            get(destinations::edit::show).post(destinations::edit::save),
        )
        .route(&one("/pause"), post(destinations::pause))
        .route(
            &one("/delete"),
            get(destinations::ask).post(destinations::delete),
        )
}

fn of_groups() -> Router<Arc<Console>> {
    use groups::{edit, remove, secrets, show, switch, url};
    let group = |rest: &str| format!("/orgs/{{org}}/groups/{{group}}{rest}");
    Router::new()
        .route("/orgs/{org}/groups/new", get(edit::new).post(edit::create))
        .route(&group(""), get(show::show))
        .route(&group("/live"), get(show::callback))
        .route(&group("/edit"), get(edit::show).post(edit::save))
        .route(&group("/secrets"), get(secrets::show).post(secrets::save))
        .route(&group("/url"), get(url::show).post(url::rotate))
        .route(&group("/disable"), get(switch::show).post(switch::turn))
        .route(&group("/delete"), get(remove::show).post(remove::remove))
}

fn of_what_came() -> Router<Arc<Console>> {
    Router::new()
        .route("/orgs/{org}/deliveries", get(deliveries::list))
        .route("/orgs/{org}/deliveries/replay", post(deliveries::replay))
        .route(
            "/orgs/{org}/deliveries/replay-all",
            get(replay::ask).post(replay::run),
        )
        .route("/orgs/{org}/deliveries/{id}", get(deliveries::show))
        .route("/orgs/{org}/events", get(events::list))
        .route("/orgs/{org}/events/{id}", get(events::show))
        .route("/orgs/{org}/events/{id}/body", get(events::body))
        .route("/orgs/{org}/refusals", get(refusals::list))
        .route(
            "/orgs/{org}/groups/{group}/test",
            get(send_test::show).post(send_test::send),
        )
        .route("/orgs/{org}/live", get(live::show))
        .route("/orgs/{org}/live/stream", get(live::stream))
        .layer(Extension(live::Streams::default()))
        .layer(Extension(downloads::Downloads::default()))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::rig::Rig;

    #[tokio::test]
    async fn an_address_that_takes_a_form_alone_leads_to_what_it_is_of() {
        let rig = Rig::new();
        let webhook = "/orgs/acme/groups/code/webhooks/pushes";
        for (asked, leads_to) in [
            ("/orgs", "/"),
            (&*format!("{webhook}/activate"), webhook),
            (&*format!("{webhook}/pause"), webhook),
            ("/orgs/acme/deliveries/replay", "/orgs/acme/deliveries"),
        ] {
            let answer = rig.get(asked, "").await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{asked}");
            assert_eq!(answer.headers["location"], leads_to);
        }
        let answer = rig.post("/fleet", "", &[]).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(answer.text.contains("Begin at the start page."));
    }

    #[test]
    fn a_note_says_how_many_were_put_back_and_nothing_else_that_an_address_has() {
        let note = |query: &str| note(&Form::read(query.as_bytes()).unwrap());
        let told = note("done=replayed&count=1234").unwrap();
        assert!(told.starts_with("Put back to pending: 1,234 deliveries."));
        assert!(
            note("done=replayed&count=1")
                .unwrap()
                .contains(": 1 delivery.")
        );
        assert!(
            note("done=replayed&count=0")
                .unwrap()
                .starts_with("Nothing")
        );
        assert_eq!(note("done=replayed&count=<b>"), None);
        assert_eq!(note("done=<b>"), None);
    }
}
