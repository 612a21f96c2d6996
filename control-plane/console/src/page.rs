//! What every page has around it: who looks, where they are, and how it becomes an answer.

use std::borrow::Cow;
use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use hookplane_proto::v1::{self, TokenRole};
use http::header::{HeaderName, REFERER, SET_COOKIE};
use http::request::Parts;
use http::{Method, StatusCode, Uri};

use crate::Console;
use crate::api::Api;
use crate::form::Form;
use crate::problem::{Faults, Problem};
use crate::session::{Renewal, Session};
use crate::{assets, pages};

/// Somebody who is signed in, on one request of theirs.
pub(crate) struct Visitor {
    pub(crate) api: Api,
    pub(crate) console: Arc<Console>,
    pub(crate) who: Who,
    /// What the address has behind the `?`.
    pub(crate) query: Form,
    /// The path, as it was asked for.
    pub(crate) path: String,
    session: Session,
}

/// What they may do. It decides what is shown and nothing else: each call is checked by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who {
    pub(crate) role: TokenRole,
    /// Empty: the whole installation.
    pub(crate) org: String,
    pub(crate) token: String,
}

impl Who {
    pub(crate) fn edits(&self) -> bool {
        matches!(self.role, TokenRole::Editor | TokenRole::Admin)
    }

    pub(crate) fn administers(&self) -> bool {
        self.role == TokenRole::Admin
    }

    pub(crate) fn installs(&self) -> bool {
        self.administers() && self.org.is_empty()
    }

    /// In words.
    pub(crate) fn name(&self) -> &'static str {
        match self.role {
            TokenRole::Admin => "admin",
            TokenRole::Editor => "editor",
            TokenRole::Viewer => "viewer",
            TokenRole::Consumer => "consumer",
            TokenRole::Listener => "listener",
            TokenRole::Unspecified => "nobody",
        }
    }
}

impl Visitor {
    /// Who the request's cookie says, if the API lets them in.
    async fn of(parts: &Parts, console: &Arc<Console>) -> Result<Self, Problem> {
        let sign_in = || Problem::SignIn {
            next: where_to_come_back(parts),
            part: parts.headers.contains_key(PART),
        };
        let now = (console.now)();
        let session = console.sessions.of(&parts.headers, now, console.tls);
        let session = session.ok_or_else(sign_in)?;
        let extensions = parts.extensions.clone();
        let api = Api::new(console.api.clone(), &session.token, extensions).ok_or_else(sign_in)?;
        let answer = api.tokens().who_am_i(v1::WhoAmIRequest {}).await;
        let who = answer
            .map_err(|status| match status.code() {
                tonic::Code::Unauthenticated => sign_in(),
                _ => status.into(),
            })?
            .into_inner();
        // What a page asks for by itself says nothing of who sits there.
        let by_itself = parts.headers.contains_key(PART);
        if let Some(renewal) = parts.extensions.get::<Renewal>().filter(|_| !by_itself) {
            console.sessions.renew(&session, now, renewal);
        }
        let query = Form::of_query(parts.uri.query()).ok_or(Problem::TooMuch)?;
        Ok(Self {
            api,
            console: Arc::clone(console),
            who: Who {
                role: who.role(),
                org: who.org,
                token: who.token,
            },
            query,
            path: parts.uri.path().to_owned(),
            session,
        })
    }

    /// A page of an org; empty: of none.
    pub(crate) fn page(&self, title: impl Into<String>, org: &str) -> Page {
        Page {
            title: title.into(),
            org: org.to_owned(),
            path: self.path.clone(),
            who: self.who.clone(),
            mark: self.session.mark.clone(),
            note: pages::note(&self.query),
        }
    }

    /// What was posted, if one of our pages made the form.
    pub(crate) fn posted(&self, body: &axum::body::Bytes) -> Result<Form, Problem> {
        let form = Form::of_body(body).ok_or(Problem::TooMuch)?;
        if self.session.marked(form.raw("mark")) {
            Ok(form)
        } else {
            Err(Problem::Unmarked)
        }
    }
}

impl FromRequestParts<Arc<Console>> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Problem> {
        Self::of(parts, console).await
    }
}

/// The frame.
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) org: String,
    pub(crate) path: String,
    pub(crate) who: Who,
    /// For every form: `<input type="hidden" name="mark">`.
    pub(crate) mark: String,
    /// What was done by the form that led here.
    pub(crate) note: Option<Cow<'static, str>>,
}

