//! `serve`: the control plane as a process of its own.

use std::sync::Arc;

use hookplane_console::SignInLinks;
use hookplane_control_plane::metrics::Metrics;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::args::Serve;
use crate::connect;
use crate::failure::Failure;
use crate::output::note;
use crate::servers::{
    ControlPlane, Identity, backends, bind, destinations, files, status, tls, until, url,
};

/// Serves until a signal.
pub(crate) async fn run(mut serve: Serve, shutdown: CancellationToken) -> Result<(), Failure> {
    backends::check(&serve.backends, serve.insecure_plaintext)?;
    let socket = bind(&serve.api, "--api").await?;
    let address = socket.local_addr()?;
    let identity = Identity::load(serve.common.tls(), serve.client_ca.clone(), tls::API)?;
    if !address.ip().is_loopback() && identity.config().is_none() && !serve.insecure_plaintext {
        return Err(Failure::new(format!(
            "{address} is not loopback, and without TLS whoever is on the way can read tokens and secrets"
        ))
        .hint(
            "give --tls-cert and --tls-key, or say --insecure-plaintext if something else keeps them safe",
        ));
    }
    let ready = watch::Sender::new(false);
    let metrics = Arc::new(Metrics::default());
    let counted = metrics.clone();
    let _status = status::start(&serve.common, &ready, move || counted.render()).await?;
    let admin_token = admin_token(&serve)?;
    let grace = serve.common.grace();
    let allowed = std::mem::take(&mut serve.allow_destinations);
    let ca_file = serve.destination_ca.take();
    let tests_tls = connect::tls::destinations(ca_file.clone())?;
    let client = destinations::client(allowed, ca_file)?;
    let starting = ControlPlane {
        // Nobody reads its output but operators: they have tokens.
        links: SignInLinks::default(),
        socket,
        tls: identity.config(),
        authorities: identity.authorities(),
        backends: serve.backends,
        seal_key: serve.seal_key,
        admin_token,
        public_url: serve.public_url,
        grace,
        client,
        tests_tls,
        metrics,
        ready,
    }
    .start();
    let server = tokio::select! {
        started = starting => started?,
        // Opening a large log takes a while, and nothing has been taken yet.
        () = shutdown.cancelled() => return Ok(()),
    };
    note(&format!("API on {}", url(identity.scheme(), address)));
    until(&shutdown, grace, server).await
}

/// None: stored tokens alone let in.
fn admin_token(serve: &Serve) -> Result<Option<String>, Failure> {
    let Some(path) = &serve.bootstrap_token else {
        return Ok(None);
    };
    let token = files::token_made_once(path)?;
    if token.made {
        note(&format!(
            "made {}: its token administers everything",
            path.display()
        ));
    }
    Ok(Some(token.text))
}
