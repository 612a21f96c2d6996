//! `dev`: the two real servers in one process, speaking real gRPC over loopback, with embedded stores.
//!
//! Both sockets are bound before anything is opened. At the end the listener drains first, since what it holds has still to be kept;
//! then the control plane ends.

mod backends;
pub(crate) mod clock;
mod files;
mod starter;
mod watch;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::catalogue::Catalogue;
use hookplane_control_plane::server::{self, Parts};
use hookplane_proto::v1;
use hookplane_rules::Clock;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::args::Dev;
use crate::connect::{Api, Target, Top, data_dir};
use crate::failure::Failure;
use crate::output;
use clock::SystemClock;
use files::DataDir;

/// Until the listener serves.
const READY_DEADLINE: Duration = Duration::from_secs(30);
/// Between two looks.
const READY_INTERVAL: Duration = Duration::from_millis(20);
/// For everything at the end: the listener's drain (10 s), then the server's.
const GRACE: Duration = Duration::from_secs(20);

/// Serves until a signal.
pub(crate) async fn run(dev: Dev, top: &Top, shutdown: CancellationToken) -> Result<(), Failure> {
    let callbacks = bind(&dev.listen).await?;
    let api = bind(&dev.api).await?;
    let listen_url = url(callbacks.local_addr()?);
    let api_url = url(api.local_addr()?);
    let given = dev.data_dir.as_deref().or(top.data_dir.as_deref());
    let folder = DataDir::open(&data_dir(given))?;
    let token = folder.token()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // Before the store: so a store without its key has lost it.
    let seal = folder.seal_key()?;
    let (store, log) = backends::open(folder.path(), clock.clone()).await?;
    let parts = Parts {
        store,
        log,
        seal,
        clock: clock.clone(),
        catalogue: Catalogue::built_in().map_err(Failure::new)?,
        public_url: listen_url.clone(),
        admin_token: token.clone(),
        stream_age: server::STREAM_AGE,
    };
    let config = hookplane_listener::Config {
        name: "dev".to_owned(),
        pool: "default".to_owned(),
        control_planes: vec![api_url.clone()],
        token: token.clone(),
        limits: hookplane_listener::Limits::default(),
    };
    folder.write_api(&api_url)?;

    // Each ends on its own token; both are awaited below.
    let (stop_listener, stop_server) = (CancellationToken::new(), CancellationToken::new());
    let mut server = tokio::spawn(server::run(api, parts, stop_server.clone()));
    let mut listener = tokio::spawn(hookplane_listener::run(
        callbacks,
        config,
        clock,
        stop_listener.clone(),
    ));
    let started = Started {
        listen_url,
        api_url,
        token,
        folder,
    };
    let ended = tokio::select! {
        result = started.work(&shutdown) => result,
        result = &mut server => return Err(early("control plane", result)),
        result = &mut listener => return Err(early("listener", result)),
    };
    output::note("draining; a second Ctrl-C ends at once");
    let drained = tokio::time::timeout(GRACE, async {
        stop_listener.cancel();
        let listener = listener.await;
        stop_server.cancel();
        (listener, server.await)
    })
    .await
    .map_err(|_| Failure::new(format!("not drained after {} s", GRACE.as_secs())))?;
    settle("listener", drained.0)?;
    settle("control plane", drained.1)?;
    ended
}

async fn bind(address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(format!("listen on {address}: {error}"))
            .hint("choose other addresses with --listen and --api; port 0 picks a free one")
    })
}

/// How the bound address is reached from this machine.
fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

type Ended<E> = Result<Result<(), E>, tokio::task::JoinError>;

fn settle<E: std::fmt::Display>(what: &str, ended: Ended<E>) -> Result<(), Failure> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::new(format!("{what}: {error}"))),
        Err(error) => Err(Failure::new(format!("{what} broke off: {error}"))),
    }
}

fn early<E: std::fmt::Display>(what: &str, ended: Ended<E>) -> Failure {
    match settle(what, ended) {
        Ok(()) => Failure::new(format!("{what} ended by itself")),
        Err(failure) => failure,
    }
}

struct Started {
    listen_url: String,
    api_url: String,
    token: String,
    folder: DataDir,
}

impl Started {
    /// What is done while the servers run: the starter, the lines to paste, the small subscriber.
    async fn work(&self, shutdown: &CancellationToken) -> Result<(), Failure> {
        let target = Target::with_token(self.api_url.clone(), self.token.clone());
        let begun = async {
            let api = target.connect().await?;
            ready(&api).await?;
            let made = starter::make(&api).await?;
            self.greet(&api, made.as_ref()).await?;
            Ok::<_, Failure>(api)
        };
        let api = tokio::select! {
            begun = begun => begun?,
            () = shutdown.cancelled() => return Ok(()),
        };
        tokio::select! {
            () = watch::deliveries(&api) => {}
            () = watch::refusals(&api) => {}
            () = shutdown.cancelled() => {}
        }
        Ok(())
    }

    async fn greet(&self, api: &Api, made: Option<&starter::Made>) -> Result<(), Failure> {
        let mut text = format!(
            "\nhookplane is ready\n  callbacks  {}\n  API        {}\n  data       {}\n",
            self.listen_url,
            self.api_url,
            self.folder.path().display()
        );
        if starter::exists(api).await? {
            let send = starter::send_line(self.folder.path())?;
            text.push_str(&format!(
                "\nSend a first signed callback: paste this into a second terminal\n\n  {send}\n\n\
                 A small subscriber in this process takes what demo/github/everything is due, and prints a line for each.\n"
            ));
            if let Some(made) = made {
                text.push_str(&format!(
                    "\nThe same with curl, signed for this very body:\n\n{}\n",
                    made.curl
                ));
            }
        }
        text.push_str("\nCtrl-C ends it.\n\n");
        output::text(&text)
    }
}

async fn ready(api: &Api) -> Result<(), Failure> {
    let deadline = Instant::now() + READY_DEADLINE;
    loop {
        let request = v1::ListListenersRequest {};
        let listeners = api
            .config()
            .list_listeners(request)
            .await?
            .into_inner()
            .listeners;
        if listeners.iter().any(|listener| listener.ready) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(format!(
                "the listener is not ready after {} s",
                READY_DEADLINE.as_secs()
            ))
            .hint("RUST_LOG=debug says more"));
        }
        tokio::time::sleep(READY_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_reached_over_loopback() -> Result<(), std::net::AddrParseError> {
        assert_eq!(url("0.0.0.0:80".parse()?), "http://127.0.0.1:80");
        assert_eq!(url("[::]:80".parse()?), "http://[::1]:80");
        assert_eq!(url("127.0.0.1:8080".parse()?), "http://127.0.0.1:8080");
        Ok(())
    }

    #[tokio::test]
    async fn port_0_picks_a_free_one() -> Result<(), Failure> {
        let bound = bind("127.0.0.1:0").await?;
        assert_ne!(bound.local_addr()?.port(), 0);
        assert!(bind(&bound.local_addr()?.to_string()).await.is_err());
        Ok(())
    }
}
