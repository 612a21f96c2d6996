//! What the provider is answered: every outcome and its status, in this one place.
//!
//! An outsider hears the status and a fixed word or two. The reason is for operators, see `refusals`.

use bytes::Bytes;
use hookplane_rules::{RefusalKind, Reply};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

pub(crate) type Body = Full<Bytes>;

const RECEIPT: HeaderName = HeaderName::from_static("hookplane-receipt");
const EVENT_ID: HeaderName = HeaderName::from_static("hookplane-event-id");
/// Seconds. Limits refill in one; so do most overloads end.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// How safe a callback that is answered 2xx is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    Synced,
    Replicated,
    Degraded,
    Duplicate,
    NotKept,
}

impl Receipt {
    fn name(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Replicated => "replicated",
            Self::Degraded => "degraded",
            Self::Duplicate => "duplicate",
            Self::NotKept => "not-kept",
        }
    }
}

/// Why a callback is not answered 2xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// No group has this URL, and we are sure.
    UnknownUrl,
    Disabled,
    /// No group has this URL as far as we know; the config stream is away.
    InDoubt,
    /// The group's config was refused, and there is no older one.
    Unloadable,
    /// What the rules said.
    Rule(RefusalKind),
    /// The rules said the timestamp is wrong, but so is our clock (risk 44).
    ClockOff,
    TooManyHeaders,
    BodyTimeout,
    BodyBroken,
    /// Per source address, before verification.
    AddressRate,
    /// Per group, after it.
    GroupRate,
    /// Bodies or reports hold all they may.
    Overload,
    /// Genuine, and nobody said in time that it is durable.
    NotDurable,
    /// The public key that it would be verified with couldn't be fetched in time.
    KeyUnavailable,
    /// The control plane says that the group is deleted.
    GroupGone,
    /// The group refuses suspected replays.
    Replay,
    /// A bug of ours.
    Internal,
}

impl Why {
    /// Every one there is, for counters made beforehand.
    pub(crate) const ALL: [Self; 24] = [
        Self::UnknownUrl,
        Self::Disabled,
        Self::InDoubt,
        Self::Unloadable,
        Self::Rule(RefusalKind::Signature),
        Self::Rule(RefusalKind::Timestamp),
        Self::Rule(RefusalKind::ExternalId),
        Self::Rule(RefusalKind::Method),
        Self::Rule(RefusalKind::BodyTooLarge),
        Self::Rule(RefusalKind::MediaType),
        Self::Rule(RefusalKind::Undecodable),
        Self::Rule(RefusalKind::Handshake),
        Self::ClockOff,
        Self::TooManyHeaders,
        Self::BodyTimeout,
        Self::BodyBroken,
        Self::AddressRate,
        Self::GroupRate,
        Self::Overload,
        Self::NotDurable,
        Self::KeyUnavailable,
        Self::GroupGone,
        Self::Replay,
        Self::Internal,
    ];

    /// The status table.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::UnknownUrl | Self::Disabled | Self::GroupGone => StatusCode::NOT_FOUND,
            // The hostile provider of the CLI expects what the rules say.
            Self::Rule(kind) => {
                StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Self::Replay => StatusCode::UNAUTHORIZED,
            Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::AddressRate | Self::GroupRate => StatusCode::TOO_MANY_REQUESTS,
            Self::InDoubt
            | Self::Unloadable
            | Self::ClockOff
            | Self::Overload
            | Self::NotDurable
            | Self::KeyUnavailable
            | Self::Internal => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The clause's name, for operators.
    pub(crate) fn clause(self) -> &'static str {
        match self {
            Self::UnknownUrl => "unknown-url",
            Self::Disabled => "disabled",
            Self::InDoubt => "config-stream-lost",
            Self::Unloadable => "unloadable",
            Self::Rule(kind) => kind.clause(),
            Self::ClockOff => "clock-off",
            Self::TooManyHeaders => "headers-too-large",
            Self::BodyTimeout => "body-timeout",
            Self::BodyBroken => "broken-body",
            Self::AddressRate => "address-rate",
            Self::GroupRate => "group-rate",
            Self::Overload => "overload",
            Self::NotDurable => "not-durable",
            Self::KeyUnavailable => "key-unavailable",
            Self::GroupGone => "group-gone",
            Self::Replay => "suspected-replay",
            Self::Internal => "internal",
        }
    }
}

