//! The two servers as this command starts them: `serve` the control plane, `listen` the listener, `dev` both.
//!
//! Sockets are bound before anything is opened. A server runs in a task of its own, is told to drain once, and is awaited.

pub(crate) mod backends;
pub(crate) mod clock;
mod control_plane;
pub(crate) mod destinations;
pub(crate) mod files;
mod listener;
mod poster;
mod seal_key;
pub(crate) mod status;
pub(crate) mod tls;

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) use control_plane::ControlPlane;
pub(crate) use listener::Listener;
pub(crate) use tls::Identity;

use crate::failure::Failure;
use crate::output;

/// A server in a task of its own.
pub(crate) struct Running {
    what: &'static str,
    stop: CancellationToken,
    task: JoinHandle<Result<(), String>>,
}

impl Running {
    fn start<E: Display + Send + 'static>(
        what: &'static str,
        stop: CancellationToken,
        server: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Self {
        let task = tokio::spawn(async move { server.await.map_err(|error| error.to_string()) });
        Self { what, stop, task }
    }

    /// Returns only if it ends by itself, which is a failure whatever it says.
    pub(crate) async fn ended(&mut self) -> Failure {
        let ended = (&mut self.task).await;
        match self.settle(ended) {
            Ok(()) => Failure::new(format!("{} ended by itself", self.what)),
            Err(failure) => failure,
        }
    }

    /// Tells it to end, and waits until it has finished what it took.
    pub(crate) async fn drain(mut self) -> Result<(), Failure> {
        self.stop.cancel();
        let ended = (&mut self.task).await;
        self.settle(ended)
    }

    fn settle(&self, ended: Result<Result<(), String>, JoinError>) -> Result<(), Failure> {
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::new(format!("{}: {error}", self.what))),
            Err(error) => Err(Failure::new(format!("{} broke off: {error}", self.what))),
        }
    }
}

/// Runs until the first signal, then drains. Nothing keeps the process longer than `grace` after that.
pub(crate) async fn until(
    shutdown: &CancellationToken,
    grace: Duration,
    mut server: Running,
) -> Result<(), Failure> {
    tokio::select! {
        () = shutdown.cancelled() => {}
        failure = server.ended() => return Err(failure),
    }
    draining(grace, server.drain()).await
}

/// Bounds a drain.
pub(crate) async fn draining(
    grace: Duration,
    drain: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    output::note("draining; a second signal ends at once");
    tokio::time::timeout(grace, drain)
        .await
        .map_err(|_| Failure::new(format!("not drained after {} s", grace.as_secs())))?
}

/// Binds, or says what to try.
pub(crate) async fn bind(address: &str, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::InvalidInput => format!("{flag} takes ADDRESS:PORT, as in 127.0.0.1:0"),
            _ => format!("choose another address with {flag}; port 0 picks a free one"),
        };
        Failure::new(format!("listen on {address}: {error}")).hint(hint)
    })
}

/// How the bound address is reached from this machine.
pub(crate) fn url(scheme: &str, address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_reached_over_loopback() -> Result<(), std::net::AddrParseError> {
        assert_eq!(url("http", "0.0.0.0:80".parse()?), "http://127.0.0.1:80");
        assert_eq!(url("https", "[::]:80".parse()?), "https://[::1]:80");
        assert_eq!(
            url("http", "127.0.0.1:8080".parse()?),
            "http://127.0.0.1:8080"
        );
        Ok(())
    }

    #[tokio::test]
    async fn port_0_picks_a_free_one() -> Result<(), Failure> {
        let bound = bind("127.0.0.1:0", "--api").await?;
        assert_ne!(bound.local_addr()?.port(), 0);
        let again = bind(&bound.local_addr()?.to_string(), "--api").await;
        assert!(again.is_err());
        Ok(())
    }
}
