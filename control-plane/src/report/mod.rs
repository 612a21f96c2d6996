//! What listeners report: genuine callbacks, to be kept before they are answered; and what was turned away, to be seen.
//!
//! ```text
//!   batch ─▶ each callback: scope ─▶ rematch if the group is newer ─▶ identities ─▶ append ─▶ answer
//! ```

mod append;
mod counts;
pub mod identity;
mod not_kept;
mod refusals;
mod service;

pub use counts::Counts;
pub use refusals::Refusals;
pub use service::{MAX_MESSAGE_BYTES, ReportApi};
