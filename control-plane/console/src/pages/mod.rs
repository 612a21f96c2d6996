//! A file per page; here is which address leads where.

mod activity;
mod connectors;
mod deliveries;
mod events;
mod live;
mod orgs;
mod refusals;
mod replay;
mod selection;
mod send_test;
mod sign_in;

use std::sync::Arc;

use axum::routing::{get, post};
use axum::{Extension, Router};

use crate::Console;
use crate::page::Page;
use crate::problem::Problem;

impl Page {
    /// The menu of an org: what follows the org in the address, and what it is called.
    pub(crate) const PARTS: [(&'static str, &'static str); 5] = [
        ("connectors", "Connectors"),
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
        .fallback(|| async { Problem::NoPage })
}
