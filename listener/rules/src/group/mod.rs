//! A webhook group and its webhooks, compiled.
//!
//! Guarantees: a group that lacks a required secret or parameter doesn't compile, so it can't be served; keys are made here, once;
//! nothing of them shows in a debug print.

mod compile;
mod credentials;
#[cfg(test)]
mod tests;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;

use crate::connector::{Function, takes};
use crate::location::Location;
use crate::payload;
use crate::public::PublicKey;
use crate::redact::Redaction;
use crate::request::{Around, Decoding, Request, header, media_type, single};
use crate::verify::keys::{Key, Secret};
use crate::{
    Callback, Connector, Diagnosis, FieldError, Head, Keys, NoKeys, Proven, Refusal, RefusalKind,
    Reply, Timestamp, Unproven,
};
use crate::{Extracted, Matched, SampleError, SignedSample, Variant, Verified, Visit};

pub use compile::MAX_SECRETS;
pub(crate) use compile::key_parameter;
pub(crate) use credentials::{Credentials, Places, TEST_HEADER};
pub(crate) use webhook::Shared;
pub use webhook::{TEMPLATE, Webhook};

/// One group, ready to take callbacks.
#[derive(Debug)]
pub struct Group {
    pub(crate) uid: String,
    pub(crate) org: String,
    pub(crate) name: String,
    /// With its other functions: what was meant for one may be sent to another.
    connector: Arc<Connector>,
    pub(crate) function: Arc<Function>,
    /// Beside the protocol's schemes, one each.
    pub(crate) keyed: Vec<KeyedScheme>,
    /// Beside the protocol's handshakes, one list each: what their MACs may be made under.
    pub(crate) handshake_keys: Vec<Vec<Key>>,
    /// Takes the secret that the provider hands over.
    pub(crate) learns: bool,
    /// The fingerprint of the secret that was learned.
    pub(crate) learned: Option<[u8; 32]>,
    /// Pasted or learned.
    pub(crate) has_signature_secret: bool,
    /// A signature secret, a parameter that is a key, or a provider whose keys are fetched.
    pub(crate) has_secret: bool,
    pub(crate) accept_unsigned: bool,
    pub(crate) external_id: Option<String>,
    pub(crate) registered: Box<[String]>,
    pub(crate) webhooks: Vec<Arc<Webhook>>,
    pub(crate) capture_unmatched: bool,
    /// What URL-bound schemes may have signed, without a query.
    pub(crate) urls: Vec<String>,
    pub(crate) callback_url: Box<str>,
    pub(crate) decoding: Arc<Decoding>,
    pub(crate) credentials: Arc<Credentials>,
    /// Boxed: few groups have one.
    pub(crate) redaction: Option<Box<Redaction>>,
    max_body_bytes: u64,
    rate_limit: Option<u32>,
}

/// A scheme's keys in this group.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyedScheme {
    pub(crate) keys: Vec<Key>,
    /// Pasted ones.
    pub(crate) public: Box<[PublicKey]>,
    /// The user that basic authentication must name. Boxed: few groups have one, and there are many groups.
    pub(crate) user: Option<Box<User>>,
    /// Where the token is, if it isn't where the connector says.
    pub(crate) token: Option<Location>,
}

/// A user of basic authentication.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) fingerprint: [u8; 32],
    /// For samples.
    pub(crate) name: String,
}

impl Group {
    /// Compiles a group with its secrets opened. `webhooks` are those that compiled.
    pub fn compile(
        group: &v1::WebhookGroup,
        connector: Arc<Connector>,
        webhooks: Vec<Arc<Webhook>>,
    ) -> Result<Arc<Self>, Vec<FieldError>> {
        compile::compile(group, &connector, webhooks, true).map(Arc::new)
    }

    /// The same of one whose secrets needn't all be there: it matches as the other does, and without a secret it proves nothing genuine. To be
    /// tried, never to serve.
    pub fn compile_for_trial(
        group: &v1::WebhookGroup,
        connector: Arc<Connector>,
        webhooks: Vec<Arc<Webhook>>,
    ) -> Result<Arc<Self>, Vec<FieldError>> {
        compile::compile(group, &connector, webhooks, false).map(Arc::new)
    }

