//! In with a token or a link, and out.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use hookplane_proto::v1::{self, TokenRole};
use http::header::ORIGIN;
use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode};

use crate::api::Api;
use crate::form::Form;
use crate::page::{html, safe_next, sign_in_path, to_with_cookies, with_status};
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

/// The form; or, with a link's code, in at once: for whoever follows it, and for nothing that only looks where it leads.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    method: Method,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Form::of_query(query.as_deref()).ok_or(Problem::TooMuch)?;
    let next = safe_next(query.text("next"));
    let code = query.text("link");
    if code.is_empty() {
        return html(&page(next, ""));
    }
    if method == Method::HEAD || fetches_ahead(&headers) {
        // No answer to be kept and shown in place of the link's own.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    let now = (console.now)();
    let Some(token) = console.links.follow(code, now) else {
        let error = "The link was used before, or is over 15 minutes old. Sign in with the token, or start `hookplane dev` again for another link.";
        return with_status(StatusCode::UNAUTHORIZED, &page(next, error));
    };
    let cookie = console.sessions.begin(&token, now, console.tls);
    Ok(to_with_cookies(next, [cookie.ok_or(Problem::Internal)?]))
}

/// What the form says.
pub(super) async fn begin(
    State(console): State<Arc<Console>>,
    extensions: Extensions,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Response, Problem> {
    let form = Form::of_body(&body).ok_or(Problem::TooMuch)?;
    let (token, next) = (form.text("token"), safe_next(form.text("next")));
    let refused = |error: &str| with_status(StatusCode::UNAUTHORIZED, &page(next, error));
    let Some(api) = Api::new(console.api.clone(), token, extensions) else {
        return refused("That is no token.");
    };
    match api.tokens().who_am_i(v1::WhoAmIRequest {}).await {
        Ok(answer) => {
            // Each page would be refused, the way out among them.
            if let Some(why) = has_no_pages(answer.into_inner().role()) {
                return refused(why);
            }
            let secure = console.tls || came_over_tls(&headers);
            let cookie = console.sessions.begin(token, (console.now)(), secure);
            Ok(to_with_cookies(next, [cookie.ok_or(Problem::Internal)?]))
        }
        Err(status) if status.code() == tonic::Code::Unauthenticated => {
            refused("The token is not valid here: unknown, expired or revoked.")
        }
        Err(status) => Err(status.into()),
    }
}

/// Out. No mark is asked for: the guard has seen where it is from, and the worst it could do is this.
pub(super) async fn end(State(console): State<Arc<Console>>) -> Response {
    to_with_cookies(&sign_in_path("/"), console.sessions.ended())
}

fn has_no_pages(role: TokenRole) -> Option<&'static str> {
    match role {
        TokenRole::Consumer => Some(
            "This token lets a subscriber fetch events, and sees no page. Sign in with one of a viewer, an editor or an admin.",
        ),
        TokenRole::Listener => Some(
            "This token lets a listener in, and sees no page. Sign in with one of a viewer, an editor or an admin.",
        ),
        _ => None,
    }
}

/// A browser loads a page that nobody asked for yet.
fn fetches_ahead(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-moz"].iter().any(|name| {
        let said = headers.get(*name).and_then(|said| said.to_str().ok());
        said.is_some_and(|said| said.to_ascii_lowercase().starts_with("prefetch"))
    })
}

/// As the browser sees it: a proxy may have ended TLS in front of us.
fn came_over_tls(headers: &HeaderMap) -> bool {
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes);
    origin.is_some_and(|origin| origin.starts_with(b"https://"))
}

#[cfg(test)]
mod tests {
    use http::header::SET_COOKIE;

    use super::*;
    use crate::rig::Rig;

    #[tokio::test]
    async fn behind_a_proxy_that_ends_tls_the_cookie_is_secure_all_the_same() {
        let rig = Rig::new();
        for (origin, secure) in [("https://console.example", true), ("http://a:1", false)] {
            let headers = [("sec-fetch-site", "same-origin"), ("origin", origin)];
            let body = "token=hp_1".to_owned();
            let answer = rig.ask("POST", "/sign-in", &headers, body).await;
            let set = answer.headers[SET_COOKIE].to_str().unwrap();
            assert_eq!(set.starts_with("__Host-"), secure, "{set}");
            assert_eq!(set.ends_with("; Secure"), secure, "{set}");
            let cookie = answer.cookie().unwrap();
            let page = rig.get("/fleet", &cookie).await;
            assert_ne!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        }
    }

    #[tokio::test]
    async fn a_token_that_sees_no_page_is_told_so_and_begins_no_session() {
        let rig = Rig::new();
        for (role, let_in) in [
            (TokenRole::Consumer, false),
            (TokenRole::Listener, false),
            (TokenRole::Viewer, true),
            (TokenRole::Editor, true),
        ] {
            rig.admits(role);
            let answer = rig.post("/sign-in", "", &[("token", "hp_1")]).await;
            assert_eq!(answer.cookie().is_some(), let_in, "{role:?}");
            assert_eq!(answer.text.contains("one of a viewer"), !let_in, "{role:?}");
        }
    }

    #[tokio::test]
    async fn who_may_not_see_a_page_can_sign_out_there() {
        let rig = Rig::new();
        let cookie = rig.signed_in("hp_1").await;
        rig.refuses("ListOrgs", tonic::Code::PermissionDenied);
        let answer = rig.get("/", &cookie).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(
            answer.text.contains(r#"action="/sign-out""#),
            "{}",
            answer.text
        );
        let answer = rig.get("/nowhere", "").await;
        assert!(!answer.text.contains(r#"action="/sign-out""#));
    }

    #[tokio::test]
    async fn a_link_is_spent_by_following_it_and_by_nothing_that_only_looks() {
        let rig = Rig::new();
        let link = rig.links.make("hp_1", rig.now()).unwrap();
        for (method, name, value) in [
            ("HEAD", "accept", "*/*"),
            ("GET", "sec-purpose", "prefetch;prerender"),
            ("GET", "purpose", "prefetch"),
        ] {
            let headers = [(name, value)];
            let answer = rig.ask(method, &link, &headers, String::new()).await;
            assert!(answer.cookie().is_none(), "{method} {name}");
        }
        assert!(rig.get(&link, "").await.cookie().is_some());
        assert!(rig.get(&link, "").await.cookie().is_none());
    }

    #[tokio::test]
    async fn a_replica_that_does_not_know_the_token_yet_ends_no_session() {
        let rig = Rig::new();
        let cookie = rig.signed_in("hp_1").await;
        rig.refuses("WhoAmI", tonic::Code::Unauthenticated);
        let answer = rig.get("/", &cookie).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert!(answer.headers.get(SET_COOKIE).is_none());
        let answer = rig.post("/sign-out", &cookie, &[]).await;
        let ended: Vec<_> = answer.headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(ended.len(), 2);
        let ends = |set: &&&HeaderValue| {
            set.to_str()
                .is_ok_and(|set| set.contains("=; Path=/; Max-Age=0"))
        };
        assert_eq!(ended.iter().filter(ends).count(), 2, "{ended:?}");
    }
}
