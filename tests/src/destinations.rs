//! Where deliveries go in tests: to this machine, as with `dev`.

use std::sync::Arc;

use hookplane_control_plane::dispatch::client::{HttpClient, Names, Networks};
use hookplane_control_plane::outgoing::OutgoingTls;

/// To loopback alone, without TLS.
pub fn client() -> HttpClient {
    let none: OutgoingTls = Arc::new(|| Err("nobody here speaks TLS".to_owned()));
    HttpClient::new(Networks::loopback(), none, Names::default())
}
