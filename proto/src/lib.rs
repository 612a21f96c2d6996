//! The wire: `hookplane.v1`, generated from `proto/hookplane/v1`. The two streams of listeners have a second form for whoever writes them, in
//! which what is sent more than once is bytes, encoded once: `encoded_config` and `encoded_report`. The bytes on the wire are the same.
//!
//! - feature `messages`: the messages, for code that has no business with a network
//! - feature `grpc`: clients and servers too
//!
//! Messages that appear in manifests and connector files (orgs, connectors, groups, webhooks) can be read and written with serde in
//! the shape a manifest has. See `proto/README.md` for the whole of the API on a page.

#[cfg(feature = "grpc")]
pub mod bounded_report;
#[cfg(feature = "grpc")]
pub mod encoded_config;
#[cfg(feature = "grpc")]
pub mod encoded_report;
pub mod serde_forms;

/// The messages, and with feature `grpc` the services.
#[allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated; the protos hold the documentation"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/hookplane.v1.rs"));
}

/// The protos as a descriptor set, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
