//! What SQLite answered, by what the writer has to do about it.

use rusqlite::{ErrorCode, ffi};

use crate::log::LogError;

/// Why one piece of work, or a whole batch, was not done.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// This piece of work alone: the others of its batch are not touched.
    Own(LogError),
    /// No space: nothing of the batch is kept, the next one is tried as usual.
    Full(String),
    /// Another program holds the database's lock: as above.
    Busy(String),
    /// A write failed: a spent quota, or worse, which SQLite doesn't tell apart. As above: nothing is known to be on the disk before a sync
    /// says so, and a sync that fails is another matter.
    Write(String),
    /// What the disk holds is not known any more.
    Disk(String),
    /// What is stored can't be read.
    Damaged(String),
    /// A setting that can't keep the promise, or a file that isn't a log.
    Refused(String),
}

impl Fault {
    /// Whether only the work that met it is concerned.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Fault::Own(_))
    }

    /// What the caller is told.
    pub(super) fn answer(self) -> LogError {
        match self {
            Fault::Own(error) => error,
            Fault::Full(what) => LogError::Unavailable(format!(
                "no space left: {what}; free some space in the log's directory"
            )),
            Fault::Busy(what) => LogError::Unavailable(format!(
                "another program has the log's database open: {what}; end that one"
            )),
            Fault::Write(what) => LogError::Unavailable(format!(
                "a write failed: {what}; look at the quota and the disk of the log's directory"
            )),
            Fault::Disk(what) => LogError::Failed(what),
            Fault::Damaged(what) => LogError::Damaged(what),
            Fault::Refused(what) => LogError::Failed(what),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let what = error.to_string();
        let extended = error.sqlite_error().map(|error| error.extended_code);
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Fault::Full(what),
            // The file of shared memory couldn't grow, which it does before what needs it is counted as written.
            Some(_) if extended == Some(ffi::SQLITE_IOERR_SHMSIZE) => Fault::Full(what),
            Some(_) if extended == Some(ffi::SQLITE_IOERR_WRITE) => Fault::Write(what),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Fault::Busy(what),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Fault::Damaged(what),
            // A row that breaks a rule or is too big says nothing about the disk, nor does a statement that can't be run.
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
                Fault::Own(LogError::Unavailable(what))
            }
            Some(_) if extended == Some(ffi::SQLITE_ERROR) => {
                Fault::Own(LogError::Unavailable(what))
            }
            // Reading a row as what it isn't: its bytes were changed.
            None => Fault::Damaged(what),
            Some(_) => Fault::Disk(what),
        }
    }
}
