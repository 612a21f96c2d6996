//! What the integration tests share: the built binary as a child, a client that can misbehave, and signers that know nothing of our code.

pub mod campaign;
pub mod http;
pub mod log_suite;
pub mod product;
pub mod signers;
//! Conformance suites: what every backend of a seam has to do.

pub mod store_suite;
