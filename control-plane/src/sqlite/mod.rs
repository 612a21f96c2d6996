//! What the two embedded backends, the config store and the event log, have in common: one SQLite database in a directory, of which every
//! commit is on the disk before it is answered.
//!
//! ```text
//!   files: lock ─▶ wal: damaged? ─▶ written anew, synced ─▶ settings, tables, check ─▶ the backend's
//!   the backend: commit (syncs) ─▶ answers ─▶ checkpoint, by itself and never by SQLite, which keeps errors back
//!                  └─ refused ─▶ cut
//! ```
//!
//! What [`wal`] relies on is kept by both: [`connection`] sets it, [`files`] opens, and a backend calls [`cut`] after a transaction that was
//! refused for a write that failed, and writes nothing more after any other failure.

mod checkpoint;
mod connection;
mod fault;
mod files;
mod wal;

pub(crate) use checkpoint::{Checkpoints, checkpoint};
pub(crate) use connection::{open_connection, prepare, verify};
pub(crate) use fault::Fault;
pub(crate) use files::{Database, cut, open};
