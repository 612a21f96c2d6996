//! `serve`: the control plane as a process of its own.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::args::Serve;
use crate::failure::Failure;
use crate::output::note;
use crate::servers::{ControlPlane, bind, files, until, url};

/// Serves until a signal.
pub(crate) async fn run(serve: Serve, shutdown: CancellationToken) -> Result<(), Failure> {
    let socket = bind(&serve.api, "--api").await?;
    let address = socket.local_addr()?;
    if !address.ip().is_loopback() && !serve.insecure_plaintext {
        return Err(Failure::new(format!(
            "{address} is not loopback, and without TLS whoever is on the way can read tokens and secrets"
        ))
        .hint("serve on 127.0.0.1, or say --insecure-plaintext if something else keeps them safe"));
    }
    let admin_token = admin_token(&serve)?;
    let grace = serve.common.grace();
    let server = ControlPlane {
        socket,
        store: serve.store.0,
        log: serve.log.0,
        seal_key: serve.seal_key,
        admin_token,
        public_url: serve.public_url,
        grace,
        ready: watch::Sender::new(false),
    }
    .start()
    .await?;
    note(&format!("API on {}", url("http", address)));
    until(&shutdown, grace, server).await
}

/// The server never starts open: without a token nobody could do anything, and nobody is let in without one.
fn admin_token(serve: &Serve) -> Result<String, Failure> {
    let Some(path) = &serve.bootstrap_token else {
        return Err(
            Failure::new("no token that administers: nobody could do anything here").hint(
                "name a file with --bootstrap-token; a token is made in it when there is none",
            ),
        );
    };
    let token = files::token_made_once(path)?;
    if token.made {
        note(&format!(
            "made {}: its token administers everything",
            path.display()
        ));
    }
    Ok(token.text)
}
