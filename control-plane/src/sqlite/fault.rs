//! What SQLite answered, by what a writer has to do about it.

use rusqlite::{ErrorCode, ffi};

/// Why a transaction, or a piece of it, was not made.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// One statement: it says nothing about the disk.
    Statement(String),
    /// No space: nothing of the transaction is kept, the next one is tried as usual.
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
    /// A setting that can't keep the promise, or a file that isn't ours.
    Refused(String),
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
                Fault::Statement(what)
            }
            Some(_) if extended == Some(ffi::SQLITE_ERROR) => Fault::Statement(what),
            // Reading a row as what it isn't: its bytes were changed.
            None => Fault::Damaged(what),
            Some(_) => Fault::Disk(what),
        }
    }
}
