//! Delivering what is kept: to subscribers that pull.

mod leases;
mod subscriptions;

pub use subscriptions::SubscriptionApi;
