//! Posting: one request a delivery, signed as the Standard Webhooks specification has it.
//!
//! | header | what it says |
//! | --- | --- |
//! | `webhook-id` | the idempotency key: the same on every attempt and replay |
//! | `webhook-timestamp` | seconds since 1970, of this attempt |
//! | `webhook-signature` | `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; none without a signing secret |
//! | `hookplane-event-id`, `hookplane-event-type`, `hookplane-webhook` | what it is of |
//! | `hookplane-attempt` | from 1; begins anew with a replay |
//!
//! Without a mapping the body is the event's, byte for byte, with the content type and content encoding it came with. With one it is JSON:
//! `{"type": "orders/paid", "timestamp": "2026-11-27T10:00:00Z", "data": {"records": […]}}`, the time being when the event was received.
//!
//! | answer | what follows |
//! | --- | --- |
//! | 2xx | delivered, whatever the body says, and if it breaks off or never ends: what the attempt shows of it says so |
//! | 410 | dead: the receiver wants no more |
//! | 3xx | again: nothing is followed, and whoever moved the receiver has to change the URL |
//! | an address that must not be connected to | nothing was sent: the destination waits for a minute and says why; no attempt is counted |
//! | a name that came to no look-up, as its org has too many under way | the same for 5 s |
//! | all else, and none | again, not before what `Retry-After` says, which counts up to a day |
//!
//! Also 400, 401, 403, 404 and 422 are tried again: in practice they are a deployment under way or a credential being changed more often than
//! an event that nobody will ever take.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookplane_proto::v1;
use hookplane_rules::{Clock, Timestamp};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Job, Outcome, Sink, Verdict, unsent_pause};
use crate::dispatch::client::{
    ANSWER_BYTES, Answer, HttpClient, SendError, Wanted, broken_off, excerpt,
};

/// As the convention for such keys has it.
const SIGNING_SECRET: &str = "whsec_";
/// Of the key itself.
pub(crate) const SIGNING_KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const AGENT: &str = concat!("hookplane/", env!("CARGO_PKG_VERSION"));
/// A longer wait is not somebody's wish.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
const SHOWN: &str = "***";

/// See the module.
#[derive(Clone)]
pub(crate) struct HttpSink {
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What the receiver may send back to us.
    secrets: Vec<Zeroizing<String>>,
    key: Option<Zeroizing<Vec<u8>>>,
    timeout: Duration,
    client: HttpClient,
    clock: Arc<dyn Clock>,
}

/// The bytes that are signed with.
pub(crate) fn signing_key(secret: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = STANDARD.decode(secret.strip_prefix(SIGNING_SECRET)?).ok()?;
    let bytes = Zeroizing::new(bytes);
    SIGNING_KEY_BYTES.contains(&bytes.len()).then_some(bytes)
}

/// True for headers that each request sets by itself, or that are the connection's.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: [&str; 14] = [
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
    ];
    let name = name.as_str();
    RESERVED.contains(&name)
        || ["webhook-", "hookplane-", "proxy-"]
            .iter()
            .any(|of| name.starts_with(of))
}

