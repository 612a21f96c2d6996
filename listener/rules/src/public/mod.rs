//! Public keys: pasted, fetched, or in a certificate that comes along.
//!
//! ```text
//!  text ── formats ──▶ key, certificate ── algorithm ──▶ PublicKey, parsed for one algorithm
//!
//!  request ── remote ──▶ KeySource (an https URL on a pinned host) ── Keys ──▶ KeySet | not here yet
//! ```
//!
//! Guarantees (risk 36): which algorithm, which hosts and which root are the definition's. A sender names at most one key among those.
//! Nothing here fetches: who calls [`verify_with`](crate::Group::verify_with) brings the sets that he has, and is told which one is lacking.

pub(crate) mod algorithm;
pub(crate) mod certificate;
pub(crate) mod formats;
pub(crate) mod remote;
mod set;
#[cfg(test)]
mod tests;

pub(crate) use algorithm::{Algorithm, Content, PublicKey, Signing};
pub(crate) use certificate::{Certificate, MAX_CHAIN, Root};
pub use pki_types::TrustAnchor;
pub(crate) use remote::RemoteKeys;
pub use set::{KeySet, KeySource, Keys, NoKeys};
pub(crate) use set::{Reading, candidates};
