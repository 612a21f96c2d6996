//! `StreamConfigResponse` as a control plane sends it: each resource is the bytes it was encoded to, once, for every stream.
//!
//! A message inside a message and a bytes field have the same form on the wire: a tag, a length, the bytes. So what is sent from here is
//! read with [`v1::StreamConfigResponse`], and the protos stay as they are. Field numbers are those of `config_stream.proto`.

use bytes::Bytes;

use crate::v1;

/// One message to a listener.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamConfigResponse {
    /// What it says.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5")]
    pub kind: Option<Kind>,
}

/// What a message to a listener says.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// The first message.
    #[prost(message, tag = "1")]
    Welcome(v1::ConfigWelcome),
    /// A part of a full list.
    #[prost(message, tag = "2")]
    ListChunk(ListChunk),
    /// What changed.
    #[prost(message, tag = "3")]
    Delta(Delta),
    /// The stream is alive.
    #[prost(message, tag = "4")]
    Heartbeat(v1::ConfigHeartbeat),
    /// Go elsewhere.
    #[prost(message, tag = "5")]
    Drain(v1::ConfigDrain),
}

/// `ConfigListChunk`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListChunk {
    /// Each an encoded `ConfigResource`.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub resources: Vec<Bytes>,
    /// On the last one only.
    #[prost(message, optional, tag = "2")]
    pub end: Option<v1::ConfigListEnd>,
}

/// `ConfigDelta`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Delta {
    /// Of this push.
    #[prost(uint64, tag = "1")]
    pub nonce: u64,
    /// The revision before.
    #[prost(uint64, tag = "2")]
    pub from: u64,
    /// The revision after.
    #[prost(uint64, tag = "3")]
    pub to: u64,
    /// Of everything the listener then has.
    #[prost(uint64, tag = "4")]
    pub digest: u64,
    /// Uids.
    #[prost(string, repeated, tag = "5")]
    pub removes: Vec<String>,
    /// Each an encoded `ConfigResource`.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub upserts: Vec<Bytes>,
    /// Of `to`, for the next hello.
    #[prost(bytes = "bytes", tag = "7")]
    pub proof: Bytes,
}

mod server {
    #![allow(
        missing_docs,
        clippy::all,
        clippy::allow_attributes_without_reason,
        unreachable_pub,
        unused_qualifications,
        reason = "generated; the protos hold the documentation"
    )]
    include!(concat!(env!("OUT_DIR"), "/hookplane.v1.ConfigService.rs"));
}

/// The service, for a server that sends these.
pub use server::config_service_server;

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn resource(uid: &str) -> v1::ConfigResource {
        v1::ConfigResource {
            uid: uid.to_owned(),
            revision: 7,
            group_uid: "g".to_owned(),
            body: Some(v1::config_resource::Body::Webhook(v1::Webhook::default())),
        }
    }

    fn read(kind: Kind) -> Option<v1::stream_config_response::Kind> {
        let sent = StreamConfigResponse { kind: Some(kind) }.encode_to_vec();
        v1::StreamConfigResponse::decode(&sent[..]).unwrap().kind
    }

    #[test]
    fn a_listener_reads_what_was_encoded_apart() {
        use v1::stream_config_response::Kind as Read;
        let (one, two) = (resource("one"), resource("two"));
        let bytes = |r: &v1::ConfigResource| Bytes::from(r.encode_to_vec());
        let end = Some(v1::ConfigListEnd {
            nonce: 1,
            revision: 9,
            count: 2,
            digest: 3,
            proof: Bytes::from_static(b"proof"),
        });
        assert_eq!(
            read(Kind::ListChunk(ListChunk {
                resources: vec![bytes(&one), bytes(&two)],
                end: end.clone(),
            })),
            Some(Read::ListChunk(v1::ConfigListChunk {
                resources: vec![one.clone(), two.clone()],
                end,
            }))
        );
        assert_eq!(
            read(Kind::Delta(Delta {
                nonce: 2,
                from: 9,
                to: 10,
                digest: 4,
                removes: vec!["gone".to_owned()],
                upserts: vec![bytes(&two)],
                proof: Bytes::from_static(b"proof"),
            })),
            Some(Read::Delta(v1::ConfigDelta {
                nonce: 2,
                from: 9,
                to: 10,
                digest: 4,
                removes: vec!["gone".to_owned()],
                upserts: vec![two],
                proof: Bytes::from_static(b"proof"),
            }))
        );
        let (welcome, drain) = (
            v1::ConfigWelcome {
                epoch: "e".to_owned(),
                resume: true,
            },
            v1::ConfigDrain { after_seconds: 3 },
        );
        assert_eq!(
            read(Kind::Welcome(welcome.clone())),
            Some(Read::Welcome(welcome))
        );
        assert_eq!(read(Kind::Drain(drain)), Some(Read::Drain(drain)));
        let heartbeat = v1::ConfigHeartbeat {
            revision: 5,
            time: None,
        };
        assert_eq!(
            read(Kind::Heartbeat(heartbeat)),
            Some(Read::Heartbeat(heartbeat))
        );
    }
}
