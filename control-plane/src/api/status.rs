//! What went wrong, and its gRPC code with details. The only place where codes are chosen.

use hookplane_rules::FieldError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::log::LogError;
use crate::seal::SealError;
use crate::store::StoreError;

const DOMAIN: &str = "hookplane.dev";

/// Errors shown at once; a file that is wrong throughout needs no more.
const MAX_SHOWN: usize = 100;

/// Why a request isn't done. No variant ever holds a secret.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The request has to be mended at these places.
    Fields(Vec<FieldError>),
    /// There is no such resource.
    NotFound(String),
    /// The name is taken.
    Exists(String),
    /// The etag is not the newest.
    Stale(String),
    /// Not with this token; the message says with which.
    Denied(String),
    /// Not in this state; the message says what to do first.
    Refused(String),
    /// Deliveries wait: drain or discard.
    Waiting(String),
    /// Much is removed with it: the caller has to say that it is meant.
    Large(String),
    /// Too much of it is done already: again in a while.
    Busy(String),
    /// The store.
    Store(StoreError),
    /// The event log.
    Log(LogError),
    /// Stored data or the machine: somebody has to look.
    Internal(String),
}

impl Problem {
    pub(crate) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Fields(vec![FieldError::new(field, message)])
    }

    /// What the plan shows beside a document.
    pub(crate) fn into_fields(self) -> Result<Vec<FieldError>, Self> {
        match self {
            Self::Fields(fields) => Ok(fields),
            Self::NotFound(name) => Ok(vec![FieldError::new(
                "metadata",
                format!("there is no `{name}`; create it first, or put it before this document"),
            )]),
            Self::Exists(name) => Ok(vec![FieldError::new(
                "metadata.name",
                format!("`{name}` exists already"),
            )]),
            Self::Refused(message)
            | Self::Denied(message)
            | Self::Waiting(message)
            | Self::Large(message) => Ok(vec![FieldError::new("metadata", message)]),
            Self::Store(StoreError::TooLarge(message)) => {
                Ok(vec![FieldError::new("spec", message)])
            }
            other => Err(other),
        }
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::Fields(vec![error])
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

/// Work that was done aside broke off: a fault of ours.
impl From<tokio::task::JoinError> for Problem {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Internal(format!("work broke off: {error}"))
    }
}

impl From<SealError> for Problem {
    fn from(error: SealError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

fn with_reason(code: Code, message: String, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, [] as [(String, String); 0]);
    Status::with_error_details(code, message, details)
}

fn of_resource(code: Code, message: String, reason: &str, name: &str) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, [] as [(String, String); 0]);
    details.set_resource_info("", name, "", message.clone());
    Status::with_error_details(code, message, details)
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Fields(fields) => {
                let message = fields
                    .iter()
                    .take(3)
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; ");
                let mut details = ErrorDetails::with_error_info(
                    "INVALID_FIELD",
                    DOMAIN,
                    [] as [(String, String); 0],
                );
                for field in fields.into_iter().take(MAX_SHOWN) {
                    details.add_bad_request_violation(field.field, field.message);
                }
                Status::with_error_details(Code::InvalidArgument, message, details)
            }
            Problem::NotFound(name) => {
                let message = format!("there is no `{name}`");
                of_resource(Code::NotFound, message, "NOT_FOUND", &name)
            }
            Problem::Exists(name) => {
                let message = format!("`{name}` exists already: update it, or choose another name");
                of_resource(Code::AlreadyExists, message, "ALREADY_EXISTS", &name)
            }
            Problem::Stale(name) => {
                let message = format!(
                    "`{name}` was changed by somebody else: read it again and repeat your change"
                );
                of_resource(Code::Aborted, message, "ETAG_MISMATCH", &name)
            }
            Problem::Denied(message) => with_reason(Code::PermissionDenied, message, "TOKEN"),
            Problem::Refused(message) => {
                with_reason(Code::FailedPrecondition, message, "PRECONDITION")
            }
            Problem::Waiting(message) => {
                with_reason(Code::FailedPrecondition, message, "DELIVERIES_WAIT")
            }
            Problem::Large(message) => {
                with_reason(Code::FailedPrecondition, message, "LARGE_REMOVAL")
            }
            Problem::Busy(message) => with_reason(Code::Unavailable, message, "BUSY"),
            Problem::Store(error) => of_store(error),
            Problem::Log(error) => {
                let code = match error {
                    LogError::Unavailable(_) | LogError::Failed(_) => Code::Unavailable,
                    LogError::Damaged(_) => Code::DataLoss,
                    LogError::NotFound(_) => Code::NotFound,
                };
                with_reason(code, error.to_string(), "EVENT_LOG")
            }
            Problem::Internal(message) => {
                tracing::error!(%message, "answer a request");
                with_reason(Code::Internal, message, "INTERNAL")
            }
        }
    }
}

fn of_store(error: StoreError) -> Status {
    let message = error.to_string();
    match error {
        StoreError::Conflict { .. } => with_reason(
            Code::Aborted,
            format!("{message}: read it again and repeat your change"),
            "CONFLICT",
        ),
        StoreError::Compacted { .. } => with_reason(
            Code::Aborted,
            format!("{message}: start the list again from its first page"),
            "PAGE_TOKEN_EXPIRED",
        ),
        StoreError::TooLarge(_) => with_reason(Code::InvalidArgument, message, "TOO_LARGE"),
        StoreError::Unavailable(_) => with_reason(Code::Unavailable, message, "STORE"),
        StoreError::Damaged(_) => {
            tracing::error!(%message, "read the config store");
            with_reason(Code::DataLoss, message, "STORE")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_error_names_the_field_as_the_manifest_does() {
        let status = Status::from(Problem::field("spec.registeredEvents[1]", "no such event"));
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "spec.registeredEvents[1]");
        assert_eq!(status.message(), "spec.registeredEvents[1]: no such event");
    }

    #[test]
    fn a_code_tells_the_caller_what_to_do() {
        let code = |problem| Status::from(problem).code();
        assert_eq!(code(Problem::Stale("orgs/a".into())), Code::Aborted);
        assert_eq!(code(Problem::NotFound("orgs/a".into())), Code::NotFound);
        assert_eq!(code(Problem::Exists("orgs/a".into())), Code::AlreadyExists);
        assert_eq!(code(Problem::Refused("x".into())), Code::FailedPrecondition);
        assert_eq!(
            code(StoreError::Unavailable("x".into()).into()),
            Code::Unavailable
        );
        assert_eq!(
            code(StoreError::TooLarge("x".into()).into()),
            Code::InvalidArgument
        );
    }
}
