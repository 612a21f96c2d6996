//! What went wrong, as a page that says what to do next; and errors of fields, for the form that comes back.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::fields::Fault;
use crate::spoken::in_words;
use crate::{assets, page};

/// A field of the API that nobody types.
const PAGE_TOKEN: &str = "page_token";

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum Problem {
    /// Nobody is signed in, or not any more.
    SignIn {
        next: String,
        /// A script asks, for a part of a page.
        part: bool,
    },
    /// The form is not from one of this session's pages.
    Unmarked,
    /// More fields than any form of ours has.
    TooMuch,
    /// There is no such page.
    NoPage,
    /// The page isn't for what was sent.
    NoMethod,
    /// What the API said.
    Api(Box<Status>),
    /// Ours.
    Internal,
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Self::Api(Box::new(status))
    }
}

/// Of an answer: a problem's page, which is out of place as a part of another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WholePage;

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    style: &'a str,
    script: &'a str,
    icon: &'a str,
    title: &'a str,
    message: &'a str,
    advice: &'a str,
    /// Somebody is signed in, and may want to be somebody else.
    leaves: bool,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, title, message, advice) = match &self {
            Self::SignIn { next, part } => return page::to_sign_in(next, *part),
            Self::Unmarked => (
                StatusCode::FORBIDDEN,
                "This form is too old",
                "It was made for another session: somebody signed in or out since.",
                "Go back, reload the page, and send it again.",
            ),
            Self::TooMuch => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "Too much at once",
                "The form has more fields than this page takes.",
                "Use a manifest and `hookplane apply` for what is this large.",
            ),
            Self::NoPage => (
                StatusCode::NOT_FOUND,
                "There is no such page",
                "The address leads nowhere.",
                "Begin at the start page.",
            ),
            Self::NoMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "This address takes no such request",
                "What was sent is for another address.",
                "Begin at the start page.",
            ),
            Self::Api(status) => of_api(status),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "This page can't be shown",
                "It is our fault, and the log says more.",
                "Reload it; if it stays so, please report it as a bug.",
            ),
        };
        let page = ProblemPage {
            style: assets::style(),
            script: assets::script(),
            icon: assets::icon(),
            title,
            message: &in_words(message),
            advice,
            leaves: status == StatusCode::FORBIDDEN && matches!(self, Self::Api(_)),
        };
        match page.render() {
            Ok(text) => {
                let mut response = (status, Html(text)).into_response();
                response.extensions_mut().insert(WholePage);
                response
            }
            Err(_) => (status, title.to_owned()).into_response(),
        }
    }
}

fn of_api(status: &Status) -> (StatusCode, &str, &str, &str) {
    let message = status.message();
    match status.code() {
        // Of an address that somebody kept, or that was made by another version.
        Code::InvalidArgument if is_of_a_place_in_a_list(status) => (
            StatusCode::BAD_REQUEST,
            "The list doesn't go on there",
            "The address names a place in a list that isn't known.",
            "Begin at the list's first page.",
        ),
        Code::NotFound => (
            StatusCode::NOT_FOUND,
            "It isn't there",
            message,
            "It may have been deleted, or the address has a slip.",
        ),
        Code::PermissionDenied => (
            StatusCode::FORBIDDEN,
            "You may not see or do this",
            message,
            "Ask an admin for a token that may.",
        ),
        Code::InvalidArgument | Code::OutOfRange => (
            StatusCode::BAD_REQUEST,
            "This can't be done so",
            message,
            "Go back and mend it.",
        ),
        Code::FailedPrecondition | Code::AlreadyExists => (
            StatusCode::CONFLICT,
            "Not as things are now",
            message,
            "Do first what the message says.",
        ),
        Code::Aborted => (
            StatusCode::CONFLICT,
            "Somebody else was faster",
            message,
            "Reload the page, look at what changed, and try again.",
        ),
        Code::ResourceExhausted => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too much of it",
            message,
            "Wait a moment and try again.",
        ),
        Code::Unavailable | Code::DeadlineExceeded => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Not available now",
            message,
            "Events that come meanwhile are not lost. Reload the page in a moment.",
        ),
        _ => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong",
            message,
            "Reload the page; if it stays so, the server's log says more.",
        ),
    }
}

fn is_of_a_place_in_a_list(status: &Status) -> bool {
    let violations = status.get_details_bad_request();
    let mut violations = violations.into_iter().flat_map(|bad| bad.field_violations);
    violations.any(|violation| violation.field == PAGE_TOKEN)
}

/// Of what isn't for good: the store doesn't answer, or too much is asked for at once.
fn passing(code: Code) -> Option<StatusCode> {
    match code {
        Code::Unavailable | Code::DeadlineExceeded => Some(StatusCode::SERVICE_UNAVAILABLE),
        Code::ResourceExhausted => Some(StatusCode::TOO_MANY_REQUESTS),
        _ => None,
    }
}

/// What has to be mended in a form, by the field's path as the API names it: `spec.externalId`. General ones have an empty path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    said: BTreeMap<String, String>,
    /// It isn't the form's: the same is to be sent again later.
    passing: Option<StatusCode>,
}

