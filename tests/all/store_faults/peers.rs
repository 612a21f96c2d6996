//! The way between etcd's members, which a test may close for one of them.
//!
//! Each member is found by the others behind a proxy. etcd's members say in their first request who they are, so that a connection has a from and a
//! to, and one member can be cut off in both directions.

use std::net::SocketAddr;

use hookplane_tests::engines::etcd::Etcd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::fake_control_plane::Failure;

/// Longer than the head of any of etcd's requests.
const HEAD_BYTES: usize = 16 * 1024;

/// Who is cut off: its number, and its id as it says it.
type Isolated = Option<(usize, String)>;

#[derive(Default)]
pub(super) struct Peers {
    isolated: watch::Sender<Isolated>,
    accepting: Vec<AbortOnDropHandle<()>>,
}

impl Peers {
    /// Where the next member that listens at `peer` is found.
    pub(super) fn before(&mut self, peer: &str) -> String {
        let to = self.accepting.len();
        let target: SocketAddr = peer
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        socket.set_nonblocking(true).expect("a socket");
        let socket = TcpListener::from_std(socket).expect("a socket");
        let isolated = self.isolated.subscribe();
        let accepting = tokio::spawn(async move {
            while let Ok((from, _)) = socket.accept().await {
                // Ends with its connections, or with the runtime.
                tokio::spawn(forward(from, target, to, isolated.clone()));
            }
        });
        self.accepting.push(AbortOnDropHandle::new(accepting));
        format!("http://{address}")
    }

    /// Nothing goes from or to this member any more; its connections are cut.
    pub(super) fn isolate(&self, etcd: &Etcd, member: usize) -> Result<(), Failure> {
        let status = etcd.ctl(member, &["endpoint", "status", "-w", "json"]);
        let status: serde_json::Value = serde_json::from_str(&status.ok_or("it says who it is")?)?;
        let id = status[0]["Status"]["header"]["member_id"].as_u64();
        let id = format!("{:x}", id.ok_or("an id")?);
        self.isolated.send_replace(Some((member, id)));
        Ok(())
    }

    pub(super) fn rejoin(&self) {
        self.isolated.send_replace(None);
    }
}

async fn forward(
    mut from: TcpStream,
    target: SocketAddr,
    to: usize,
    mut isolated: watch::Receiver<Isolated>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if from.read_buf(&mut head).await.ok()? == 0 || head.len() > HEAD_BYTES {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let named = text
        .lines()
        .find_map(|line| line.strip_prefix("x-server-from:"));
    let id = named.unwrap_or_default().trim().to_owned();
    let cut = isolated.wait_for(|isolated| {
        let isolated = isolated.as_ref();
        isolated.is_some_and(|(number, of)| *number == to || *of == id)
    });
    let both = async {
        let mut other = TcpStream::connect(target).await?;
        other.write_all(&head).await?;
        tokio::io::copy_bidirectional(&mut from, &mut other).await
    };
    tokio::select! {
        biased;
        _ = cut => {}
        // A connection that fails is one that ends.
        _ = both => {}
    }
    Some(())
}
