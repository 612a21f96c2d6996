//! Why the log did not do something, by what its writer has to do about it: what SQLite answered, or a piece of work by itself.

use crate::log::LogError;
use crate::sqlite;

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
    /// The same of the index of events, which is made anew then.
    Index(String),
    /// It can't be opened, and something was looked for in it.
    NoIndex(String),
    /// A setting that can't keep the promise, or a file that isn't a log.
    Refused(String),
}

impl Fault {
    /// Whether only the work that met it is concerned.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Fault::Own(_))
    }

    /// What went wrong, without what follows from it.
    pub(super) fn what(&self) -> String {
        match self {
            Fault::Own(error) => error.to_string(),
            Fault::Full(what)
            | Fault::Busy(what)
            | Fault::Write(what)
            | Fault::Disk(what)
            | Fault::Damaged(what)
            | Fault::Index(what)
            | Fault::NoIndex(what)
            | Fault::Refused(what) => what.clone(),
        }
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
            Fault::Index(what) => LogError::Unavailable(format!(
                "the index of events is damaged and is made anew: {what}; search again in a while"
            )),
            Fault::NoIndex(what) => LogError::Unavailable(format!(
                "the index of events can't be opened: {what}; free some space in the log's directory, or move index.db away, and search again in \
                 a while"
            )),
            Fault::Refused(what) => LogError::Failed(what),
        }
    }
}

impl From<sqlite::Fault> for Fault {
    fn from(fault: sqlite::Fault) -> Self {
        match fault {
            sqlite::Fault::Statement(what) => Fault::Own(LogError::Unavailable(what)),
            sqlite::Fault::Full(what) => Fault::Full(what),
            sqlite::Fault::Busy(what) => Fault::Busy(what),
            sqlite::Fault::Write(what) => Fault::Write(what),
            sqlite::Fault::Disk(what) => Fault::Disk(what),
            sqlite::Fault::Damaged(what) => Fault::Damaged(what),
            sqlite::Fault::Refused(what) => Fault::Refused(what),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        sqlite::Fault::from(error).into()
    }
}
