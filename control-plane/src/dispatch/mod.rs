//! Delivering what is kept: to subscribers that pull, and to destinations that it is pushed to.

pub mod client;
mod endpoints;
pub(crate) mod engine;
mod leases;
pub mod sink;
mod subscriptions;
pub(crate) mod target;
pub(crate) mod unsubscribed;

pub use endpoints::Endpoints;
pub use subscriptions::SubscriptionApi;
pub use target::{SUBSCRIBE, name_of};
