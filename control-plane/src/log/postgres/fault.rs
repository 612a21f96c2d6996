//! Why the log did not do something, from what PostgreSQL answered.

use tokio_postgres::error::SqlState;
use tokio_rustls::rustls;

use crate::log::LogError;

/// Why a statement was not done, or not for sure.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// As PostgreSQL names it; none where the connection ended or the wait did.
    pub(super) code: Option<SqlState>,
    pub(super) message: String,
    /// The other end's certificate is not believed: it won't be in a moment either.
    pub(super) is_of_tls: bool,
}

impl Fault {
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self {
            code: None,
            message: message.into(),
            is_of_tls: false,
        }
    }

    /// The transaction was undone for another one's sake: it may be done again.
    pub(super) fn is_passing(&self) -> bool {
        matches!(
            &self.code,
            Some(code) if *code == SqlState::T_R_DEADLOCK_DETECTED
                || *code == SqlState::T_R_SERIALIZATION_FAILURE
                || *code == SqlState::LOCK_NOT_AVAILABLE
        )
    }

    /// What was asked for can't be done by itself, whatever else is asked: bad data, a limit. The connection is whole.
    pub(super) fn is_own(&self) -> bool {
        matches!(&self.code, Some(code) if matches!(&code.code()[..2], "21" | "22" | "23" | "54" | "P0"))
    }

    /// The transaction of several may have failed for what one of them wants, and the others may be kept without it: a row that is held or can't be
    /// read, a trigger, a statement that took too long.
    pub(super) fn may_be_of_one(&self) -> bool {
        let Some(code) = &self.code else { return false };
        let of_all = matches!(&code.code()[..2], "08" | "25" | "53" | "57" | "58" | "HK");
        !of_all || *code == SqlState::QUERY_CANCELED
    }

    /// The server starts, stops, or has no room: the same may be taken a moment later.
    pub(super) fn is_of_the_server(&self) -> bool {
        self.code
            .as_ref()
            .is_none_or(|code| matches!(&code.code()[..2], "08" | "53" | "57" | "58"))
    }

    /// The server is set to lose what it acknowledged, says `append.sql`.
    pub(super) fn is_weaker_durability(&self) -> bool {
        self.code
            .as_ref()
            .is_some_and(|code| code.code() == "HK001")
    }

    /// The connection may be used again. After these the next one may be another server's.
    pub(super) fn keeps_connection(&self) -> bool {
        match &self.code {
            None => false,
            Some(code) => !matches!(
                &code.code()[..2],
                "08" | "25" | "57" | "58" | "XX" | "F0" | "0A"
            ),
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let mut message = error.to_string();
            let mut is_of_tls = false;
            let mut cause = std::error::Error::source(&error);
            while let Some(inner) = cause {
                message.push_str(": ");
                message.push_str(&inner.to_string());
                // Wrapped in an error of the socket's, which is not among its own causes.
                is_of_tls |= inner
                    .downcast_ref::<std::io::Error>()
                    .and_then(std::io::Error::get_ref)
                    .is_some_and(|inner| inner.is::<rustls::Error>());
                cause = inner.source();
            }
            return Self {
                is_of_tls,
                ..Self::unavailable(message)
            };
        };
        Self {
            code: Some(db.code().clone()),
            message: format!("{} ({})", db.message(), db.code().code()),
            is_of_tls: false,
        }
    }
}

impl From<Fault> for LogError {
    fn from(fault: Fault) -> Self {
        let Fault { code, message, .. } = fault;
        let Some(code) = code else {
            return LogError::Unavailable(message);
        };
        match code.code() {
            "XX001" | "XX002" => LogError::Damaged(message),
            "53100" => LogError::Unavailable(format!(
                "no space left: {message}; free some on PostgreSQL's disk"
            )),
            "53300" => LogError::Unavailable(format!(
                "PostgreSQL has too many connections: {message}; raise max_connections"
            )),
            "28000" | "28P01" => {
                LogError::Unavailable(format!("PostgreSQL refuses the user: {message}"))
            }
            "42501" => LogError::Unavailable(format!(
                "PostgreSQL forbids it: {message}; grant the user what the schema hookplane needs"
            )),
            "3F000" | "42P01" | "42883" => LogError::Unavailable(format!(
                "the schema hookplane is not there: {message}; start hookplane serve again to make it, or restore the database"
            )),
            _ => LogError::Unavailable(message),
        }
    }
}
