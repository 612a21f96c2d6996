//! What the tests share.

pub mod log_suite;
