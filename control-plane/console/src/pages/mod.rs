//! A file per page, and the parts that several have (`activity`, `changes`, `inbound`, `selection`); here is which address leads where.

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
mod tokens;
mod webhooks;

use std::sync::Arc;

use axum::routing::{get, post};
use axum::{Extension, Router};

use crate::Console;
use crate::page::Page;
use crate::problem::Problem;

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
pub(crate) fn note(done: &str) -> Option<&'static str> {
    Some(match done {
        "org-created" => "The org is created.",
        "replayed" => {
            "Put back to pending. What was on its way or changed meanwhile is left as it is."
        }
        "none-chosen" => "Nothing was chosen: tick what is to be replayed.",
        "webhook-saved" => "The webhook is saved. Listeners have it as soon as it says so here.",
        "webhook-cloned" => {
            "The webhook is cloned. Say where its events go under Edit, map them if they are to become records, then activate it."
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
}

fn of_webhooks() -> Router<Arc<Console>> {
    const ALL: &str = "/orgs/{org}/groups/{group}/webhooks";
    let one = |part: &str| format!("{ALL}/{{webhook}}{part}");
    Router::new()
        .route(ALL, get(webhooks::list))
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
