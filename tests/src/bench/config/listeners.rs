//! Listeners without callbacks: each on a connection of its own, they speak the config stream as listeners do, and keep what tells them whether
//! they have everything, the revision of each resource, instead of a compiled plan.
//!
//! ```text
//!  address ─▶ connect ─▶ Hello(where it is) ─▶ Welcome ─▶ push ─▶ check the digest ─▶ Ack ─▶ news
//!     ▲                                                    ▲───────────────────────────┘
//!     └── the stream is lost: again at once, for as long as there is an address
//! ```
//!
//! A digest that isn't the control plane's, or anything else that a listener would not take, ends the run.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookplane_proto::encoded_config::{Kind, StreamConfigResponse};
use hookplane_proto::v1;
use hookplane_proto::v1::stream_config_request::Kind as Say;
use hookplane_rules::digest_of;
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::wire::Stream;
use crate::bench::Failure;
use crate::bench::setup::request;

const PATH: &str = "/hookplane.v1.ConfigService/StreamConfig";
/// As a listener does.
const PING_EVERY: Duration = Duration::from_secs(4);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(50);

/// What a listener has to tell.
pub(super) enum News {
    /// A push is applied, and its ack handed to the connection.
    Acked { to: u64, at: Instant, bytes: u64 },
    /// The first push on a stream that resumed is acked.
    Resumed { at: Instant },
    /// A full list came.
    List,
    /// It can't go on.
    Failed(String),
}

/// Where a listener is.
#[derive(Clone, Default)]
pub(super) struct Place {
    epoch: String,
    revision: u64,
    digest: u64,
    proof: Bytes,
    /// Shared by all that began from one list.
    listed: Arc<HashMap<String, u64>>,
    /// Changed since; none for what is gone.
    changed: HashMap<String, Option<u64>>,
}

/// A first full list, as one listener gets it.
pub(super) struct List {
    pub(super) place: Place,
    pub(super) took: Duration,
    pub(super) bytes: u64,
    pub(super) resources: usize,
}

/// Takes a full list, and leaves.
pub(super) async fn list(address: SocketAddr) -> Result<List, Failure> {
    let began = Instant::now();
    let mut place = Place::default();
    let mut listed = HashMap::new();
    let mut stream = place.open("scout", address).await?;
    loop {
        match stream.next().await?.kind {
            Some(Kind::Welcome(welcome)) => place.epoch = welcome.epoch,
            Some(Kind::ListChunk(chunk)) => {
                for resource in chunk.resources {
                    let head = Head::decode(resource)?;
                    place.digest = place
                        .digest
                        .wrapping_add(digest_of(&head.uid, head.revision));
                    listed.insert(head.uid, head.revision);
                }
                if let Some(end) = chunk.end {
                    (place.revision, place.proof) = (end.revision, end.proof);
                    if place.digest != end.digest {
                        return Err("a full list's digest is wrong".into());
                    }
                    break;
                }
            }
            _ => {}
        }
    }
    let (took, bytes, resources) = (began.elapsed(), stream.bytes(), listed.len());
    place.listed = Arc::new(listed);
    Ok(List {
        place,
        took,
        bytes,
        resources,
    })
}

/// Many of them. They end with this.
pub(super) struct Listeners {
    pub(super) news: mpsc::UnboundedReceiver<News>,
    address: watch::Sender<Option<SocketAddr>>,
    _tasks: JoinSet<()>,
}

impl Listeners {
    /// So many, all where `place` is. They wait for an address.
    pub(super) fn start(count: usize, place: &Place) -> Self {
        let (tell, news) = mpsc::unbounded_channel();
        let (address, where_to) = watch::channel(None);
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let (tell, where_to) = (tell.clone(), where_to.clone());
            let mut place = place.clone();
            tasks.spawn(async move {
                let ended = place.follow(&format!("l{number}"), where_to, &tell).await;
                if let Err(error) = ended {
                    // Nobody listens any more: the run is over.
                    let _ = tell.send(News::Failed(error.to_string()));
                }
            });
        }
        Self {
            news,
            address,
            _tasks: tasks,
        }
    }

    /// Where the control plane is now. None: nowhere.
    pub(super) fn lead_to(&self, address: Option<SocketAddr>) {
        self.address.send_replace(address);
    }
}

