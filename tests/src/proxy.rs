//! A TCP proxy that does what it is told: forwards, freezes as a black hole does, cuts, or leads elsewhere.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Ends with this, and its connections with it.
pub struct Proxy {
    /// Where it takes connections.
    pub address: SocketAddr,
    /// Where it led at first.
    first: SocketAddr,
    /// None: new connections are closed.
    target: watch::Sender<Option<SocketAddr>>,
    /// Connections accepted up to this one forward nothing, and stay open.
    frozen: watch::Sender<usize>,
    /// Likewise, of what the server says.
    mute: watch::Sender<usize>,
    open: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
    cut: watch::Sender<CancellationToken>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// To the server at this URL, or host and port.
    pub async fn start(url: &str) -> io::Result<Self> {
        Self::to(address_of(url)?).await
    }

    /// To a server on this machine.
    pub async fn to(target: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let first = target;
        let (target, frozen) = (watch::Sender::new(Some(target)), watch::Sender::new(0));
        let mute = watch::Sender::new(0);
        let cut = watch::Sender::new(CancellationToken::new());
        let (open, accepted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (to, cutting) = (target.clone(), cut.clone());
        let gates = [frozen.clone(), mute.clone()];
        let (count, total) = (open.clone(), accepted.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((from, _)) = socket.accept().await {
                let gates = gates.each_ref().map(watch::Sender::subscribe);
                let cut = cutting.borrow().clone();
                let number = total.fetch_add(1, Ordering::Relaxed) + 1;
                let Some(target) = *to.borrow() else { continue };
                let count = count.clone();
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    // A connection that fails is one that ends, on both sides.
                    let _ = cut
                        .run_until_cancelled(connect(from, target, gates, number))
                        .await;
                    count.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Ok(Self {
            address,
            first,
            target,
            frozen,
            mute,
            open,
            accepted,
            cut,
            _accepting: AbortOnDropHandle::new(accepting),
        })
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Nothing goes through any more, in either direction, and nobody is told.
    pub fn freeze(&self) {
        self.frozen.send_replace(usize::MAX);
    }

    /// The same of the connections there are. New ones work.
    pub fn freeze_open(&self) {
        self.frozen.send_replace(self.accepted());
    }

    /// Of the connections there are, what the server says is lost on the way; it hears everything.
    pub fn swallow_answers(&self) {
        self.mute.send_replace(self.accepted());
    }

    /// What was on its way goes on.
    pub fn thaw(&self) {
        self.frozen.send_replace(0);
    }

    /// Ends the connections there are; new ones are closed until [`Proxy::lead_to`].
    pub fn cut(&self) {
        self.target.send_replace(None);
        self.cut_open();
    }

    /// Ends the connections there are. New ones work.
    pub fn cut_open(&self) {
        self.cut.send_replace(CancellationToken::new()).cancel();
    }

    /// After [`Proxy::cut`] new connections lead where they did at first.
    pub fn mend(&self) {
        self.target.send_replace(Some(self.first));
    }

    /// Where new connections lead.
    pub fn lead_to(&self, url: &str) -> io::Result<()> {
        self.target.send_replace(Some(address_of(url)?));
        Ok(())
    }

    /// Connections since the start.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

fn address_of(url: &str) -> io::Result<SocketAddr> {
    let address = url.trim_start_matches("http://").parse();
    address.map_err(io::Error::other)
}

async fn connect(
    from: TcpStream,
    target: SocketAddr,
    [frozen, mute]: [watch::Receiver<usize>; 2],
    number: usize,
) -> io::Result<()> {
    let to = TcpStream::connect(target).await?;
    from.set_nodelay(true)?;
    to.set_nodelay(true)?;
    let (mut from_read, mut from_write) = from.into_split();
    let (mut to_read, mut to_write) = to.into_split();
    tokio::select! {
        done = forward(&mut from_read, &mut to_write, [frozen.clone(), frozen.clone()], number) => done,
        done = forward(&mut to_read, &mut from_write, [frozen, mute], number) => done,
    }
}

async fn forward(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    gates: [watch::Receiver<usize>; 2],
    number: usize,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // Held even if it is the end: a black hole doesn't say that either. The proxy itself may be gone; then this ends with it.
        for mut gate in gates.clone() {
            let _ = gate.wait_for(|closed| *closed < number).await;
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}
