//! Everything that needs more than one crate, in one binary.

#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on says so by panicking"
)]

mod api;
mod attacks;
mod bench;
mod clients;
mod connectors;
mod console;
mod doctor;
mod dry_runs;
mod engines;
mod fake_control_plane;
mod first_delivery;
mod flow;
mod github;
mod graceful;
mod handshakes;
mod inspecting;
mod kills;
mod listener;
mod log;
mod log_charts;
mod log_faults;
mod log_index;
mod log_line;
mod log_order;
mod log_plans;
mod log_races;
mod log_replicas;
mod log_space;
mod log_upgrade;
mod manifests;
mod postgres_faults;
mod properties;
mod providers;
mod redaction;
mod replicas;
mod restores;
mod roles;
mod rotate;
mod salesforce;
mod samples;
mod secrets;
mod servers;
mod store;
mod store_damage;
mod store_faults;
mod streams;
mod tls;
mod troubles;
mod vectors;
mod vectors_live;
mod why;

use hookplane_tests::proxy;
