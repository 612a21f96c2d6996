//! What a caller of the API is told, with details that name the field.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::log::LogError;

/// A field has a value that it can't have.
pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Status {
    let message = message.into();
    let details = ErrorDetails::with_bad_request_violation(field, message.clone());
    Status::with_error_details(
        Code::InvalidArgument,
        format!("{field}: {message}"),
        details,
    )
}

/// There is no such thing.
pub(crate) fn not_found(name: &str) -> Status {
    Status::not_found(format!("there is no `{name}`"))
}

/// What the log says, by what the caller should do.
pub(crate) fn of_log(error: LogError) -> Status {
    match error {
        LogError::NotFound(_) => Status::not_found(error.to_string()),
        LogError::Unavailable(_) | LogError::Failed(_) => Status::unavailable(error.to_string()),
        LogError::Damaged(_) => Status::data_loss(error.to_string()),
    }
}
