//! A webhook group and its webhooks, compiled.

mod compile;
mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;

use crate::connector::{Function, Protocol};
use crate::error::RefusalKind;
use crate::location::{Source, media_type, single_header};
use crate::verify::Keyring;
use crate::{
    Callback, Connector, Extracted, FieldError, Head, Matched, Proven, Refusal, Reply, SampleError,
    SignedSample, Timestamp, Verified, extract, matching, sample, verify,
};

pub use webhook::{TEMPLATE, Webhook};

/// What a group takes when neither it nor its connector says: more than nearly every provider sends, and little enough to hold many of.
pub const DEFAULT_MAX_BODY_BYTES: u64 = 1024 * 1024;
/// What a provider waits where its connector doesn't say.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(5);
/// A compressed body may inflate to this many times what may be sent.
const MAX_INFLATION: usize = 4;
/// And to no more than the largest body that any group takes: kept events are read again within the same bound.
const MAX_INFLATED_BYTES: usize = crate::connector::MAX_BODY_BYTES as usize;

/// One group, ready to take callbacks.
pub struct Group {
    uid: String,
    org: String,
    name: String,
    connector: Arc<Connector>,
    function: usize,
    /// Without a query: what URL-bound schemes sign, first as configured, then with or without the default port.
    urls: Vec<String>,
    external_id: Option<String>,
    parameters: BTreeMap<String, String>,
    /// By scheme.
    keyrings: Vec<Keyring>,
    takes_unsigned: bool,
    registered: Vec<String>,
    webhooks: Vec<Arc<Webhook>>,
    capture_unmatched: bool,
    max_body_bytes: u64,
    rate_limit: Option<u32>,
    success: Reply,
    patience: Duration,
}

/// Names and numbers; never a secret.
impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("uid", &self.uid)
            .field("org", &self.org)
            .field("name", &self.name)
            .field("connector", &self.connector.name)
            .field("function", &self.function().name)
            .field("webhooks", &self.webhooks.len())
            .finish_non_exhaustive()
    }
}

impl Group {
    /// Compiles a group with its secrets opened. `webhooks` are those that compiled.
    pub fn compile(
        group: &v1::WebhookGroup,
        connector: Arc<Connector>,
        webhooks: Vec<Arc<Webhook>>,
    ) -> Result<Arc<Self>, Vec<FieldError>> {
        compile::group(group, connector, webhooks).map(Arc::new)
    }

    /// The group's uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The org's name.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// The group's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The group's own limit of kept callbacks a second, if it has one.
    pub fn rate_limit(&self) -> Option<u32> {
        self.rate_limit
    }

    /// How long the answer may take: 80 % of what the provider waits.
    pub fn answer_budget(&self) -> Duration {
        self.patience * 4 / 5
    }

    /// What the provider wants to hear when all is well.
    pub fn success(&self) -> &Reply {
        &self.success
    }

    /// Looks at the head alone: method, media type, announced length. Says how many bytes of body are taken.
    pub fn admit(&self, head: Head<'_>, content_length: Option<u64>) -> Result<u64, Refusal> {
        let protocol = self.protocol();
        let method_is_taken = if protocol.methods.is_empty() {
            *head.method == http::Method::POST
        } else {
            protocol.methods.contains(head.method)
        };
        if !method_is_taken {
            return Err(Refusal::new(
                RefusalKind::Method,
                format!("method {} is not taken", head.method),
            ));
        }
        let has_body = content_length != Some(0) && *head.method != http::Method::GET;
        if has_body && !protocol.content_types.is_empty() {
            let given = single_header(head.headers, &http::header::CONTENT_TYPE)
                .map(media_type)
                .unwrap_or_default();
            if !protocol
                .content_types
                .iter()
                .any(|taken| taken.eq_ignore_ascii_case(given))
            {
                return Err(Refusal::new(
                    RefusalKind::MediaType,
                    format!(
                        "content type `{}` is not taken; {} is",
                        matching::cut(given, 100),
                        protocol.content_types.join(", ")
                    ),
                ));
            }
        }
        match content_length {
            Some(length) if length > self.max_body_bytes => Err(Refusal::new(
                RefusalKind::BodyTooLarge,
                format!(
                    "body of {length} bytes is larger than {} bytes",
                    self.max_body_bytes
                ),
            )),
            _ => Ok(self.max_body_bytes),
        }
    }

    /// Proves a callback genuine, or says what was wrong with it.
    pub fn verify(&self, callback: Callback, now: Timestamp) -> Result<Proven, Refusal> {
        verify::verify(self, callback, now)
    }

    /// Reads type, ids and events out of what is genuine.
    pub fn extract(&self, verified: Verified) -> Result<Extracted, Refusal> {
        extract::extract(self, verified)
    }

    /// Decides which events are registered and which webhooks want them.
    pub fn match_events(&self, extracted: Extracted) -> Matched {
        matching::match_events(self, extracted)
    }

    /// Matches again what was matched with an older plan: `registered` and `matches` of each event are made anew.
    pub fn rematch(&self, callback: &mut v1::ReportedCallback) {
        matching::rematch(self, callback);
    }

    /// True when what was matched has to be kept: something registered matched, is held, or the group captures the unmatched.
    pub fn keeps(&self, callback: &v1::ReportedCallback) -> bool {
        callback.events.iter().any(|event| {
            event.registered
                && (self.capture_unmatched || event.matches.iter().any(|webhook| webhook.matched))
        })
    }

    /// Signs a catalogue sample as the provider would.
    pub fn sign_sample(
        &self,
        event: &str,
        now: Timestamp,
        uuid: &str,
    ) -> Result<SignedSample, SampleError> {
        sample::sign(self, event, now, uuid)
    }

    pub(crate) fn function(&self) -> &Function {
        // The index was found when the group was compiled, and a compiled connector never changes.
        &self.connector.functions[self.function]
    }

    pub(crate) fn protocol(&self) -> &Protocol {
        &self.function().protocol
    }

    pub(crate) fn keyring(&self, scheme: usize) -> Option<&Keyring> {
        self.keyrings.get(scheme)
    }

    pub(crate) fn url_variants(&self) -> &[String] {
        &self.urls
    }

    pub(crate) fn external_id(&self) -> Option<&str> {
        self.external_id.as_deref()
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Whether callbacks that nothing proves genuine are taken: said so, and no secret to prove them with.
    pub(crate) fn takes_unsigned(&self) -> bool {
        self.takes_unsigned
    }

    pub(crate) fn registered(&self) -> &[String] {
        &self.registered
    }

    pub(crate) fn webhooks(&self) -> &[Arc<Webhook>] {
        &self.webhooks
    }

    pub(crate) fn captures_unmatched(&self) -> bool {
        self.capture_unmatched
    }

    pub(crate) fn source<'a>(&'a self, callback: &'a Callback) -> Source<'a> {
        Source::new(
            callback,
            &self.urls[0],
            self.protocol()
                .extract
                .as_ref()
                .and_then(|extract| extract.json_form_field.as_deref()),
            self.max_inflated_bytes(),
        )
    }

    pub(crate) fn max_inflated_bytes(&self) -> usize {
        usize::try_from(self.max_body_bytes)
            .unwrap_or(usize::MAX)
            .saturating_mul(MAX_INFLATION)
            .min(MAX_INFLATED_BYTES)
    }
}
