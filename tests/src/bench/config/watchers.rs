//! What the config streams are compared with: the same number of clients that watch etcd themselves, each on a connection of its own, spread
//! over its members. They keep nothing and answer nothing.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Request;

use super::wire::Stream;
use crate::bench::Failure;

const PATH: &str = "/etcdserverpb.Watch/Watch";
/// etcd hangs up on who pings more often than every 5 s.
const PING_EVERY: Duration = Duration::from_secs(10);

/// A change has come to one of them.
pub(super) struct Saw {
    pub(super) revision: u64,
    pub(super) at: Instant,
    pub(super) bytes: u64,
}

/// They end with this.
pub(super) struct Watchers {
    pub(super) news: mpsc::UnboundedReceiver<Result<Saw, String>>,
    _tasks: JoinSet<()>,
}

impl Watchers {
    /// So many watchers of keys that begin with `prefix`, all of them there when this returns.
    pub(super) async fn start(
        count: usize,
        members: &[SocketAddr],
        prefix: &str,
    ) -> Result<Self, Failure> {
        let (tell, news) = mpsc::unbounded_channel();
        let (begun, mut beginnings) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let address = members[number % members.len()];
            let create = CreateRequest {
                key: prefix.as_bytes().to_vec(),
                range_end: end_of(prefix),
            };
            let (tell, begun) = (tell.clone(), begun.clone());
            tasks.spawn(async move {
                if let Err(error) = watch(address, create, &begun, &tell).await {
                    // Nobody listens any more: the run is over.
                    let _ = tell.send(Err(error.to_string()));
                }
            });
        }
        drop(begun);
        for _ in 0..count {
            beginnings.recv().await.ok_or("a watch did not begin")?;
        }
        Ok(Self {
            news,
            _tasks: tasks,
        })
    }
}

async fn watch(
    address: SocketAddr,
    create: CreateRequest,
    begun: &mpsc::Sender<()>,
    tell: &mpsc::UnboundedSender<Result<Saw, String>>,
) -> Result<(), Failure> {
    let create = Some(create);
    // Without a token: etcd refuses one that it doesn't know, in silence.
    let create = Request::new(WatchRequest { create });
    let mut stream: Stream<WatchRequest, WatchResponse> =
        Stream::open(address, PING_EVERY, PATH, create).await?;
    let mut before = 0;
    loop {
        let said = stream.next().await?;
        if said.canceled {
            return Err("etcd ended a watch".into());
        }
        if said.created {
            begun.send(()).await?;
            before = stream.bytes();
        }
        if !said.events.is_empty() {
            let now = stream.bytes();
            tell.send(Ok(Saw {
                revision: said.header.unwrap_or_default().revision,
                at: Instant::now(),
                bytes: now - std::mem::replace(&mut before, now),
            }))?;
        }
    }
}

/// The first key after all that begin with `prefix`.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        // Ours end in a slash.
        *last += 1;
    }
    end
}

/// `etcdserverpb.WatchRequest`, as far as it is needed.
#[derive(Clone, PartialEq, prost::Message)]
struct WatchRequest {
    #[prost(message, optional, tag = "1")]
    create: Option<CreateRequest>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CreateRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    range_end: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WatchResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(bool, tag = "3")]
    created: bool,
    #[prost(bool, tag = "4")]
    canceled: bool,
    #[prost(bytes = "bytes", repeated, tag = "11")]
    events: Vec<bytes::Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Header {
    #[prost(uint64, tag = "3")]
    revision: u64,
}
