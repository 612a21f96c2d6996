//! The report stream as a listener writes it: each callback encoded once, however often it is sent.
//!
//! The same bytes on the wire as `v1::ReportRequest`, which is what the other side reads. A body is copied here once, from where it was
//! received to the message that leaves.

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{self, DecodeContext, WireType};
use prost::{DecodeError, Message};
use tonic::client::Grpc;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::codegen::tokio_stream::Stream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use crate::v1;

/// `v1::ReportedCallback.body`
const BODY: u32 = 9;
/// `v1::ReportedCallback.budget_milliseconds`
const BUDGET: u32 = 13;

/// `v1::ReportRequest`
#[derive(Clone, PartialEq, Message)]
pub struct ReportRequest {
    /// What it says.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4")]
    pub kind: Option<Kind>,
}

/// `v1::report_request::Kind`
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// First.
    #[prost(message, tag = "1")]
    Hello(v1::ReportHello),
    /// Callbacks.
    #[prost(message, tag = "2")]
    Batch(Batch),
    /// Counters.
    #[prost(message, tag = "3")]
    Counters(v1::ReportCounters),
    /// Refusals.
    #[prost(message, tag = "4")]
    Refusals(v1::ReportRefusals),
}

/// `v1::ReportBatch`
#[derive(Clone, PartialEq, Message)]
pub struct Batch {
    /// Of the stream.
    #[prost(uint64, tag = "1")]
    pub batch_id: u64,
    /// In the order of their answers.
    #[prost(message, repeated, tag = "2")]
    pub callbacks: Vec<Callback>,
}

/// `v1::ReportedCallback`, encoded. A clone shares its bytes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Callback {
    /// All fields but the body and the budget.
    head: Bytes,
    body: Bytes,
    /// How long the listener can still wait: of this sending, not of the callback.
    pub budget_milliseconds: u32,
}

impl Callback {
    /// Encodes it.
    pub fn new(mut callback: v1::ReportedCallback) -> Self {
        let body = std::mem::take(&mut callback.body);
        let budget_milliseconds = std::mem::take(&mut callback.budget_milliseconds);
        Self {
            head: callback.encode_to_vec().into(),
            body,
            budget_milliseconds,
        }
    }
}

impl Message for Callback {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.head);
        if !self.body.is_empty() {
            encoding::bytes::encode(BODY, &self.body, buf);
        }
        encoding::uint32::encode(BUDGET, &self.budget_milliseconds, buf);
    }

    fn encoded_len(&self) -> usize {
        let body = match self.body.len() {
            0 => 0,
            _ => encoding::bytes::encoded_len(BODY, &self.body),
        };
        self.head.len() + body + encoding::uint32::encoded_len(BUDGET, &self.budget_milliseconds)
    }

    /// Nobody reads this form: it is read as `v1::ReportedCallback`.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        encoding::skip_field(wire_type, tag, buf, context)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Opens the stream `hookplane.v1.ReportService/Report`.
pub async fn report(
    channel: Channel,
    mut requests: Request<impl Stream<Item = ReportRequest> + Send + 'static>,
) -> Result<Response<Streaming<v1::ReportResponse>>, Status> {
    let mut client = Grpc::new(channel);
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    requests.extensions_mut().insert(tonic::GrpcMethod::new(
        "hookplane.v1.ReportService",
        "Report",
    ));
    let path =
        tonic::codegen::http::uri::PathAndQuery::from_static("/hookplane.v1.ReportService/Report");
    client.streaming(requests, path, Ready).await
}

/// Makes room for the whole message before it is written: one that grows on the way is copied as often as it doubles.
#[derive(Clone, Copy)]
struct Ready;

impl Codec for Ready {
    type Encode = ReportRequest;
    type Decode = v1::ReportResponse;
    type Encoder = Self;
    type Decoder = tonic_prost::ProstDecoder<v1::ReportResponse>;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self::Decoder {
        tonic_prost::ProstDecoder::default()
    }
}

impl Encoder for Ready {
    type Item = ReportRequest;
    type Error = Status;

    fn encode(&mut self, item: ReportRequest, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.reserve(item.encoded_len());
        item.encode_raw(buf);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callback() -> v1::ReportedCallback {
        v1::ReportedCallback {
            request_id: Bytes::from_static(b"0123456789abcdef"),
            group_uid: "g".to_owned(),
            plan_revision: 7,
            headers: [("a".to_owned(), "b".to_owned())].into(),
            body: Bytes::from_static(b"{}"),
            events: vec![v1::ReportedEvent {
                r#type: "push".to_owned(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn the_ready_form_reads_as_the_message_it_stands_for() -> Result<(), DecodeError> {
        for body in [Bytes::new(), Bytes::from(vec![b'x'; 70_000])] {
            let mut expected = callback();
            expected.body = body;
            let mut ready = Callback::new(expected.clone());
            ready.budget_milliseconds = 900;
            expected.budget_milliseconds = 900;
            let batch = Batch {
                batch_id: 3,
                callbacks: vec![ready.clone(), ready],
            };
            let request = ReportRequest {
                kind: Some(Kind::Batch(batch)),
            };
            let bytes = request.encode_to_vec();
            assert_eq!(bytes.len(), request.encoded_len());
            let expected = v1::ReportBatch {
                batch_id: 3,
                callbacks: vec![expected.clone(), expected],
            };
            assert_eq!(
                v1::ReportRequest::decode(&bytes[..])?.kind,
                Some(v1::report_request::Kind::Batch(expected))
            );
        }
        Ok(())
    }

    #[test]
    fn what_else_is_sent_reads_as_the_message_it_stands_for() -> Result<(), DecodeError> {
        use v1::report_request::Kind as Read;
        let hello = v1::ReportHello {
            listener: "l".to_owned(),
            ..Default::default()
        };
        let counters = v1::ReportCounters {
            sequence: 1,
            ..Default::default()
        };
        let refusals = v1::ReportRefusals {
            sequence: 2,
            ..Default::default()
        };
        for (sent, read) in [
            (Kind::Hello(hello.clone()), Read::Hello(hello)),
            (Kind::Counters(counters.clone()), Read::Counters(counters)),
            (Kind::Refusals(refusals.clone()), Read::Refusals(refusals)),
        ] {
            let bytes = ReportRequest { kind: Some(sent) }.encode_to_vec();
            assert_eq!(v1::ReportRequest::decode(&bytes[..])?.kind, Some(read));
        }
        Ok(())
    }
}
