//! The report service as a control plane serves it: what a message would take in memory is bounded before it is decoded.
//!
//! An empty message inside a message is two bytes on the wire and hundreds in memory, so the largest message that has to be taken, a body of
//! 25 MiB, could become some ten gigabytes. The wire says beforehand how many values there are, and the protos which of them are messages.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Buf;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::v1;

/// A value each, and for a message one more for each field that it could have: some 24 bytes, so 100 MB. Counters of 100,000 groups with
/// eight secrets each take three quarters of it, and any callback a tenth.
const MAX_VALUES: usize = 4 * 1024 * 1024;
const ROOT: &str = ".hookplane.v1.ReportRequest";
/// The deepest is a match of an event of a callback of a batch of a request.
const MAX_DEPTH: usize = 8;

/// What is known of one message.
#[derive(Default)]
struct Shape {
    fields: usize,
    /// Its messages, and its lists.
    counted: BTreeMap<u32, Counted>,
}

enum Counted {
    /// By its full name.
    Message(String),
    /// Texts or bytes.
    Texts,
    /// Numbers, together.
    Packed,
}

/// By full names. Empty if the protos can't be read, which lets nothing through.
static SHAPES: LazyLock<BTreeMap<String, Shape>> = LazyLock::new(|| {
    let mut shapes = BTreeMap::new();
    let protos = FileDescriptorSet::decode(crate::DESCRIPTORS).unwrap_or_default();
    for file in &protos.file {
        for message in &file.message_type {
            learn(&mut shapes, &format!(".{}", file.package()), message);
        }
    }
    shapes
});

fn learn(shapes: &mut BTreeMap<String, Shape>, parent: &str, message: &DescriptorProto) {
    let name = format!("{parent}.{}", message.name());
    for nested in &message.nested_type {
        learn(shapes, &name, nested);
    }
    let mut shape = Shape {
        fields: message.field.len(),
        ..Shape::default()
    };
    for field in &message.field {
        let counted = match (field.r#type(), field.label()) {
            (Type::Message, _) => Counted::Message(field.type_name().to_owned()),
            (Type::String | Type::Bytes, Label::Repeated) => Counted::Texts,
            (_, Label::Repeated) => Counted::Packed,
            _ => continue,
        };
        let number = u32::try_from(field.number()).unwrap_or_default();
        shape.counted.insert(number, counted);
    }
    shapes.insert(name, shape);
}

/// How many values a message of this name has. Err when it can't be read, or has more than `most`.
fn values(name: &str, mut bytes: &[u8], most: usize, depth: usize) -> Result<usize, Status> {
    let unreadable = || Status::invalid_argument("a message that can't be read");
    let too_many = || Status::resource_exhausted("a message of too many values");
    let shape = SHAPES.get(name).ok_or_else(unreadable)?;
    if depth > MAX_DEPTH {
        return Err(unreadable());
    }
    let mut count = 1 + shape.fields;
    while bytes.has_remaining() {
        let (number, wire) = decode_key(&mut bytes).map_err(|_| unreadable())?;
        let size = match wire {
            WireType::Varint => {
                decode_varint(&mut bytes).map_err(|_| unreadable())?;
                0
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => {
                let size = decode_varint(&mut bytes).map_err(|_| unreadable())?;
                usize::try_from(size).map_err(|_| unreadable())?
            }
            // No message here has one.
            WireType::StartGroup | WireType::EndGroup => return Err(unreadable()),
        };
        let (value, rest) = bytes.split_at_checked(size).ok_or_else(unreadable)?;
        bytes = rest;
        count += match (shape.counted.get(&number), wire) {
            (Some(Counted::Message(name)), WireType::LengthDelimited) => {
                values(name, value, most.saturating_sub(count), depth + 1)?
            }
            (Some(Counted::Packed), WireType::LengthDelimited) => value.len(),
            (Some(_), _) => 1,
            (None, _) => 0,
        };
        if count > most {
            return Err(too_many());
        }
    }
    Ok(count)
}

/// Encodes as usual, and counts before it decodes.
#[derive(Default)]
pub struct Codec(ProstCodec<v1::ReportResponse, v1::ReportRequest>);

impl tonic::codec::Codec for Codec {
    type Encode = v1::ReportResponse;
    type Decode = v1::ReportRequest;
    type Encoder = ProstEncoder<v1::ReportResponse>;
    type Decoder = BoundedDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        self.0.encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(self.0.decoder())
    }
}

