//! A listener's side of the config stream, with the real plan and a memory of what it was sent, over the real wire.
//!
//! It says what a listener says, comes back as a listener comes back, and fails the test when it is sent older state as newer.

use std::collections::BTreeMap;

use bytes::Bytes;
use hookplane_proto::v1;
use hookplane_rules::Plan;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use v1::config_service_client::ConfigServiceClient;
use v1::stream_config_request::Kind;
use v1::stream_config_response::Kind as Push;

use super::rig::{Api, api};
use crate::fake_control_plane::{Failure, PATIENCE, soon};

/// What one listener has, over all its streams.
#[derive(Default, Clone)]
pub(super) struct Model {
    name: String,
    pool: String,
    /// Of the plan. Empty without one.
    pub(super) epoch: String,
    pub(super) plan: Plan,
    /// Of the plan's revision.
    pub(super) proof: Bytes,
    /// What it was sent of each resource.
    pub(super) resources: BTreeMap<String, v1::ConfigResource>,
    /// Every epoch it was in, so that an old one doesn't come back.
    epochs: Vec<String>,
    /// Set where what it has may differ from what it was told, and a full list is to mend that.
    pub(super) lenient: bool,
    pub(super) lists: usize,
    pub(super) deltas: usize,
    list: Vec<v1::ConfigResource>,
}

/// One stream of a [`Model`].
pub(super) struct Stream {
    to: mpsc::Sender<v1::StreamConfigRequest>,
    from: Streaming<v1::StreamConfigResponse>,
    pub(super) welcome: v1::ConfigWelcome,
}

/// What the last message was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A push, applied and answered.
    Applied,
    /// A part of a list, or a heartbeat.
    Something,
    Drain,
}

impl Model {
    pub(super) fn new(name: &str, pool: &str) -> Self {
        Self {
            name: name.to_owned(),
            pool: pool.to_owned(),
            ..Self::default()
        }
    }

    /// Everything is lost but its name.
    pub(super) fn restart(&mut self) {
        let epochs = std::mem::take(&mut self.epochs);
        *self = Self {
            epochs,
            lenient: self.lenient,
            ..Self::new(&self.name, &self.pool)
        };
    }

    pub(super) async fn connect(&mut self, url: &str) -> Result<Stream, Failure> {
        self.connect_with(ConfigServiceClient::new(api(url)))
            .await?
            .map_err(Into::into)
    }

    /// On a connection that others may use too. Inner: what the control plane says instead of welcome.
    pub(super) async fn connect_with(
        &mut self,
        client: ConfigServiceClient<Api>,
    ) -> Result<Result<Stream, Status>, Failure> {
        self.list.clear();
        let hello = v1::ConfigHello {
            listener: self.name.clone(),
            boot: format!("boot of {}", self.name),
            pool: self.pool.clone(),
            software_version: String::new(),
            epoch: self.epoch.clone(),
            revision: self.plan.revision(),
            digest: self.plan.digest(),
            proof: self.proof.clone(),
        };
        let (to, requests) = mpsc::channel(16);
        say(&to, Kind::Hello(hello)).await?;
        let mut client = client.max_decoding_message_size(64 * 1024 * 1024);
        let opened = soon(client.stream_config(ReceiverStream::new(requests))).await?;
        let mut from = match opened {
            Ok(opened) => opened.into_inner(),
            Err(status) => return Ok(Err(status)),
        };
        let welcome = match soon(from.message()).await? {
            Ok(Some(said)) => match said.kind {
                Some(Push::Welcome(welcome)) => welcome,
                other => return Err(format!("not welcome: {other:?}").into()),
            },
            Ok(None) => return Err("the stream ended before it began".into()),
            Err(status) => return Ok(Err(status)),
        };
        if welcome.resume {
            assert_eq!(welcome.epoch, self.epoch, "resumed from another epoch");
        }
        Ok(Ok(Stream { to, from, welcome }))
    }

    /// Takes one message and answers it. None when the stream ended well.
    pub(super) async fn hear(&mut self, stream: &mut Stream) -> Result<Option<Heard>, Failure> {
        let Some(said) = soon(stream.from.message()).await?? else {
            return Ok(None);
        };
        self.take(stream, said).await.map(Some)
    }

