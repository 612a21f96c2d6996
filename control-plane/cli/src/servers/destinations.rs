//! How deliveries leave: the operator's ranges and certificates.

use std::path::PathBuf;

use hookplane_control_plane::dispatch::client::{HttpClient, Names, Networks};

use crate::connect::tls;
use crate::failure::Failure;

/// To public addresses, and to those in `allowed`.
pub(crate) fn client(
    allowed: impl Into<Networks>,
    ca_file: Option<PathBuf>,
) -> Result<HttpClient, Failure> {
    let tls = tls::destinations(ca_file)?;
    Ok(HttpClient::new(allowed.into(), tls, Names::default()))
}
