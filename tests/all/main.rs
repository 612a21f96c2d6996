//! One binary for every test that needs more than one crate.
#![allow(clippy::unwrap_used)]

mod connectors;
mod properties;
mod vectors;
