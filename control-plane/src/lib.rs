//! The control plane: what people configure, where it is kept, who runs it, and what became of every callback.
//!
//! ```text
//!   gRPC ─▶ api ─▶ admission ─▶ store ─▶ config (view ─▶ one stream per listener)
//!   listener ─▶ report (rematch, redact, identities) ─▶ log ─▶ dispatch (leases, mapping) ─┬▶ subscribers
//!                  └▶ drift: shapes, warnings            └ retention                        ├▶ HTTP
//!                                                                                           └▶ Salesforce
//! ```
//!
//! - [`mapping`] makes records of events, for deliveries, previews and comparisons alike.
//! - [`dispatch`] leases to subscribers, and delivers to destinations itself, at the rate that each takes.
//! - [`drift`] learns what event types look like, and warns a webhook when a path that it reads is gone.
//! - `retention` takes out of the log what has been kept long enough.
//!
//! `api`, `config`, `report` and `dispatch` know the traits in [`store`] and [`log`], never a backend; the binary joins them.

pub mod access;
pub mod admission;
pub mod api;
mod aside;
pub mod catalogue;
pub mod config;
pub mod context;
pub mod dispatch;
pub mod drift;
mod due;
pub mod faces;
mod incoming;
mod indexing;
pub mod installation;
pub mod keys;
mod lasting;
pub mod log;
pub mod manifest;
pub mod mapping;
pub mod metrics;
mod moved;
pub mod outgoing;
pub mod report;
mod retention;
pub mod seal;
pub mod server;
mod sqlite;
pub mod store;
mod tidy;
mod told;
