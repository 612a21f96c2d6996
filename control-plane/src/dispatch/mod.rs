//! Delivering what is kept: to subscribers that pull, and to destinations that it is pushed to.

pub mod client;
pub(crate) mod engine;
mod lanes;
mod leases;
pub mod sink;
mod subscriptions;
pub(crate) mod target;

pub use lanes::Lanes;
pub use subscriptions::SubscriptionApi;
pub use target::name_of;
