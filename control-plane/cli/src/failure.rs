//! Why a command ends with something other than 0, and what to do next.

use std::io::Write as _;
use std::process::ExitCode;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::names::in_words;

/// A command that didn't do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage: 2.
    Usage(String),
    /// Refused or failed: 1.
    Failed {
        /// What went wrong.
        message: String,
        /// What to try.
        hint: Option<String>,
    },
    /// Whoever read our output has closed it, and has what it wanted: 0.
    PipeClosed,
}

impl Failure {
    /// A failure without a hint.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            hint: None,
        }
    }

    /// The same with what to try next.
    pub(crate) fn hint(self, text: impl Into<String>) -> Self {
        match self {
            Self::Failed { message, hint } => Self::Failed {
                message,
                hint: hint.or_else(|| Some(text.into())),
            },
            other => other,
        }
    }

    /// What went wrong, without a hint.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Usage(message) | Self::Failed { message, .. } => message.clone(),
            Self::PipeClosed => "the pipe is closed".to_owned(),
        }
    }

    /// Says it on stderr and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (text, code) = match self {
            Self::Usage(message) => (format!("error: {message}\n"), 2),
            Self::Failed { message, hint } => {
                let hint = hint
                    .map(|hint| format!("hint: {hint}\n"))
                    .unwrap_or_default();
                (format!("error: {message}\n{hint}"), 1)
            }
            Self::PipeClosed => (String::new(), 0),
        };
        // With stderr closed there is nobody left to tell.
        let _ = std::io::stderr().write_all(text.as_bytes());
        ExitCode::from(code)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::PipeClosed
        } else {
            Self::new(error.to_string())
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let mut message = status.message().to_owned();
        if let Some(details) = status.get_details_bad_request() {
            for violation in details.field_violations {
                let line = format!("{}: {}", violation.field, violation.description);
                // A message about one field is that field's already.
                if line != status.message() {
                    message.push_str(&format!("\n  {line}"));
                }
            }
        }
        if message.is_empty() {
            message = format!("{:?}", status.code());
        }
        let failure = Self::new(in_words(&message));
        match status.code() {
            Code::Unauthenticated => failure.hint(
                "give the token with --token or HOOKPLANE_TOKEN, or name the data directory of a running `hookplane dev` with --data-dir",
            ),
            Code::PermissionDenied => failure.hint("`hookplane token create --role ROLE` makes a token that may; an admin can run it"),
            // One that gives a reason did answer, and says what to do.
            Code::Unavailable if status.get_details_error_info().is_some() => failure,
            Code::Unavailable => failure.hint("is the control plane running? `hookplane dev` starts one here"),
            Code::Unimplemented => failure.hint("the server is of another version than this command"),
            Code::Internal if status.message().starts_with("protocol error") => failure
                .hint("this is no API of hookplane: callbacks and the API have different addresses, and `dev` prints both"),
            Code::NotFound => {
                let hint = where_to_look(&failure.message());
                failure.hint(hint)
            }
            Code::Aborted => failure.hint("somebody else wrote in between: look again and repeat"),
            _ => failure,
        }
    }
}

/// For what isn't there.
fn where_to_look(message: &str) -> String {
    let kinds = [
        ("org", "ORG"),
        ("group", "ORG/GROUP"),
        ("webhook", "ORG/GROUP/WEBHOOK"),
        ("destination", "ORG/DESTINATION"),
        ("connector", "CONNECTOR, or ORG/CONNECTOR for an org's own"),
        ("token", "an id as `get tokens ORG` shows it"),
    ];
    let is = |kind: &str| message.contains(&format!("no {kind} "));
    match kinds.iter().find(|(kind, _)| is(kind)) {
        Some((kind, shape)) => {
            format!("`hookplane get {kind}s` lists what there is; a name is {shape}")
        }
        None => "`hookplane get RESOURCE` lists what there is; names are ORG/GROUP/WEBHOOK as far as it goes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::{ErrorDetails, StatusExt};

    #[test]
    fn what_is_not_there_is_looked_for_among_its_kind() {
        let hint =
            |name: &str| match Failure::from(Status::not_found(format!("there is no `{name}`"))) {
                Failure::Failed { hint, .. } => hint.unwrap_or_default(),
                other => panic!("{other:?}"),
            };
        assert!(hint("orgs/acme/destinations/crm").contains("get destinations"));
        assert!(hint("orgs/acme/groups/x/webhooks/-").contains("get groups"));
        assert!(hint("orgs/-/tokens/zz").contains("get tokens"));
    }

    #[test]
    fn a_status_names_the_fields_it_is_about() {
        let details = ErrorDetails::with_bad_request_violation("spec.filter", "does not compile");
        let status =
            Status::with_error_details(Code::InvalidArgument, "webhook is not valid", details);
        let Failure::Failed { message, .. } = Failure::from(status) else {
            panic!("failed");
        };
        assert_eq!(
            message,
            "webhook is not valid\n  spec.filter: does not compile"
        );
    }

    #[test]
    fn a_message_that_names_its_field_is_said_once() {
        let text = "spec.events[0]: is unknown";
        let details = ErrorDetails::with_bad_request_violation("spec.events[0]", "is unknown");
        let status = Status::with_error_details(Code::InvalidArgument, text, details);
        assert!(matches!(
            Failure::from(status),
            Failure::Failed { message, .. } if message == text
        ));
    }

    #[test]
    fn only_who_got_no_answer_is_asked_whether_the_control_plane_runs() {
        let hint = |status: Status| match Failure::from(status) {
            Failure::Failed { hint, .. } => hint,
            _ => panic!("failed"),
        };
        assert!(hint(Status::unavailable("tcp connect error")).is_some());
        const NONE: [(String, String); 0] = [];
        let details = ErrorDetails::with_error_info("STORE", "hookplane.dev", NONE);
        let full = "config store: no space left: database or disk is full";
        let answered = Status::with_error_details(Code::Unavailable, full, details);
        assert_eq!(hint(answered), None);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let error = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(matches!(Failure::from(error), Failure::PipeClosed));
    }
}
