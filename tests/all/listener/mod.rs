//! The listener with the real rules, against a scripted control plane, over real sockets.

mod bad_input;
mod keys;
mod outage;
mod poison;
mod resources;
mod rig;
mod table;
