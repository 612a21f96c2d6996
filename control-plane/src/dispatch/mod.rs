//! Delivering what is kept: to subscribers that pull.

pub mod client;
mod leases;
pub mod sink;
mod subscriptions;

pub use subscriptions::SubscriptionApi;
