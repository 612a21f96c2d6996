//! Everything that needs more than one crate, in one binary.

mod fake_control_plane;
mod listener;
