//! Every test that needs more than one crate, in one binary.

mod log;
mod log_faults;
