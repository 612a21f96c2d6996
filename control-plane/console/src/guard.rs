//! In front of every page: what a browser may do with it, where a change may come from, and how much it may say.
//!
//! Risks here are those of any site with a session: another site that posts a form with our cookie, a page in a frame, a script in a payload that
//! somebody looks at.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use crate::page::PART;
use crate::problem::WholePage;
use crate::session::Renewal;

/// A mapping of 256 KiB, as a form writes it.
const MAX_FORM_BYTES: usize = 1024 * 1024;

/// Its own files and no others; nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Puts the guard in front.
pub(crate) fn guarded(router: Router) -> Router {
    router
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(middleware::from_fn(guard))
}

async fn guard(mut request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    let looks_again = safe && request.headers().contains_key(PART);
    let renewal = Renewal::default();
    request.extensions_mut().insert(renewal.clone());
    let mut response = if safe || same_origin(request.headers(), request.uri()) {
        next.run(request).await
    } else {
        (
            StatusCode::FORBIDDEN,
            "This form was sent from another site, or by something that doesn't say from where. Open the console and try again.",
        )
            .into_response()
    };
    // What a page asks for time and again is gone, or no longer for who looks: the page says so as a whole. What is typed elsewhere stays.
    let gone = response.status().is_client_error();
    if looks_again && gone && response.extensions().get::<WholePage>().is_some() {
        let again = HeaderName::from_static("hx-refresh");
        response
            .headers_mut()
            .insert(again, HeaderValue::from_static("true"));
    }
    if let Some(cookie) = renewal.cookie().filter(|_| is_page(&response)) {
        let cookie = HeaderValue::try_from(cookie);
        response
            .headers_mut()
            .extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What a page shows is for who is signed in now.
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Or leads to one: what a person asked for, and no stream that goes on by itself.
fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    let html = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    html || response.status().is_redirection()
}

/// Browsers say where a request is from; what says nothing isn't one of our forms.
fn same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    // HTTP/2 has the host in the address.
    let asked = uri.authority().map(|host| host.as_str().as_bytes());
    let (Some(origin), Some(host)) = (text(&ORIGIN), asked.or(text(&HOST))) else {
        return false;
    };
    let without_scheme = [&b"https://"[..], b"http://"]
        .into_iter()
        .find_map(|scheme| origin.strip_prefix(scheme));
    without_scheme == Some(host)
}

#[cfg(test)]
mod tests {
    use hookplane_proto::v1;
    use http::header::COOKIE;

    use super::*;
    use crate::rig::Rig;
    use crate::session::LIFETIME_SECONDS;

    #[tokio::test]
    async fn a_page_in_the_second_half_of_a_session_renews_it_and_open_forms_stay_good() {
        let rig = Rig::new();
        rig.says("ListOrgs", &v1::ListOrgsResponse::default());
        rig.says("CreateOrg", &v1::Org::default());
        let begun = rig.signed_in("hp_1").await;
        let page = rig.get("/", &begun).await;
        assert!(page.cookie().is_none(), "it is new");
        rig.wait(LIFETIME_SECONDS / 2 + 1);
        let part = [(COOKIE.as_str(), begun.as_str()), ("hx-request", "true")];
        let part = rig.ask("GET", "/", &part, String::new()).await;
        assert_eq!((part.status, part.cookie()), (StatusCode::OK, None));
        let renewed = rig.get("/", &begun).await.cookie().unwrap();
        rig.wait(LIFETIME_SECONDS / 2);
        assert_eq!(rig.get("/", &begun).await.status, StatusCode::SEE_OTHER);
        // The form is of the page that was shown when the session was new.
        let fields = [("mark", &*page.mark()), ("name", "mine")];
        let answer = rig.post("/orgs", &renewed, &fields).await;
        let to = answer.headers[http::header::LOCATION].to_str().unwrap();
        assert!(to.starts_with("/orgs/mine"), "{to}");
        // Another token's page makes no form for this one's.
        let other = rig.signed_in("hp_2").await;
        let answer = rig.post("/orgs", &other, &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }

    #[tokio::test]
    async fn a_session_whose_token_is_not_let_in_is_not_renewed() {
        let rig = Rig::new();
        let begun = rig.signed_in("hp_1").await;
        rig.wait(LIFETIME_SECONDS / 2 + 1);
        rig.refuses("WhoAmI", tonic::Code::Unauthenticated);
        let answer = rig.get("/", &begun).await;
        assert_eq!(
            (answer.status, answer.cookie()),
            (StatusCode::SEE_OTHER, None)
        );
    }

    fn asked(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn a_change_is_taken_from_the_same_origin_alone() {
        for (headers, taken) in [
            (asked(&[("sec-fetch-site", "same-origin")]), true),
            (asked(&[("sec-fetch-site", "same-site")]), false),
            (asked(&[("sec-fetch-site", "cross-site")]), false),
            (asked(&[("sec-fetch-site", "none")]), false),
            (
                asked(&[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://a:1"),
                    ("host", "a:1"),
                ]),
                false,
            ),
            (asked(&[("origin", "http://a:1"), ("host", "a:1")]), true),
            (asked(&[("origin", "https://a"), ("host", "a")]), true),
            (asked(&[("origin", "http://a:2"), ("host", "a:1")]), false),
            (asked(&[("origin", "null"), ("host", "null")]), false),
            (asked(&[("host", "a:1")]), false),
            (asked(&[]), false),
        ] {
            assert_eq!(
                same_origin(&headers, &Uri::from_static("/orgs")),
                taken,
                "{headers:?}"
            );
        }
        // As HTTP/2 has it.
        let asked = asked(&[("origin", "https://a:1")]);
        for (uri, taken) in [("https://a:1/orgs", true), ("https://a:2/orgs", false)] {
            assert_eq!(same_origin(&asked, &Uri::from_static(uri)), taken, "{uri}");
        }
    }
}
