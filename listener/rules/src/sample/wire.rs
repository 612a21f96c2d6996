//! Variants as they go over the wire: made here or by the control plane, they are posted alike.

use hookplane_proto::v1;

use super::{Expected, Variant};

impl From<Variant> for v1::SampleRequest {
    fn from(variant: Variant) -> Self {
        let made = v1::SampleRequest {
            variant: variant.kind.into(),
            about: variant.about,
            event: variant.event,
            ..Default::default()
        };
        match variant.request {
            Err(why) => Self {
                not_made: why,
                ..made
            },
            Ok(sample) => Self {
                method: sample.method,
                url: sample.url,
                headers: sample.headers.into_iter().collect(),
                body: sample.body,
                padded_to: variant.padded_to,
                expected: Some(variant.expected.into()),
                ..made
            },
        }
    }
}

impl From<Expected> for v1::SampleExpectation {
    fn from(expected: Expected) -> Self {
        let reply = expected.reply;
        let headers = reply.iter().flat_map(|reply| &reply.headers);
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        Self {
            status: expected.status.into(),
            clause: expected.clause.to_owned(),
            or_key_unavailable: expected.or_key_unavailable,
            receipts: expected.receipts.iter().map(|&one| one.into()).collect(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            body: reply.map(|reply| reply.body),
        }
    }
}
