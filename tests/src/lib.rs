//! Conformance suites: what every backend of a seam has to do.

pub mod store_suite;