/// 2xx, the way this provider wants to hear it.
pub(crate) fn success(reply: &Reply, receipt: Receipt, event_id: &str) -> Response<Body> {
    let mut response = as_is(reply);
    let headers = response.headers_mut();
    headers.insert(RECEIPT, HeaderValue::from_static(receipt.name()));
    if let Ok(event_id) = HeaderValue::from_str(event_id)
        && !event_id.is_empty()
    {
        headers.insert(EVENT_ID, event_id);
    }
    response
}

/// A reply that a connector's definition made: to a handshake, or the bare success.
pub(crate) fn as_is(reply: &Reply) -> Response<Body> {
    let mut response = Response::new(Full::new(reply.body.clone()));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    if let Some(content_type) = &reply.content_type
        && let Ok(content_type) = HeaderValue::from_str(content_type)
    {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
    }
    for (name, value) in &reply.headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

/// Anything but 2xx, with this status where the provider asks for another than the reason's. `allow` is for 405.
pub(crate) fn refused(
    why: Why,
    asked_for: Option<StatusCode>,
    allow: Option<HeaderValue>,
) -> Response<Body> {
    let status = asked_for.unwrap_or(why.status());
    let text = status.canonical_reason().unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    if let Some(allow) = allow {
        headers.insert(header::ALLOW, allow);
    }
    // What is left of a body that came too slowly or broken is no next request.
    if matches!(why, Why::BodyTimeout | Why::BodyBroken) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the design, row by row.
    #[test]
    fn every_refusal_has_the_status_the_design_gives_it() {
        let table = [
            (Why::UnknownUrl, 404),
            (Why::Disabled, 404),
            (Why::GroupGone, 404),
            (Why::InDoubt, 503),
            (Why::Unloadable, 503),
            (Why::Rule(RefusalKind::Signature), 401),
            (Why::Rule(RefusalKind::Timestamp), 401),
            (Why::Replay, 401),
            (Why::ClockOff, 503),
            (Why::Rule(RefusalKind::ExternalId), 403),
            (Why::Rule(RefusalKind::Method), 405),
            (Why::Rule(RefusalKind::BodyTooLarge), 413),
            (Why::TooManyHeaders, 431),
            (Why::Rule(RefusalKind::MediaType), 415),
            (Why::Rule(RefusalKind::Undecodable), 400),
            (Why::Rule(RefusalKind::Handshake), 400),
            (Why::BodyBroken, 400),
            (Why::BodyTimeout, 408),
            (Why::AddressRate, 429),
            (Why::GroupRate, 429),
            (Why::Overload, 503),
            (Why::NotDurable, 503),
            (Why::KeyUnavailable, 503),
            (Why::Internal, 503),
        ];
        assert_eq!(table.len(), Why::ALL.len());
        for (why, status) in table {
            assert!(Why::ALL.contains(&why), "{why:?}");
            let response = refused(why, None, None);
            assert_eq!(response.status(), status, "{why:?}");
            let retry_after = response.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(retry_after, status == 429 || status == 503, "{why:?}");
            assert!(!response.headers().contains_key(RECEIPT), "{why:?}");
        }
    }

    #[test]
    fn success_is_the_groups_reply_with_a_receipt_and_the_events_id() {
        let reply = Reply {
            status: 202,
            content_type: Some("application/json".to_owned()),
            headers: vec![(header::ALLOW, HeaderValue::from_static("POST"))],
            body: Bytes::from_static(b"{}"),
        };
        let response = success(&reply, Receipt::Duplicate, "0192-a");
        assert_eq!(response.status(), 202);
        assert_eq!(response.headers()["hookplane-receipt"], "duplicate");
        assert_eq!(response.headers()["hookplane-event-id"], "0192-a");
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["allow"], "POST");
        let response = success(&reply, Receipt::NotKept, "");
        assert_eq!(response.headers()["hookplane-receipt"], "not-kept");
        assert!(!response.headers().contains_key("hookplane-event-id"));
    }
}