impl HttpSink {
    /// Of a target whose secrets are opened; `timeout` is of one request. The error names the field and what is wrong with it.
    pub(crate) fn new(
        target: &v1::HttpTarget,
        timeout: Duration,
        client: HttpClient,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let url = target
            .url
            .parse()
            .map_err(|error| format!("http.url: {error}"))?;
        let mut headers = Vec::with_capacity(target.headers.len());
        let mut secrets = Vec::with_capacity(target.headers.len());
        for (name, secret) in &target.headers {
            let wrong = || format!("http.headers.{name} can't be sent");
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(&secret.value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.push((header, value));
            secrets.push(Zeroizing::new(secret.value.clone()));
        }
        let key = match &target.signing_secret {
            None => None,
            Some(secret) => {
                Some(signing_key(&secret.value).ok_or("http.signingSecret is no signing secret")?)
            }
        };
        Ok(Self {
            url,
            headers,
            secrets,
            key,
            timeout,
            client,
            clock,
        })
    }

    fn request(&self, job: &Job) -> Result<Request<Bytes>, String> {
        let delivery = &job.lease.delivery;
        let event = &job.lease.event;
        let (content_type, body) = body(job)?;
        let mut request = Request::post(self.url.clone())
            .body(body)
            .map_err(|error| error.to_string())?;
        let seconds = self.clock.now().seconds();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type);
        // The body is as it came: without this nobody could read one that came compressed.
        if job.record.is_none()
            && let Some(encoding) = content_encoding(event)
        {
            headers.insert(CONTENT_ENCODING, encoding);
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let mut say = |name: &'static str, value: &str| {
            headers.insert(HeaderName::from_static(name), sendable(value));
        };
        say("webhook-id", &delivery.idempotency_key);
        say("webhook-timestamp", &seconds.to_string());
        say("hookplane-event-id", &event.id);
        say("hookplane-event-type", &event.r#type);
        say("hookplane-webhook", &job.webhook);
        say("hookplane-attempt", &delivery.attempts.to_string());
        if let Some(key) = &self.key {
            let signed = sign(key, &delivery.idempotency_key, seconds, request.body())?;
            say("webhook-signature", &signed);
        }
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn judged(&self, answered: Result<Answer, SendError>) -> Outcome {
        let answer = match answered {
            Ok(answer) => answer,
            Err(error) => {
                let again = Verdict::Retry { after: None };
                let verdict = unsent_pause(&error).map_or(again, |time| Verdict::Pause { time });
                return Outcome {
                    verdict,
                    status: None,
                    reason: error.to_string(),
                    excerpt: String::new(),
                };
            }
        };
        let status = answer.status;
        let (verdict, reason) = match status {
            _ if status.is_success() => (Verdict::Done, String::new()),
            StatusCode::GONE => (
                Verdict::GiveUp,
                "answered 410 Gone: the receiver wants no more of these".to_owned(),
            ),
            _ if status.is_redirection() => (
                Verdict::Retry { after: None },
                format!("answered {status}, and redirects are not followed: change the URL"),
            ),
            _ => {
                let after = retry_after(&answer.headers, self.clock.now());
                (Verdict::Retry { after }, format!("answered {status}"))
            }
        };
        let shown = excerpt(
            &answer.body,
            answer.whole,
            self.secrets.iter().map(|secret| &***secret),
        );
        Outcome {
            verdict,
            status: Some(status.as_u16()),
            reason,
            excerpt: match &answer.broken {
                None => shown,
                Some(why) => broken_off(shown, why),
            },
        }
    }
}

#[async_trait::async_trait]
impl Sink for HttpSink {
    fn batch(&self) -> usize {
        1
    }

    fn with_timeout(&self, timeout: Duration) -> Arc<dyn Sink> {
        let same = self.clone();
        Arc::new(Self { timeout, ..same })
    }

    async fn deliver(&self, jobs: &[Job]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            outcomes.push(match self.request(job) {
                Ok(request) => {
                    let wanted = Wanted::Head(ANSWER_BYTES);
                    self.judged(self.client.send(request, self.timeout, wanted).await)
                }
                Err(reason) => Outcome {
                    verdict: Verdict::GiveUp,
                    status: None,
                    reason,
                    excerpt: String::new(),
                },
            });
        }
        outcomes
    }

    fn preview(&self, job: &Job) -> Vec<v1::OutboundRequest> {
        // What can't be made is told by the attempt.
        let Ok(request) = self.request(job) else {
            return Vec::new();
        };
        let mut headers = BTreeMap::new();
        for (name, value) in request.headers() {
            let shown = match name.as_str() {
                "webhook-signature" => format!("v1,{SHOWN}"),
                _ if value.is_sensitive() => SHOWN.to_owned(),
                _ => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            };
            headers.insert(name.to_string(), shown);
        }
        vec![v1::OutboundRequest {
            destination: String::new(),
            method: request.method().to_string(),
            url: request.uri().to_string(),
            headers,
            body: String::from_utf8_lossy(request.body()).into_owned(),
            not_made: String::new(),
        }]
    }

    async fn describe(&self, _object: &str) -> Option<Result<Vec<v1::ObjectDescription>, String>> {
        None
    }
}

/// As the event came.
fn content_encoding(event: &v1::Event) -> Option<HeaderValue> {
    HeaderValue::from_str(event.headers.get("content-encoding")?).ok()
}

fn body(job: &Job) -> Result<(HeaderValue, Bytes), String> {
    let event = &job.lease.event;
    let Some(record) = &job.record else {
        let of = HeaderValue::from_str(&event.content_type).ok();
        let of = of.filter(|of| !of.is_empty());
        let unknown = HeaderValue::from_static("application/octet-stream");
        return Ok((of.unwrap_or(unknown), event.body.clone()));
    };
    #[derive(serde::Serialize)]
    struct Data {
        records: Box<serde_json::value::RawValue>,
    }
    #[derive(serde::Serialize)]
    struct Mapped<'a> {
        r#type: &'a str,
        timestamp: String,
        data: Data,
    }
    let failed = |error: serde_json::Error| format!("write the records: {error}");
    let mapped = Mapped {
        r#type: &event.r#type,
        timestamp: event.receive_time.unwrap_or_default().to_string(),
        data: Data {
            records: serde_json::value::RawValue::from_string(record.to_json()).map_err(failed)?,
        },
    };
    let body = serde_json::to_vec(&mapped).map_err(failed)?;
    Ok((HeaderValue::from_static("application/json"), body.into()))
}

fn sign(key: &[u8], id: &str, seconds: i64, body: &[u8]) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| error.to_string())?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    Ok(format!(
        "v1,{}",
        STANDARD.encode(mac.finalize().into_bytes())
    ))
}

/// Providers choose the names of their events; what no header can hold is percent-encoded.
fn sendable(text: &str) -> HeaderValue {
    if let Ok(value) = HeaderValue::from_str(text)
        && text.is_ascii()
    {
        return value;
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    // Visible ASCII alone.
    HeaderValue::from_str(&encoded).unwrap_or(HeaderValue::from_static("%"))
}

/// Seconds, or a date by our clock.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let then = httpdate::parse_http_date(text)
                .ok()?
                .duration_since(UNIX_EPOCH)
                .ok()?;
            let now = Duration::from_millis(u64::try_from(now.0).ok()?);
            then.saturating_sub(now)
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests;