impl Page {
    /// Of an admin.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self {
            title: "t".repeat(200),
            org: "o".repeat(63),
            path: String::new(),
            who: Who {
                role: TokenRole::Admin,
                ..Who::default()
            },
            mark: "m".repeat(64),
            note: None,
        }
    }

    pub(crate) fn style(&self) -> &'static str {
        assets::style()
    }

    pub(crate) fn script(&self) -> &'static str {
        assets::script()
    }

    pub(crate) fn icon(&self) -> &'static str {
        assets::icon()
    }

    /// For the menu: whether the page is the org's first.
    pub(crate) fn is_overview(&self) -> bool {
        self.path.strip_prefix("/orgs/") == Some(&self.org)
    }

    /// For the menu: whether the page is of this part of the org.
    pub(crate) fn is_in(&self, part: &str) -> bool {
        let inside = self
            .path
            .strip_prefix("/orgs/")
            .and_then(|path| path.split_once('/'));
        inside.is_some_and(|(_, path)| path == part || path.starts_with(&format!("{part}/")))
    }
}

/// A template, filled, as an answer.
pub(crate) fn html(template: &impl Template) -> Result<Response, Problem> {
    with_status(StatusCode::OK, template)
}

/// A form, with what is wrong with what was typed.
pub(crate) fn form_page(faults: &Faults, template: &impl Template) -> Result<Response, Problem> {
    with_status(faults.status(), template)
}

/// The same with another status.
pub(crate) fn with_status(
    status: StatusCode,
    template: &impl Template,
) -> Result<Response, Problem> {
    match template.render() {
        Ok(text) => Ok((status, Html(text)).into_response()),
        Err(error) => {
            tracing::error!(%error, "a page can't be written: please report this as a bug");
            Err(Problem::Internal)
        }
    }
}

/// To another page, after a form was taken: reloading it sends nothing twice.
pub(crate) fn to(path: &str) -> Response {
    Redirect::to(path).into_response()
}

/// To a page, with a session that begins or ends.
pub(crate) fn to_with_cookies<const N: usize>(path: &str, cookies: [String; N]) -> Response {
    let cookies = cookies.map(|cookie| (SET_COOKIE, cookie));
    (AppendHeaders(cookies), Redirect::to(path)).into_response()
}

/// Where to go after signing in: a path of ours, whatever a link says.
pub(crate) fn safe_next(next: &str) -> &str {
    // Browsers take some characters out of an address before they read it: `/\t/there` leads elsewhere.
    let strange = |c: char| c == '\\' || c.is_control();
    let ours = next.starts_with('/') && !next.starts_with("//") && !next.contains(strange);
    let leads_on = !next.starts_with("/sign-");
    if ours && leads_on { next } else { "/" }
}

/// A script that asks for a part of a page says so, and on which page it is.
pub(crate) const PART: &str = "hx-request";
const PART_OF: HeaderName = HeaderName::from_static("hx-current-url");
/// Has such a script load another page.
const LEAVE_FOR: HeaderName = HeaderName::from_static("hx-redirect");

/// Where somebody is who isn't signed in any more: a part of a page, or the address of a form, is no page to come back to.
fn where_to_come_back(parts: &Parts) -> String {
    let name = match parts.method {
        _ if parts.headers.contains_key(PART) => PART_OF,
        // Of HTTP/2 the whole address is known, host and all.
        Method::GET | Method::HEAD => {
            let path = parts.uri.path_and_query();
            return path.map_or_else(String::new, ToString::to_string);
        }
        _ => REFERER,
    };
    let said = parts.headers.get(name).and_then(|page| page.to_str().ok());
    let page = said.and_then(|page| page.parse::<Uri>().ok());
    let page = page.and_then(|page| page.into_parts().path_and_query);
    page.map_or_else(String::new, |page| page.to_string())
}

/// The page that signs in.
pub(crate) fn sign_in_path(next: &str) -> String {
    let next: String = form_urlencoded::byte_serialize(safe_next(next).as_bytes()).collect();
    format!("/sign-in?next={next}")
}

/// To the page that signs in. The cookie stays: a replica that doesn't know the token yet must not end a session that others know. Of a part of a
/// page: the whole page goes there, for in the part it would be out of place.
pub(crate) fn to_sign_in(next: &str, part: bool) -> Response {
    let path = sign_in_path(next);
    if part {
        return (StatusCode::UNAUTHORIZED, [(LEAVE_FOR, path)]).into_response();
    }
    to(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_signed_out_comes_back_to_the_page_whichever_http_they_speak() {
        for uri in ["/orgs/acme?q=a", "https://console.example:1/orgs/acme?q=a"] {
            let request = http::Request::get(uri).body(()).unwrap();
            let (parts, ()) = request.into_parts();
            assert_eq!(safe_next(&where_to_come_back(&parts)), "/orgs/acme?q=a");
        }
    }

    #[test]
    fn signing_in_leads_to_a_page_of_ours() {
        for (next, to) in [
            ("/orgs/acme?type=a", "/orgs/acme?type=a"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/sign-in?next=/", "/"),
            ("/a\r\nset-cookie: b", "/"),
            ("/\t/evil.example", "/"),
            ("/\0/evil.example", "/"),
            ("/\u{7f}/evil.example", "/"),
            ("/\u{85}/evil.example", "/"),
        ] {
            assert_eq!(safe_next(next), to, "{next}");
        }
    }
}
