//! A file per page; here is which address leads where.

mod connectors;
mod orgs;
mod sign_in;

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
        .fallback(|| async { Problem::NoPage })
}
