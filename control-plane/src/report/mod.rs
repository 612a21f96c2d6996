//! What listeners report: genuine callbacks, to be kept before they are answered; and what was turned away, to be seen.
//!
//! ```text
//!   batch ─▶ each callback: scope ─▶ rematch if the group is newer ─▶ identities ─▶ append ─▶ answer
//! ```

mod append;
mod batch;
mod credit;
pub mod identity;
pub(crate) mod later;
mod news;
mod not_kept;
mod order;
mod service;

pub(crate) use append::as_kept;
pub(crate) use news::code_of;
pub(crate) use order::{OrderBy, Orders};
pub use service::{MAX_MESSAGE_BYTES, ReportApi};