/// See [`Codec`].
pub struct BoundedDecoder(ProstDecoder<v1::ReportRequest>);

impl Decoder for BoundedDecoder {
    type Item = v1::ReportRequest;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        // tonic collects a message in one piece; of another nothing would be counted.
        if buf.chunk().len() != buf.remaining() {
            return Err(Status::internal("a message came in pieces"));
        }
        values(ROOT, buf.chunk(), MAX_VALUES, 0)?;
        self.0.decode(buf)
    }

    fn buffer_settings(&self) -> tonic::codec::BufferSettings {
        self.0.buffer_settings()
    }
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
    include!(concat!(env!("OUT_DIR"), "/hookplane.v1.ReportService.rs"));
}

/// The service, for a server that counts.
pub use server::report_service_server;

#[cfg(test)]
mod tests {
    use super::*;
    use v1::report_request::Kind;

    fn count(kind: Kind, most: usize) -> Result<usize, tonic::Code> {
        let request = v1::ReportRequest { kind: Some(kind) };
        values(ROOT, &request.encode_to_vec(), most, 0).map_err(|status| status.code())
    }

    fn batch(callbacks: Vec<v1::ReportedCallback>) -> Kind {
        Kind::Batch(v1::ReportBatch {
            batch_id: 1,
            callbacks,
        })
    }

    #[test]
    fn two_bytes_that_become_hundreds_are_refused_before_they_do() {
        let refused = Err(tonic::Code::ResourceExhausted);
        let (most, many) = (4_096, 1_024);
        assert_eq!(count(batch(vec![Default::default(); many]), most), refused);
        let events = |events| {
            batch(vec![v1::ReportedCallback {
                events,
                ..Default::default()
            }])
        };
        assert_eq!(count(events(vec![Default::default(); many]), most), refused);
        let matches = v1::ReportedEvent {
            matches: vec![Default::default(); many],
            ..Default::default()
        };
        assert_eq!(count(events(vec![matches]), most), refused);
        let refusals = vec![v1::Refusal::default(); many];
        let refusals = v1::ReportRefusals {
            refusals,
            ..Default::default()
        };
        assert_eq!(count(Kind::Refusals(refusals), most), refused);
    }

    #[test]
    fn the_largest_that_a_listener_sends_is_taken() {
        let event = v1::ReportedEvent {
            item: "{}".into(),
            unsigned_values: vec!["delivery_id".to_owned(); 3],
            matches: vec![Default::default(); 5],
            ..Default::default()
        };
        let callback = v1::ReportedCallback {
            headers: (0..100).map(|n| (n.to_string(), "v".to_owned())).collect(),
            events: vec![event; 10_000],
            ..Default::default()
        };
        assert!(count(batch(vec![callback]), MAX_VALUES).is_ok());
        let group = v1::GroupCounters {
            secret_uses: (0..8).map(|n| (n.to_string(), 1)).collect(),
            ..Default::default()
        };
        let groups = vec![group; 100_000];
        let counters = v1::ReportCounters {
            groups,
            sequence: 1,
        };
        assert!(count(Kind::Counters(counters), MAX_VALUES).is_ok());
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let callback = v1::ReportedCallback {
            query: "q=1".to_owned(),
            ..Default::default()
        };
        let request = v1::ReportRequest {
            kind: Some(batch(vec![callback])),
        };
        let bytes = request.encode_to_vec();
        for end in 1..bytes.len() {
            assert!(values(ROOT, &bytes[..end], MAX_VALUES, 0).is_err(), "{end}");
        }
    }
}