impl Faults {
    /// What the person can mend in the form, or what passes: the form comes back. Anything else is a page of its own.
    pub(crate) fn of(status: Status) -> Result<Self, Problem> {
        let violations = status.get_details_bad_request();
        let mut faults = Self::default();
        for violation in violations.into_iter().flat_map(|bad| bad.field_violations) {
            match violation.field == PAGE_TOKEN {
                true => faults.add("", "The list doesn't go on there: begin at its first page."),
                false => faults.add(&violation.field, &in_words(&violation.description)),
            }
        }
        faults.passing = passing(status.code());
        let mendable = matches!(
            status.code(),
            Code::InvalidArgument | Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted
        );
        if faults.said.is_empty() && mendable {
            let field = if status.code() == Code::AlreadyExists {
                "metadata.name"
            } else {
                ""
            };
            faults.add(field, &in_words(status.message()));
        }
        if faults.said.is_empty() && faults.passing.is_some() {
            let again = "Wait a moment, then send it again.";
            let message = in_words(status.message());
            let message = message.trim_end_matches('.');
            faults.add("", &format!("Not taken now: {message}. {again}"));
        }
        if faults.said.is_empty() {
            Err(status.into())
        } else {
            Ok(faults)
        }
    }

    /// Of the page with the form.
    pub(crate) fn status(&self) -> StatusCode {
        match self.passing {
            Some(status) => status,
            None if self.said.is_empty() => StatusCode::OK,
            None => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    pub(crate) fn is_passing(&self) -> bool {
        self.passing.is_some()
    }

    /// With another name for a field.
    pub(crate) fn renamed(mut self, field: &str, name: &str) -> Self {
        if let Some(message) = self.said.remove(field) {
            self.add(name, &message);
        }
        self
    }

    pub(crate) fn add(&mut self, field: &str, message: &str) {
        let entry = self.said.entry(field.to_owned()).or_default();
        if !entry.is_empty() {
            entry.push_str("; ");
        }
        entry.push_str(message);
    }

    /// With those of another look at the same form; what was said of a field already stays.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.passing = self.passing.or(others.passing);
        for (field, message) in others.said {
            self.said.entry(field).or_insert(message);
        }
        self
    }

    /// What is wrong with this field; empty: nothing.
    pub(crate) fn at(&self, field: &str) -> &str {
        self.said.get(field).map_or("", String::as_str)
    }

    /// What is wrong with this field or anything in it: `spec.registeredEvents[3]`, `spec.parameters.user`.
    pub(crate) fn below(&self, field: &str) -> String {
        // What follows a field's name begins with a dot or a bracket: a look per row of a large mapping must not go through all faults.
        let inside = [(".", "/"), ("[", "\\")]
            .into_iter()
            .flat_map(|(begins, behind)| {
                let within = format!("{field}{begins}")..format!("{field}{behind}");
                self.said.range(within)
            });
        let own = self.said.get(field);
        let inside = inside.map(|(_, message)| message);
        let messages: Vec<&str> = own.into_iter().chain(inside).map(String::as_str).collect();
        messages.join("; ")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// All, for the summary above the form.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.said
            .iter()
            .map(|(field, message)| (field.as_str(), message.as_str()))
    }

    /// As many as a summary has.
    pub(crate) const LISTED: usize = 100;

    /// The first of them, each with the way to where it is typed.
    pub(crate) fn places(&self) -> impl Iterator<Item = Fault<'_>> {
        let listed = self.all().take(Self::LISTED);
        listed.map(|(field, message)| Fault::of(field, message))
    }

    /// Those that the summary doesn't have.
    pub(crate) fn more(&self) -> usize {
        self.said.len().saturating_sub(Self::LISTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_field_is_found_and_nothing_beside_it() {
        let mut faults = Faults::default();
        for (index, field) in ["a", "a.b", "a[3].c", "a-b", "ab", "a/b", "aZ.b", "b.a"]
            .into_iter()
            .enumerate()
        {
            faults.add(field, &index.to_string());
        }
        assert_eq!(faults.below("a"), "0; 1; 2");
        assert_eq!(faults.below("a[3]"), "2");
        assert_eq!(faults.below("b"), "7");
        assert_eq!(faults.below("c"), "");
    }

    #[test]
    fn what_passes_is_a_fault_of_no_field_and_the_form_comes_back() {
        for (code, status) in [
            (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            (Code::DeadlineExceeded, StatusCode::SERVICE_UNAVAILABLE),
            (Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS),
            (Code::InvalidArgument, StatusCode::UNPROCESSABLE_ENTITY),
        ] {
            let faults = Faults::of(Status::new(code, "the store is away.")).unwrap();
            assert_eq!(faults.status(), status);
            assert!(faults.at("").contains("the store is away."));
            // Whatever else is wrong.
            let mut wrong = Faults::default();
            wrong.add("spec.label", "is too long");
            assert_eq!(wrong.and(faults).status(), status);
        }
        for code in [Code::NotFound, Code::PermissionDenied, Code::Internal] {
            assert!(Faults::of(Status::new(code, "no")).is_err(), "{code}");
        }
        assert_eq!(Faults::default().status(), StatusCode::OK);
    }

    #[derive(Template)]
    #[template(
        source = r#"{% import "fields.html" as fields %}{% call fields::summary(faults) %}{% endcall %}"#,
        ext = "html"
    )]
    struct Summary {
        faults: Faults,
    }

    #[test]
    fn a_summary_lists_the_first_and_counts_the_others() {
        let mut faults = Faults::default();
        for row in 0..Faults::LISTED + 7 {
            faults.add(&format!("spec.mapping.base.fields[{row}]"), "has no field");
        }
        let text = Summary { faults }.render().unwrap();
        assert_eq!(text.matches("has no field").count(), Faults::LISTED);
        assert!(text.contains("and 7 more"), "{text}");
    }
}
