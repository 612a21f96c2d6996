//! What the integration tests share: the built binary as a child, a client that can misbehave, signers that know nothing of our code, and
//! for each seam the suite that every backend of it has to pass.

pub mod bench;
pub mod campaign;
pub mod catalogue;
pub mod clock;
pub mod destinations;
pub mod engines;
pub mod http;
pub mod inspect;
pub mod log_suite;
pub mod pki;
pub mod product;
pub mod proxy;
pub mod salesforce;
pub mod signers;
pub mod store_suite;
pub mod waiting;
