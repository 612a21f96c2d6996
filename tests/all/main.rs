//! Everything that needs more than one crate, in one binary.

mod etcd;
mod first_delivery;
mod kills;
mod log;
mod manifests;
mod providers;
mod secrets;