    /// The definition that it was compiled with.
    pub(crate) fn connector(&self) -> &Arc<Connector> {
        &self.connector
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
        self.function.protocol.answer_budget
    }

    /// What the provider wants to hear when all is well; [`Group::answer_to`] may say more.
    pub fn success(&self) -> &Reply {
        &self.function.protocol.success
    }

    /// What the provider wants to hear to this very request, where that isn't [`Group::success`].
    pub fn answer_to(&self, verified: &Verified) -> Option<Reply> {
        let template = self.function.protocol.answer.as_ref()?;
        // A value that is missing or unfit is no reason to have the event sent again.
        template.render(verified.request(), Around::default()).ok()
    }

    /// The same for a request that is no event.
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        let template = self.function.protocol.answer.as_ref();
        let made = template.and_then(|one| one.render(request, Around::default()).ok());
        made.unwrap_or_else(|| self.success().clone())
    }

    /// Looks at the head alone: method, media type, announced length. Says how many bytes of body are taken.
    pub fn admit(&self, head: Head<'_>, content_length: Option<u64>) -> Result<u64, Refusal> {
        let protocol = &self.function.protocol;
        if !protocol
            .methods
            .iter()
            .any(|method| method == head.method.as_str())
        {
            return Err(Refusal::new(
                RefusalKind::Method,
                format!(
                    "method {} is not taken, {} is",
                    head.method,
                    protocol.methods.join(", ")
                ),
            ));
        }
        let has_body = content_length.map_or_else(
            || head.headers.contains_key(http::header::TRANSFER_ENCODING),
            |length| length > 0,
        );
        if !protocol.content_types.is_empty() {
            let known = protocol.content_types.join(", ");
            let refuse = |what: String| {
                Err(Refusal::new(
                    RefusalKind::MediaType,
                    format!("{what}; taken are {known}"),
                ))
            };
            match header(head.headers, &http::header::CONTENT_TYPE) {
                Ok(sent) => {
                    let sent = media_type(sent);
                    if !protocol
                        .content_types
                        .iter()
                        .any(|one| one.eq_ignore_ascii_case(sent))
                    {
                        return refuse(format!("content type {sent} is not taken"));
                    }
                }
                Err(crate::request::Missing::Absent) if !has_body => {}
                Err(missing) => {
                    return refuse(missing.explain(&crate::location::Location::Header(
                        http::header::CONTENT_TYPE,
                    )));
                }
            }
        }
        match content_length {
            Some(length) if length > self.max_body_bytes => Err(Refusal::new(
                RefusalKind::BodyTooLarge,
                format!(
                    "{length} bytes are announced, {} are taken",
                    self.max_body_bytes
                ),
            )),
            _ => Ok(self.max_body_bytes),
        }
    }

    /// True when the body has to be unpacked before anybody knows whether it is genuine: it may be a thousand times as large then.
    pub fn unpacks(&self, callback: &Callback) -> bool {
        let encoding = single(&callback.headers, &http::header::CONTENT_ENCODING);
        self.decoding.reading.signs_unpacked && payload::is_packed(encoding, &callback.body)
    }

    /// Proves a callback genuine, or says what was wrong with it. Where its public key would have to be fetched, that it isn't here.
    pub fn verify(&self, callback: Callback, now: Timestamp) -> Result<Proven, Refusal> {
        self.verify_with(callback, &NoKeys, now)
            .map_err(|unproven| match unproven {
                Unproven::Refused(refused) => refused.refusal,
                Unproven::NeedsKey(needed) => needed.refusal(),
            })
    }

    /// The same with public keys that were fetched. One that is lacking is no refusal: it has to be fetched first.
    pub fn verify_with(
        &self,
        callback: Callback,
        keys: &dyn Keys,
        now: Timestamp,
    ) -> Result<Proven, Unproven> {
        crate::verify::verify(self, callback, keys, now)
    }

    /// Why a callback was likely refused, for its operator. Believes nothing, and does work that is bounded however large the callback is.
    pub fn diagnose(&self, visit: Visit<'_>) -> Diagnosis {
        crate::doctor::diagnose(self, visit)
    }

    /// Reads type, ids and events out of what is genuine.
    pub fn extract(&self, verified: Verified) -> Result<Extracted, Refusal> {
        crate::extract::extract(self, verified)
    }

    /// Decides which events are registered and which webhooks want them.
    pub fn match_events(&self, extracted: Extracted) -> Matched {
        crate::matching::match_events(self, extracted)
    }

    /// Matches again what was matched with an older plan: `registered` and `matches` of each event are made anew.
    pub fn rematch(&self, callback: &mut v1::ReportedCallback) {
        crate::matching::rematch(self, callback);
    }

    /// What each webhook but the template makes of an event that is kept, whatever it was matched with when it came.
    pub fn match_kept(&self, event: &v1::Event) -> Vec<v1::ReportedMatch> {
        crate::matching::match_kept(self, event)
    }

    /// Whether there is anything that it never writes: what it lists, and its secrets where they stand in a body.
    pub fn redacts(&self) -> bool {
        self.redaction.is_some()
    }

    /// Takes out of a report what the group says never to write, whoever reported it. What was taken out before is not missed; where
    /// there was more, it is matched again.
    pub fn redact(&self, callback: &mut v1::ReportedCallback) {
        crate::matching::redact(self, callback);
    }

    /// True when what was matched has to be kept: something registered matched, is held, or the group captures the unmatched.
    pub fn keeps(&self, callback: &v1::ReportedCallback) -> bool {
        crate::matching::is_kept(&callback.events, self.capture_unmatched)
    }

    /// Signs a catalogue sample as the provider would.
    pub fn sign_sample(
        &self,
        event: &str,
        now: Timestamp,
        uuid: &str,
    ) -> Result<SignedSample, SampleError> {
        crate::sample::sign(self, event, now, uuid)
    }

    /// Events with a catalogue sample, those first that an active webhook asks for.
    pub fn samples(&self) -> Vec<&str> {
        let with_sample = self
            .function
            .events
            .iter()
            .filter(|one| one.sample.is_some());
        let mut names: Vec<&str> = with_sample.map(|one| one.name.as_str()).collect();
        names.sort_by_key(|name| !self.is_wanted(name));
        names
    }

    /// A catalogue sample as a listener would report it. Where only the provider can sign it, it is read as it stands.
    pub fn report_sample(
        &self,
        event: &str,
        now: Timestamp,
        uuid: &str,
    ) -> Result<v1::ReportedCallback, SampleError> {
        crate::sample::report(self, event, now, uuid)
    }

    /// A catalogue sample as the provider would post it, and as it never would, each with what must come of it. An empty `event` chooses one;
    /// ids, keys and challenges are made of `random`.
    pub fn sample_variants(
        &self,
        event: &str,
        now: Timestamp,
        random: &[u8; 32],
    ) -> Result<Vec<Variant>, SampleError> {
        crate::sample::all(self, event, now, random)
    }

    /// The signature secrets as pasted.
    pub(crate) fn signature_secrets(&self) -> &[Secret] {
        let all = self.credentials.secrets();
        let given = |name| self.decoding.parameters.contains_key(name);
        let parameters = self.connector.parameters.iter();
        let secret = parameters.filter(|one| one.secret && given(&one.name));
        &all[..all.len().saturating_sub(secret.count())]
    }

    /// True when the group takes this event.
    pub(crate) fn registers(&self, event_type: &str) -> bool {
        self.registered.iter().any(|name| takes(name, event_type))
    }

    /// True when an active webhook asks for this event. Its filter is not asked.
    pub(crate) fn is_wanted(&self, event_type: &str) -> bool {
        let mut active = self
            .webhooks
            .iter()
            .filter(|one| one.active && !one.is_template);
        active.any(|one| one.asks_for(event_type))
    }
}
