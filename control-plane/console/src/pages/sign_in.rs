//! In with a token or a link, and out.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use hookplane_proto::v1;
use http::{Extensions, StatusCode};

use crate::api::Api;
use crate::form::Form;
use crate::page::{html, safe_next, to_sign_in, to_with_cookie, with_status};
use crate::problem::Problem;
use crate::{Console, assets};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    style: &'a str,
    script: &'a str,
    icon: &'a str,
    next: &'a str,
    error: &'a str,
}

fn page<'a>(next: &'a str, error: &'a str) -> SignIn<'a> {
    SignIn {
        style: assets::style(),
        script: assets::script(),
        icon: assets::icon(),
        next,
        error,
    }
}

/// The form; or, with a link's code, in at once.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Form::of_query(query.as_deref()).ok_or(Problem::TooMuch)?;
    let next = safe_next(query.text("next"));
    let code = query.text("link");
    if code.is_empty() {
        return html(&page(next, ""));
    }
    let now = (console.now)();
    let Some(token) = console.links.follow(code, now) else {
        let error = "The link was used before, or is over 15 minutes old. Sign in with the token, or start `hookplane dev` again for another link.";
        return with_status(StatusCode::UNAUTHORIZED, &page(next, error));
    };
    let cookie = console.sessions.begin(&token, now, console.tls);
    Ok(to_with_cookie(next, &cookie.ok_or(Problem::Internal)?))
}

/// What the form says.
pub(super) async fn begin(
    State(console): State<Arc<Console>>,
    extensions: Extensions,
    body: axum::body::Bytes,
) -> Result<Response, Problem> {
    let form = Form::of_body(&body).ok_or(Problem::TooMuch)?;
    let (token, next) = (form.text("token"), safe_next(form.text("next")));
    let refused = |error: &str| with_status(StatusCode::UNAUTHORIZED, &page(next, error));
    let Some(api) = Api::new(console.api.clone(), token, extensions) else {
        return refused("That is no token.");
    };
    match api.tokens().who_am_i(v1::WhoAmIRequest {}).await {
        Ok(_) => {
            let cookie = console.sessions.begin(token, (console.now)(), console.tls);
            Ok(to_with_cookie(next, &cookie.ok_or(Problem::Internal)?))
        }
        Err(status) if status.code() == tonic::Code::Unauthenticated => {
            refused("The token is not valid here: unknown, expired or revoked.")
        }
        Err(status) => Err(status.into()),
    }
}

/// Out. No mark is asked for: the guard has seen where it is from, and the worst it could do is this.
pub(super) async fn end(State(console): State<Arc<Console>>) -> Response {
    to_sign_in("/", console.tls, false)
}
