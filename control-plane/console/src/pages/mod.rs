//! A file per page; here is which address leads where.

mod connector;
mod connectors;
mod fleet;
mod groups;
mod orgs;
mod overview;
mod sign_in;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::Console;
use crate::page::Page;
use crate::problem::Problem;

impl Page {
    /// The menu of an org: what follows the org in the address, and what it is called.
    pub(crate) const PARTS: [(&'static str, &'static str); 1] = [("connectors", "Connectors")];
}

/// What a form that was taken says on the page it leads to, by the address's `done`: these texts and no others.
pub(crate) fn note(done: &str) -> Option<&'static str> {
    Some(match done {
        "org-created" => "The org is created.",
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
        .fallback(|| async { Problem::NoPage })
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
