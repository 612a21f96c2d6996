//! A path between two peers that a test can cut, freeze, or lead elsewhere.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::fake_control_plane::Failure;

/// Forwards bytes while it may. Ends with this.
pub(crate) struct Proxy {
    address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    /// Connections accepted up to here forward nothing any more, and stay open.
    frozen: watch::Sender<usize>,
    cut: Arc<Mutex<CancellationToken>>,
    accepted: Arc<Mutex<usize>>,
    end: CancellationToken,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Proxy {
    /// To a server at this URL.
    pub(crate) async fn start(url: &str) -> Result<Self, Failure> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Self {
            address: socket.local_addr()?,
            target: Arc::new(Mutex::new(Some(address_of(url)?))),
            frozen: watch::Sender::new(0),
            cut: Arc::default(),
            accepted: Arc::default(),
            end: CancellationToken::new(),
        };
        let (target, cut, accepted) = (
            proxy.target.clone(),
            proxy.cut.clone(),
            proxy.accepted.clone(),
        );
        let (frozen, end) = (proxy.frozen.clone(), proxy.end.clone());
        tokio::spawn(async move {
            loop {
                let (inner, _) = tokio::select! {
                    accepted = socket.accept() => accepted.unwrap(),
                    () = end.cancelled() => return,
                };
                let to = *target.lock().unwrap();
                let Some(to) = to else { continue };
                let Ok(outer) = TcpStream::connect(to).await else {
                    continue;
                };
                let number = {
                    let mut accepted = accepted.lock().unwrap();
                    *accepted += 1;
                    *accepted
                };
                let ((ir, iw), (or, ow)) = (inner.into_split(), outer.into_split());
                for (from, to) in [(ir, ow), (or, iw)] {
                    let stop = cut.lock().unwrap().child_token();
                    let (end, frozen) = (end.clone(), frozen.subscribe());
                    tokio::spawn(async move {
                        tokio::select! {
                            () = forward(from, to, frozen, number) => {}
                            () = stop.cancelled() => {}
                            () = end.cancelled() => {}
                        }
                    });
                }
            }
        });
        Ok(proxy)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The connections there are forward nothing any more, and nobody is told. New ones do.
    pub(crate) fn freeze(&self) {
        self.frozen.send_replace(*self.accepted.lock().unwrap());
    }

    /// Ends the connections there are; new ones are closed until [`Proxy::lead_to`].
    pub(crate) fn cut(&self) {
        *self.target.lock().unwrap() = None;
        std::mem::take(&mut *self.cut.lock().unwrap()).cancel();
    }

    /// Where new connections lead.
    pub(crate) fn lead_to(&self, url: &str) -> Result<(), Failure> {
        *self.target.lock().unwrap() = Some(address_of(url)?);
        Ok(())
    }
}

fn address_of(url: &str) -> Result<SocketAddr, Failure> {
    Ok(url.trim_start_matches("http://").parse()?)
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    frozen: watch::Receiver<usize>,
    number: usize,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) if *frozen.borrow() >= number => std::future::pending().await,
            Ok(n) if to.write_all(&buffer[..n]).await.is_err() => break,
            Ok(_) => {}
        }
    }
}
