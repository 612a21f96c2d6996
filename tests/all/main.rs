//! Everything that needs more than one crate, in one binary.

mod first_delivery;
mod manifests;
mod providers;
mod secrets;
