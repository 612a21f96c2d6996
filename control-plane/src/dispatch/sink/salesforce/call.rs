//! One call with what goes with all of them: the token, the headers, a second try where the token is refused, and the day's limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hookplane_proto::v1;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Request};

use super::answers::{Fate, Told, failure, usage};
use super::auth::{Token, Tokens};
use super::requests::Call;
use crate::dispatch::client::{HttpClient, Wanted};

/// Of an answer: two hundred rows with errors are less.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Of a description: an object with eight hundred fields has a few megabytes.
pub(super) const MAX_DESCRIPTION_BYTES: usize = 16 * 1024 * 1024;
/// What a token that was refused as soon as it was made waits.
const SESSION_PAUSE: Duration = Duration::from_secs(5 * 60);
const AUTO_ASSIGN: HeaderName = HeaderName::from_static("sforce-auto-assign");
const DUPLICATE_RULES: HeaderName = HeaderName::from_static("sforce-duplicate-rule-header");
const LIMIT_INFO: HeaderName = HeaderName::from_static("sforce-limit-info");

/// Makes calls for one destination.
#[derive(Clone)]
pub(super) struct Caller {
    client: HttpClient,
    tokens: Arc<Tokens>,
    timeout: Duration,
    version: String,
    auto_assign: bool,
    allow_duplicates: bool,
    /// Calls used, and allowed, of the day: as the newest answer has it.
    used: Arc<AtomicU64>,
}

/// An answer that isn't a failure of the whole.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Caller {
    pub(super) fn new(
        target: &v1::SalesforceTarget,
        client: HttpClient,
        tokens: Tokens,
        timeout: Duration,
        version: &str,
    ) -> Self {
        Self {
            client,
            tokens: Arc::new(tokens),
            timeout,
            version: version.to_owned(),
            auto_assign: target.auto_assign,
            allow_duplicates: target.allow_duplicates,
            used: Arc::default(),
        }
    }

    /// The same, token and all.
    pub(super) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// What comes before a call's path.
    pub(super) fn base(&self) -> String {
        format!("/services/data/{}/", self.version)
    }

    /// As it would be sent, the token hidden.
    pub(super) fn shown(&self, call: &Call) -> v1::OutboundRequest {
        let mut headers = HeaderMap::new();
        self.fill(&mut headers, call, HeaderValue::from_static("Bearer ***"));
        v1::OutboundRequest {
            method: call.method.to_string(),
            url: self
                .tokens
                .origin()
                .url(&format!("{}{}", self.base(), call.path)),
            headers: headers
                .iter()
                .map(|(name, value)| {
                    (
                        name.to_string(),
                        value.to_str().unwrap_or_default().to_owned(),
                    )
                })
                .collect(),
            body: call.body.clone().unwrap_or_default(),
            ..v1::OutboundRequest::default()
        }
    }

    fn fill(&self, headers: &mut HeaderMap, call: &Call, authorization: HeaderValue) {
        headers.insert(header::AUTHORIZATION, authorization);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if call.method == http::Method::GET {
            return;
        }
        if call.body.is_some() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json; charset=utf-8"),
            );
        }
        // Salesforce's own default is to run them.
        headers.insert(
            AUTO_ASSIGN,
            HeaderValue::from_static(if self.auto_assign { "TRUE" } else { "FALSE" }),
        );
        if self.allow_duplicates {
            headers.insert(DUPLICATE_RULES, HeaderValue::from_static("allowSave=true"));
        }
    }

    /// Sends it. The error is what becomes of all that is in it.
    pub(super) async fn send(&self, call: &Call) -> Result<Answered, Told> {
        self.send_with(call, None, MAX_ANSWER_BYTES).await
    }

    /// The same, with at most `most` bytes of an answer; `known` is when what is asked for was last changed. An answer of 304 says that it still is so.
    pub(super) async fn send_with(
        &self,
        call: &Call,
        known: Option<&HeaderValue>,
        most: usize,
    ) -> Result<Answered, Told> {
        let mut token = self.tokens.get(None, self.timeout).await?;
        let mut answer = self.exchange(call, &token, known, most).await?;
        if answer.status == 401 {
            // It has expired, or was revoked: once more with a new one.
            token = self.tokens.get(Some(&token), self.timeout).await?;
            answer = self.exchange(call, &token, known, most).await?;
        }
        if answer.status == 304 && known.is_some() {
            return Ok(answer);
        }
        let retry_after = answer.headers.get(header::RETRY_AFTER).and_then(seconds);
        match failure(answer.status, retry_after, &answer.body) {
            None => Ok(answer),
            Some(told) if answer.status == 401 => Err(Told {
                fate: Fate::Pause {
                    time: SESSION_PAUSE,
                },
                said: format!(
                    "a new token is refused as well: {}: check the connected app's policies",
                    told.said
                ),
                ..told
            }),
            Some(told) => Err(told),
        }
    }

    async fn exchange(
        &self,
        call: &Call,
        token: &Arc<Token>,
        known: Option<&HeaderValue>,
        most: usize,
    ) -> Result<Answered, Told> {
        let url = token.instance.url(&format!("{}{}", self.base(), call.path));
        let body = Bytes::from(call.body.clone().unwrap_or_default());
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(url)
            .body(body)
            .map_err(|error| {
                Told::new(
                    Fate::Refused,
                    format!("no request can be made of it: {error}"),
                )
            })?;
        self.fill(request.headers_mut(), call, token.authorization.clone());
        if let Some(known) = known {
            request
                .headers_mut()
                .insert(header::IF_MODIFIED_SINCE, known.clone());
        }
        let answer = match self
            .client
            .send(request, self.timeout, Wanted::Body(most))
            .await
        {
            Ok(answer) => answer,
            Err(error) => return Err(Told::unanswered(&error, "")),
        };
        if let Some((used, allowed)) = answer
            .headers
            .get(LIMIT_INFO)
            .and_then(|value| usage(value.to_str().ok()?))
        {
            self.used.store(
                u64::from(used) << 32 | u64::from(allowed),
                Ordering::Relaxed,
            );
        }
        let mut body = String::from_utf8_lossy(&answer.body).into_owned();
        // Nobody sends it back, and if somebody does it ends here.
        if let Some(bare) = token
            .authorization
            .to_str()
            .ok()
            .and_then(|value| value.strip_prefix("Bearer "))
            && body.contains(bare)
        {
            body = body.replace(bare, "***");
        }
        Ok(Answered {
            status: answer.status.as_u16(),
            headers: answer.headers,
            body,
        })
    }

    /// What is said of the day's calls when nine in ten of them are used.
    pub(super) fn near_limit(&self) -> Option<String> {
        let both = self.used.load(Ordering::Relaxed);
        let (used, allowed) = (both >> 32, both & u64::from(u32::MAX));
        (allowed > 0 && used * 10 >= allowed * 9)
            .then(|| format!("{used} of the {allowed} API calls of 24 hours are used"))
    }
}

/// `Retry-After` in seconds. Salesforce sends no dates.
fn seconds(value: &HeaderValue) -> Option<Duration> {
    value
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}
