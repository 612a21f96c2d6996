//! What connections to backends have in common: how their TLS is made.

use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;

/// Makes the TLS of one new connection to a backend. Asked for each, so that certificates that were renewed are used (risk 30); an error says
/// which file can't be read. Without one a connection is plain.
pub type OutgoingTls = Arc<dyn Fn() -> Result<Arc<ClientConfig>, String> + Send + Sync>;
