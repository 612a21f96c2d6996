//! The console: the whole job in a browser.
//!
//! ```text
//!  browser ── GET, POST ──▶ guard ──▶ session ──▶ page ──▶ API (in process, with the session's token) ──▶ the door, as for anybody
//!                            │          │           │
//!                            │          │           └ templates/, filled with what the API answered
//!                            │          └ a cookie: the token, sealed, for 12 hours, and anew while somebody works
//!                            └ same origin, bounded body, headers that forbid what a page doesn't need
//! ```
//!
//! Guarantees:
//! - A page does nothing but call the public API as the person's own token: what it shows and what it changes is decided there, whatever the page
//!   thinks. The crate sees the wire alone, so there is no other way. One thing is done for a person that no call does: a test that the API has
//!   signed is posted to the group's own callback URL, see [`trial::Poster`].
//! - No script and no style but its own files; nothing inline, nothing from elsewhere. Everything but live views works without scripts.
//! - A form that is refused comes back as it was typed, with each error at its field; secrets are never written into a page.
//! - A change takes a POST from the same origin with the session's own mark.
//!
//! Where things are: `pages/` has a file per page, `templates/` its HTML by the same name, `assets/` the style and the scripts.

mod api;
mod assets;
mod chart;
mod fields;
mod form;
mod guard;
mod moment;
mod name;
mod page;
mod pages;
mod payload;
mod problem;
#[cfg(test)]
mod rig;
mod session;
mod sign_in;
mod spoken;
pub mod trial;
mod weight;
mod words;

use std::sync::Arc;

pub use api::Local;
use axum::Router;
pub use session::SessionKey;
pub use sign_in::SignInLinks;

/// What the outermost place gives.
pub struct Console {
    /// The API, its door in front of it, as a caller without a network has it.
    pub api: Local,
    /// Seals sessions. The same at every replica, so that any of them knows a session of another.
    pub sessions: SessionKey,
    /// Links that sign in once.
    pub links: SignInLinks,
    /// Posts tests.
    pub poster: Arc<dyn trial::Poster>,
    /// Seconds since 1970.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Cookies go over TLS alone.
    pub tls: bool,
}

/// Every page.
pub fn router(console: Console) -> Router {
    let console = Arc::new(console);
    let pages = pages::router().with_state(Arc::clone(&console));
    guard::guarded(pages.merge(assets::router()))
}
