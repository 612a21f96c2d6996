//! A webhook group and its webhooks, compiled.

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;

use crate::{Callback, Connector, FieldError, Head, Proven, Refusal, Reply, Timestamp, Verified};
use crate::{Extracted, Matched, SampleError, SignedSample};

/// One group, ready to take callbacks.
#[derive(Debug)]
pub struct Group {}

/// One webhook, ready to match.
#[derive(Debug)]
pub struct Webhook {}

impl Webhook {
    /// Compiles a webhook of a group: its events against the connector's function and the group's registered events, its filter
    /// within bounds.
    pub fn compile(
        _webhook: &v1::Webhook,
        _group: &v1::WebhookGroup,
        _connector: &Connector,
    ) -> Result<Arc<Self>, Vec<FieldError>> {
        todo!()
    }
}

impl Group {
    /// Compiles a group with its secrets opened. `webhooks` are those that compiled.
    pub fn compile(
        _group: &v1::WebhookGroup,
        _connector: Arc<Connector>,
        _webhooks: Vec<Arc<Webhook>>,
    ) -> Result<Arc<Self>, Vec<FieldError>> {
        todo!()
    }

    /// The group's uid.
    pub fn uid(&self) -> &str {
        todo!()
    }

    /// The org's name.
    pub fn org(&self) -> &str {
        todo!()
    }

    /// The group's name.
    pub fn name(&self) -> &str {
        todo!()
    }

    /// The group's own limit of kept callbacks a second, if it has one.
    pub fn rate_limit(&self) -> Option<u32> {
        todo!()
    }

    /// How long the answer may take: 80 % of what the provider waits.
    pub fn answer_budget(&self) -> Duration {
        todo!()
    }

    /// What the provider wants to hear when all is well.
    pub fn success(&self) -> &Reply {
        todo!()
    }

    /// Looks at the head alone: method, media type, announced length. Says how many bytes of body are taken.
    pub fn admit(&self, _head: Head<'_>, _content_length: Option<u64>) -> Result<u64, Refusal> {
        todo!()
    }

    /// Proves a callback genuine, or says what was wrong with it.
    pub fn verify(&self, _callback: Callback, _now: Timestamp) -> Result<Proven, Refusal> {
        todo!()
    }

    /// Reads type, ids and events out of what is genuine.
    pub fn extract(&self, _verified: Verified) -> Result<Extracted, Refusal> {
        todo!()
    }

    /// Decides which events are registered and which webhooks want them.
    pub fn match_events(&self, _extracted: Extracted) -> Matched {
        todo!()
    }

    /// Matches again what was matched with an older plan: `registered` and `matches` of each event are made anew.
    pub fn rematch(&self, _callback: &mut v1::ReportedCallback) {
        todo!()
    }

    /// True when what was matched has to be kept: something registered matched, is held, or the group captures the unmatched.
    pub fn keeps(&self, _callback: &v1::ReportedCallback) -> bool {
        todo!()
    }

    /// Signs a catalogue sample as the provider would.
    pub fn sign_sample(
        &self,
        _event: &str,
        _now: Timestamp,
        _uuid: &str,
    ) -> Result<SignedSample, SampleError> {
        todo!()
    }
}
