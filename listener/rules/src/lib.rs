//! What makes a callback genuine and whom it is for: pure code that both servers run.
//!
//! ```text
//!  ConfigResource ─▶ Plan ──route(path)──▶ Group
//!                                            │ admit(head)             405 413 415
//!                                            ▼
//!                    Callback (raw bytes) ─ verify ─▶ Handshake(Shaken) | Genuine(Verified)
//!                                                                          │ extract     403
//!                                                                          ▼
//!                                            match_events ◀─ redact ─  Extracted
//!                                                 │
//!                                                 ▼
//!                                              Matched ─▶ ReportedCallback (the wire)
//! ```
//!
//! Guarantees:
//! - Nothing but [`verify`](Group::verify) makes a [`Verified`], and only a `Verified` can be extracted, matched and reported.
//! - Raw bytes are verified as they came: before decoding, reformatting or decompression; what a provider signs unpacked is unpacked and no more.
//! - No input panics, and every pass over it is bounded.
//!
//! No sockets, no async, no clock: the time comes in as an argument. The control plane admits a configuration only if it compiles
//! here, and the listener runs what compiled here, so the two can't disagree.

mod address;
mod callback;
mod canonical;
mod connector;
mod doctor;
mod encoding;
mod error;
mod extract;
pub mod filter;
mod group;
mod location;
mod matching;
pub mod payload;
mod plan;
mod public;
mod redact;
mod request;
mod sample;
mod template;
#[cfg(test)]
mod testing;
pub mod text;
pub mod time;
pub mod trial;
mod verify;

pub use address::is_public;
pub use callback::{Callback, Head, Reply};
pub use connector::{Connector, takes};
pub use doctor::{Cause, Diagnosis, Effort, Visit};
pub use error::{FieldError, Refusal, RefusalKind};
pub use extract::{Extracted, ExtractedEvent};
pub use group::{Group, MAX_SECRETS, TEMPLATE, Webhook};
pub use matching::{Matched, Outcome};
pub use plan::{Applied, Plan, Route, digest_of};
pub use public::{KeySet, KeySource, Keys, NoKeys, TrustAnchor};
pub use redact::{Path, PathPart};
pub use sample::{Expected, SampleError, SignedSample, Variant};
pub use time::{Clock, Timestamp};
pub use verify::{Confirmation, Learned, Needed, Proven, Refused, Shaken, Unproven, Verified};
