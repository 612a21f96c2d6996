//! `listen`: a listener as a process of its own.

use std::sync::Arc;

use hookplane_listener::{Metrics, Token};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::args::Listen;
use crate::connect::tls::provider;
use crate::connect::{Top, refuse_plaintext};
use crate::failure::Failure;
use crate::output::note;
use crate::servers::tls::Files;
use crate::servers::{Identity, Listener, bind, files, status, tls, until, url};

/// Where Linux says what the machine is called.
const HOSTNAME_FILE: &str = "/proc/sys/kernel/hostname";

/// Serves until a signal.
pub(crate) async fn run(
    listen: Listen,
    top: &Top,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    for url in &listen.control_plane {
        refuse_plaintext(url, listen.insecure_plaintext)?;
        if listen.client_cert.is_some() && !url.starts_with("https://") {
            return Err(Failure::Usage(format!(
                "--client-cert is shown over TLS, and {url} is without it: write https://"
            )));
        }
    }
    let token = token(&listen, top)?;
    let socket = bind(&listen.listen, "--listen").await?;
    let address = socket.local_addr()?;
    let identity = Identity::load(listen.common.tls(), None, tls::CALLBACKS)?;
    let ready = watch::Sender::new(false);
    let metrics = Arc::new(Metrics::default());
    let counted = metrics.clone();
    let _status = status::start(&listen.common, &ready, move || counted.render()).await?;
    let grace = listen.common.grace();
    let server = Listener {
        socket,
        tls: identity.config(),
        name: listen.name.unwrap_or_else(machine),
        pool: listen.pool,
        control_planes: listen.control_plane,
        token,
        ca_file: listen.tls_ca.or_else(|| top.tls_ca.clone()),
        grace: Some(grace),
        metrics,
        ready,
    }
    .start();
    note(&format!("callbacks on {}", url(identity.scheme(), address)));
    until(&shutdown, grace, server).await
}

fn token(listen: &Listen, top: &Top) -> Result<Token, Failure> {
    if let (Some(cert), Some(key)) = (&listen.client_cert, &listen.client_key) {
        let (cert, key) = (cert.clone(), key.clone());
        // As with a token's file below.
        let files = Files { cert, key };
        files.read(&provider()).map_err(Failure::new)?;
        return Ok(Token::Certificate {
            cert: files.cert,
            key: files.key,
        });
    }
    if let Some(path) = &listen.token_file {
        // Read again for every connection; now, so that a wrong path is told at once.
        files::given_token(path)?;
        return Ok(Token::File(path.clone()));
    }
    match &top.token {
        Some(token) if !token.is_empty() => Ok(Token::Text(token.clone())),
        _ => Err(Failure::new("no token for the control plane")
            .hint("name the file that holds it with --token-file, or set HOOKPLANE_TOKEN; or give --client-cert and --client-key")),
    }
}

/// In a container this names the container. bash keeps HOSTNAME to itself, so the system is asked as well.
fn machine() -> String {
    let named = |name: String| Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    std::env::var("HOSTNAME")
        .ok()
        .and_then(named)
        .or_else(|| std::fs::read_to_string(HOSTNAME_FILE).ok().and_then(named))
        .unwrap_or_else(|| "listener".to_owned())
}
