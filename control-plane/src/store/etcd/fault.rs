//! What etcd's answers mean for the call they are to. The one place that reads its codes and messages.

use std::error::Error as StdError;

use etcd_client::Error;
use tonic::Code;

use crate::store::StoreError;

/// Why an attempt at one member brought no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Of this member, or of this moment: ask another one. A write may have been made.
    Elsewhere(String),
    /// The revision is forgotten.
    Compacted,
    /// The answer is larger than is taken at once: ask for less.
    TooLong,
    /// The lease of our writes' marks is gone: the store was put back to a copy that never had it.
    LeaseGone,
    /// Every member would say so.
    Refused(StoreError),
}

impl Fault {
    /// For those who asked for nothing that could be forgotten, too long or gone.
    pub(super) fn into_error(self) -> StoreError {
        StoreError::Unavailable(match self {
            Self::Refused(error) => return error,
            Self::Elsewhere(reason) => reason,
            Self::Compacted => "etcd compacted what was asked for: ask again".to_owned(),
            Self::TooLong => "etcd's answer is larger than one answer may be".to_owned(),
            Self::LeaseGone => {
                "etcd was put back to an older copy during a write: try again".to_owned()
            }
        })
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let Error::GRpcStatus(status) = error else {
            return Self::Elsewhere(chain(&error));
        };
        let said = status.message();
        let refused = |what: String| Self::Refused(StoreError::Unavailable(what));
        match status.code() {
            Code::OutOfRange if said.contains("has been compacted") => Self::Compacted,
            Code::OutOfRange if said.contains("message length too large") => Self::TooLong,
            Code::OutOfRange => refused(format!("etcd: {said}")),
            Code::NotFound if said.contains("lease not found") => Self::LeaseGone,
            Code::ResourceExhausted if said.contains("space exceeded") => refused(
                "etcd's database has reached its quota and refuses writes: compact and defragment it or raise \
                 --quota-backend-bytes, then run `etcdctl alarm disarm`"
                    .to_owned(),
            ),
            Code::InvalidArgument | Code::ResourceExhausted if is_too_much(said) => {
                Self::Refused(StoreError::TooLarge(format!(
                    "etcd refuses the write ({said}): leave its --max-request-bytes and --max-txn-ops at their \
                     defaults or above"
                )))
            }
            // Users or roles were changed meanwhile; the next connection's token is of now.
            Code::InvalidArgument if said.contains("revision in header is old") => {
                Self::Elsewhere(said.to_owned())
            }
            Code::InvalidArgument if said.contains("user name is empty") => {
                refused("etcd asks for a user and a password, and none were given".to_owned())
            }
            Code::FailedPrecondition if said.contains("authentication is not enabled") => {
                refused("etcd checks no users: leave out --store-user".to_owned())
            }
            Code::PermissionDenied => refused(format!(
                "etcd: {said}: grant the user a role that reads and writes all keys under the store's prefix"
            )),
            Code::DataLoss => Self::Refused(StoreError::Damaged(format!("etcd: {said}"))),
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::Unimplemented
            | Code::AlreadyExists => refused(format!("etcd: {said}")),
            code => {
                let said = if said.is_empty() { code.description() } else { said };
                Self::Elsewhere(with_sources(said.to_owned(), status.source()))
            }
        }
    }
}

/// Of the request, as etcd says it or its gRPC library.
fn is_too_much(said: &str) -> bool {
    [
        "request is too large",
        "larger than max",
        "too many operations",
    ]
    .iter()
    .any(|words| said.contains(words))
}

fn chain(error: &dyn StdError) -> String {
    with_sources(error.to_string(), error.source())
}

/// tonic says "transport error" and keeps what happened in its sources, or says what happened and has that for a source.
fn with_sources(mut text: String, mut source: Option<&(dyn StdError + 'static)>) -> String {
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if inner_text != "transport error" && !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_reads_what_happened_and_not_a_grpc_status() {
        let said = |status: tonic::Status| Fault::from(Error::from(status));
        let text = "Connection refused (os error 111)".to_owned();
        assert_eq!(
            said(tonic::Status::unavailable(text.clone())),
            Fault::Elsewhere(text)
        );
        let Fault::Refused(error) = said(tonic::Status::failed_precondition(
            "etcdserver: authentication is not enabled",
        )) else {
            panic!("another member is asked, which would say the same");
        };
        assert!(error.to_string().contains("leave out --store-user"));
    }
}
