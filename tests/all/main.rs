//! Everything that needs more than one crate, in one binary.

mod etcd;
mod fake_control_plane;
mod first_delivery;
mod kills;
mod listener;
mod manifests;
mod providers;
mod secrets;
