//! The style and the scripts: compiled in, each under a path that changes with its bytes, so that browsers keep it for good.
//!
//! Scripts are one file: of two deferred ones the second may run before the first, and live views then never connect.

use std::sync::LazyLock;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("../assets/console.css");
const SCRIPT: &str = concat!(
    include_str!("../assets/htmx.min.js"),
    "\n;\n",
    include_str!("../assets/htmx-sse.js"),
    "\n;\n",
    include_str!("../assets/console.js"),
);
const ICON: &str = include_str!("../assets/icon.svg");

static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path(STYLE, "console.css"));
static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path(SCRIPT, "console.js"));
static ICON_PATH: LazyLock<String> = LazyLock::new(|| path(ICON, "icon.svg"));

fn path(content: &str, name: &str) -> String {
    let digest = hex::encode(Sha256::digest(content));
    format!("/assets/{}/{name}", digest.get(..16).unwrap_or_default())
}

/// For `link`.
pub(crate) fn style() -> &'static str {
    &STYLE_PATH
}

/// For `script`.
pub(crate) fn script() -> &'static str {
    &SCRIPT_PATH
}

/// For `link rel=icon`.
pub(crate) fn icon() -> &'static str {
    &ICON_PATH
}

pub(crate) fn router() -> Router {
    Router::new()
        .route(style(), get(|| served("text/css; charset=utf-8", STYLE)))
        .route(
            script(),
            get(|| served("text/javascript; charset=utf-8", SCRIPT)),
        )
        .route(icon(), get(|| served("image/svg+xml", ICON)))
}

async fn served(media_type: &'static str, content: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, content).into_response()
}
