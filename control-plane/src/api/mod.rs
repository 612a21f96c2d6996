//! The services that people and the command line use: orgs, connectors, webhook groups, webhooks, destinations, manifests, events and replays,
//! previews and comparisons.
//!
//! ```text
//!   request ─▶ names ─▶ desk (reads, with what a plan already decided) ─▶ orgs | connectors | groups | webhooks ─▶ Prepared
//!                                                                                                     │ commit, wait for the view
//!   answer  ◀─ present (no secret, live status) ◀──────────────────────────────────────────────────────┘
//! ```
//!
//! Each kind has one place that decides what a write would do; create, update, plan and apply all use it, so a dry run can't differ from
//! the real one. Names are parsed in `names`, errors become gRPC codes in `status`, callers are checked in [`crate::access`]: one place each.

mod activity;
mod compare;
mod connectors;
mod desk;
mod destinations;
mod difference;
mod event;
pub mod events;
mod glance;
mod groups;
mod guard;
mod manifests;
mod mappings;
mod names;
pub(crate) mod narrow;
mod orgs;
mod page;
mod preview;
mod replay;
mod samples;
pub mod scope;
mod skew;
pub(crate) mod status;
mod tail;
mod targets;
mod tokens;
mod trial;
mod troubles;
mod turns;
mod waiting;
mod webhooks;

pub use connectors::ConnectorApi;
pub use destinations::DestinationApi;
pub use groups::{GroupApi, HandshakeApi, MAX_OVERLAP_SECONDS};
pub use manifests::ManifestApi;
pub use orgs::OrgApi;
pub use preview::PreviewApi;
pub use tokens::TokenApi;
pub use webhooks::WebhookApi;
