//! Delivering what is kept: to subscribers that pull.

mod leases;
pub mod sink;
mod subscriptions;

pub use subscriptions::SubscriptionApi;
