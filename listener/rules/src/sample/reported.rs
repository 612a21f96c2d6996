//! A sample as a listener would report it: for those who want to see what becomes of it, without posting it.

use hookplane_proto::v1;

use super::{SampleError, blank, good, sample_of};
use crate::payload;
use crate::request::single;
use crate::{Callback, Group, Proven, Timestamp};

pub(crate) fn report(
    group: &Group,
    event: &str,
    now: Timestamp,
    uuid: &str,
) -> Result<v1::ReportedCallback, SampleError> {
    let sample = sample_of(group, event)?;
    let signed = good(group, event, now, uuid).ok();
    let taken = signed.and_then(|(_, callback)| taken(group, callback, now));
    let blank = || {
        blank(group, sample, now, uuid)
            .map(|callback| read(group, event, callback, now))
            .map_err(SampleError::CannotSign)
    };
    taken.map_or_else(blank, Ok)
}

/// By the way that every callback takes. None where it isn't one of this group's: the provider alone can sign it, or the sample is of
/// another account.
fn taken(group: &Group, callback: Callback, now: Timestamp) -> Option<v1::ReportedCallback> {
    let Ok(Proven::Genuine(verified)) = group.verify(callback, now) else {
        return None;
    };
    let extracted = group.extract(verified).ok()?;
    Some(group.match_events(extracted).into_report([0; 16], 0, now))
}

/// As it stands in the definition: one event, whose type is the sample's.
fn read(group: &Group, event: &str, callback: Callback, now: Timestamp) -> v1::ReportedCallback {
    let of = |name| {
        single(&callback.headers, &name)
            .unwrap_or_default()
            .to_owned()
    };
    let content_type = of(http::header::CONTENT_TYPE);
    let decoded = payload::decode(
        &group.decoding.reading,
        Some(content_type.as_str()).filter(|text| !text.is_empty()),
        Some(of(http::header::CONTENT_ENCODING).as_str()).filter(|text| !text.is_empty()),
        &callback.body,
    );
    let mut report = v1::ReportedCallback {
        group_uid: group.uid.clone(),
        receive_time: Some(crate::time::to_wire(now)),
        method: callback.method.as_str().to_owned(),
        content_type,
        headers: group.credentials.clean_headers(&callback.headers),
        query: group.credentials.clean_query(callback.query),
        body: callback.body,
        events: vec![v1::ReportedEvent {
            r#type: event.to_owned(),
            format: decoded.format.into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    group.rematch(&mut report);
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    const PROTOCOL: &str = r#"
schemes: [{name: token, token: {location: "header:X-Token"}}]
extract: {eventType: [{from: "json:/type"}], deliveryId: [{from: "json:/id"}]}
"#;

    #[test]
    fn a_sample_is_reported_as_if_it_had_come() {
        let group = group_of(
            PROTOCOL,
            &[webhook("all", &["*"], "payload.id == '7'")],
            |_| {},
        );
        let callback = callback(
            &[("x-token", SECRET), ("content-type", "application/json")],
            r#"{"type": "orders.paid", "id": "7"}"#,
        );
        let taken = taken(&group, callback.clone(), NOW).unwrap();
        assert_eq!(taken.events[0].delivery_id, "7");
        assert!(taken.events[0].matches[0].matched);
        assert!(!format!("{:?}", taken.headers).contains(SECRET));
        // Nobody but the provider can sign it.
        let read = read(&group, "orders.paid", callback, NOW);
        assert_eq!(read.events[0].r#type, "orders.paid");
        assert!(read.events[0].matches[0].matched, "{:?}", read.events);
        assert!(!format!("{:?}", read.headers).contains(SECRET));
    }
}