    /// The same, of what was read already.
    pub(super) async fn take(
        &mut self,
        stream: &Stream,
        said: v1::StreamConfigResponse,
    ) -> Result<Heard, Failure> {
        let (nonce, digest) = match said.kind {
            Some(Push::ListChunk(chunk)) => {
                self.list.extend(chunk.resources);
                let Some(end) = chunk.end else {
                    return Ok(Heard::Something);
                };
                let list = std::mem::take(&mut self.list);
                assert_eq!(list.len() as u64, end.count);
                self.replace(&stream.welcome.epoch, list, end.revision);
                self.proof = end.proof;
                (end.nonce, end.digest)
            }
            Some(Push::Delta(delta)) => {
                self.change(&stream.welcome.epoch, &delta);
                self.proof = delta.proof;
                (delta.nonce, delta.digest)
            }
            Some(Push::Drain(_)) => return Ok(Heard::Drain),
            _ => return Ok(Heard::Something),
        };
        if !self.lenient {
            assert_eq!(
                self.plan.digest(),
                digest,
                "what it has is not what it was told"
            );
        }
        let ack = v1::ConfigAck {
            nonce,
            revision: self.plan.revision(),
            digest: self.plan.digest(),
        };
        // The stream may have ended meanwhile.
        let _ = say(&stream.to, Kind::Ack(ack)).await;
        Ok(Heard::Applied)
    }

    fn replace(&mut self, epoch: &str, list: Vec<v1::ConfigResource>, revision: u64) {
        if self.epoch == epoch {
            let running = self.plan.revision();
            assert!(revision >= running, "a list of {revision} after {running}");
        } else {
            // After its own restart it may be where it was.
            if self.epochs.last().is_none_or(|last| last != epoch) {
                let old = self.epochs.iter().any(|old| old == epoch);
                assert!(!old, "an epoch that was over came back");
                self.epochs.push(epoch.to_owned());
            }
            self.epoch = epoch.to_owned();
        }
        self.lists += 1;
        self.resources = list.iter().map(|r| (r.uid.clone(), r.clone())).collect();
        self.plan = self.plan.replace(list, revision).plan;
    }

    fn change(&mut self, epoch: &str, delta: &v1::ConfigDelta) {
        assert_eq!(self.epoch, epoch, "a change of another epoch");
        let running = self.plan.revision();
        assert!(
            delta.to >= running,
            "a change to {} after {running}",
            delta.to
        );
        self.deltas += 1;
        for uid in &delta.removes {
            self.resources
                .retain(|_, r| r.uid != *uid && r.group_uid != *uid);
        }
        for resource in &delta.upserts {
            let old = self
                .resources
                .insert(resource.uid.clone(), resource.clone());
            let before = old.map_or(0, |old| old.revision);
            assert!(resource.revision >= before, "an older version came");
        }
        let upserts = delta.upserts.clone();
        self.plan = self.plan.change(&delta.removes, upserts, delta.to).plan;
    }

    /// Hears until `done`.
    pub(super) async fn until(
        &mut self,
        stream: &mut Stream,
        done: impl Fn(&Self) -> bool,
    ) -> Result<(), Failure> {
        // Bounded as a whole: heartbeats come for ever.
        let heard = async {
            while !done(self) {
                if self.hear(stream).await?.is_none() {
                    return Err("the stream ended".into());
                }
            }
            Ok(())
        };
        tokio::time::timeout(3 * PATIENCE, heard)
            .await
            .map_err(|_| "what was waited for did not come")?
    }

    /// Whether it has this resource at this revision or a later one.
    pub(super) fn has(&self, uid: &str, revision: u64) -> bool {
        self.resources
            .get(uid)
            .is_some_and(|r| r.revision >= revision)
    }
}

impl Stream {
    pub(super) async fn ready(&self) -> Result<(), Failure> {
        say(&self.to, Kind::Ready(v1::ConfigReady { ready: true })).await
    }

    /// The next message. None when the stream ended, well or not.
    pub(super) async fn said(&mut self) -> Option<v1::StreamConfigResponse> {
        self.from.message().await.ok().flatten()
    }

    /// Why it ended, whatever comes before that. Nothing is answered.
    pub(super) async fn end(&mut self) -> Result<Option<Status>, Failure> {
        soon(async {
            loop {
                match self.from.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(status) => return Some(status),
                }
            }
        })
        .await
    }
}

async fn say(to: &mpsc::Sender<v1::StreamConfigRequest>, kind: Kind) -> Result<(), Failure> {
    Ok(soon(to.send(v1::StreamConfigRequest { kind: Some(kind) })).await??)
}
