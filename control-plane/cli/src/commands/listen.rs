//! `listen`: a listener as a process of its own.

use hookplane_listener::Token;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::args::Listen;
use crate::connect::{Top, is_loopback};
use crate::failure::Failure;
use crate::output::note;
use crate::servers::{Listener, bind, files, until, url};

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
    }
    let token = token(&listen, top)?;
    let socket = bind(&listen.listen, "--listen").await?;
    let address = socket.local_addr()?;
    let grace = listen.common.grace();
    let server = Listener {
        socket,
        name: listen.name.unwrap_or_else(machine),
        pool: listen.pool,
        control_planes: listen.control_plane,
        token,
        ca_file: None,
        grace: Some(grace),
        ready: watch::Sender::new(false),
    }
    .start();
    note(&format!("callbacks on {}", url("http", address)));
    until(&shutdown, grace, server).await
}

/// A token is worth as much as what it opens: it doesn't go where others can read it.
fn refuse_plaintext(url: &str, insecure: bool) -> Result<(), Failure> {
    let uri: hyper::Uri = url.parse().map_err(|_| {
        Failure::Usage(format!(
            "`{url}` is no address of an API: write http://HOST:PORT"
        ))
    })?;
    let host = uri.host().unwrap_or_default();
    if uri.scheme_str() == Some("http") && !is_loopback(host) && !insecure {
        return Err(Failure::new(format!(
            "the token would go over plain http to {host}, where whoever is on the way can read it"
        ))
        .hint("use https://, or say --insecure-plaintext if something else keeps it safe"));
    }
    Ok(())
}

fn token(listen: &Listen, top: &Top) -> Result<Token, Failure> {
    if let Some(path) = &listen.token_file {
        // Read again for every connection; now, so that a wrong path is told at once.
        files::token(path)?.ok_or_else(|| {
            Failure::new(format!("{}: there is no token in it", path.display()))
                .hint("the control plane's --bootstrap-token file holds one")
        })?;
        return Ok(Token::File(path.clone()));
    }
    match &top.token {
        Some(token) if !token.is_empty() => Ok(Token::Text(token.clone())),
        _ => Err(Failure::new("no token for the control plane")
            .hint("name the file that holds it with --token-file, or set HOOKPLANE_TOKEN")),
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