/// What a digest is made of; the rest of a resource is skipped.
#[derive(Clone, PartialEq, prost::Message)]
struct Head {
    #[prost(string, tag = "1")]
    uid: String,
    #[prost(uint64, tag = "2")]
    revision: u64,
}

type Config = Stream<v1::StreamConfigRequest, StreamConfigResponse>;

impl Place {
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    async fn open(&self, name: &str, address: SocketAddr) -> Result<Config, Failure> {
        let hello = v1::ConfigHello {
            listener: name.to_owned(),
            boot: format!("boot of {name}"),
            epoch: self.epoch.clone(),
            revision: self.revision,
            digest: self.digest,
            proof: self.proof.clone(),
            ..Default::default()
        };
        let hello = request(say(Say::Hello(hello)))?;
        Stream::open(address, PING_EVERY, PATH, hello).await
    }

    async fn follow(
        &mut self,
        name: &str,
        mut where_to: watch::Receiver<Option<SocketAddr>>,
        tell: &mpsc::UnboundedSender<News>,
    ) -> Result<(), Failure> {
        loop {
            let Ok(address) = where_to.wait_for(Option::is_some).await.map(|a| *a) else {
                return Ok(());
            };
            let Some(address) = address else { continue };
            let Ok(mut stream) = self.open(name, address).await else {
                // Not there yet, or gone already.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            self.session(&mut stream, tell).await?;
        }
    }

    /// Until the stream is lost. An error is one that a listener would not go on after.
    async fn session(
        &mut self,
        stream: &mut Config,
        tell: &mpsc::UnboundedSender<News>,
    ) -> Result<(), Failure> {
        let ready = say(Say::Ready(v1::ConfigReady { ready: true }));
        if stream.to.send(ready).await.is_err() {
            return Ok(());
        }
        let mut resumed = false;
        let mut before = 0;
        loop {
            let Ok(said) = stream.next().await else {
                return Ok(());
            };
            match said.kind {
                Some(Kind::Welcome(welcome)) => {
                    if !welcome.resume {
                        tell.send(News::List)?;
                        return Err("it was sent a full list where it could resume".into());
                    }
                }
                Some(Kind::Delta(delta)) => {
                    let (nonce, to) = (delta.nonce, delta.to);
                    self.change(delta)?;
                    let ack = say(Say::Ack(v1::ConfigAck {
                        nonce,
                        revision: self.revision,
                        digest: self.digest,
                    }));
                    if stream.to.send(ack).await.is_err() {
                        return Ok(());
                    }
                    let (at, now) = (Instant::now(), stream.bytes());
                    let bytes = now - std::mem::replace(&mut before, now);
                    tell.send(if std::mem::replace(&mut resumed, true) {
                        News::Acked { to, at, bytes }
                    } else {
                        News::Resumed { at }
                    })?;
                }
                Some(Kind::ListChunk(_)) => tell.send(News::List)?,
                Some(Kind::Heartbeat(_) | Kind::Drain(_)) | None => {}
            }
        }
    }

    fn change(&mut self, delta: hookplane_proto::encoded_config::Delta) -> Result<(), Failure> {
        for uid in delta.removes {
            self.set(uid, None);
        }
        for resource in delta.upserts {
            let head = Head::decode(resource)?;
            self.set(head.uid, Some(head.revision));
        }
        if self.digest != delta.digest {
            return Err("what it has is not what it was told".into());
        }
        (self.revision, self.proof) = (delta.to, delta.proof);
        Ok(())
    }

    fn set(&mut self, uid: String, revision: Option<u64>) {
        let old = match self.changed.get(&uid) {
            Some(changed) => *changed,
            None => self.listed.get(&uid).copied(),
        };
        if let Some(old) = old {
            self.digest = self.digest.wrapping_sub(digest_of(&uid, old));
        }
        if let Some(new) = revision {
            self.digest = self.digest.wrapping_add(digest_of(&uid, new));
        }
        self.changed.insert(uid, revision);
    }
}

fn say(kind: Say) -> v1::StreamConfigRequest {
    v1::StreamConfigRequest { kind: Some(kind) }
}
