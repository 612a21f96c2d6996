//! What a webhook would make of an event, and what a changed one would make of those that are recorded.

mod requests;

use std::sync::Arc;

use bytes::Bytes;
use hookplane_proto::v1;
use hookplane_rules::time;
use tonic::{Request, Response, Status};

use super::compare::Comparisons;
use super::desk::{Desk, Mode, random};
use super::status::Problem;
use super::trial::{self, Trial, Verdict};
use super::turns::Turns;
use super::{manifests, names, webhooks};
use crate::access::{Caller, opened};
use crate::aside::{self, Here};
use crate::config::GroupRecord;
use crate::context::Context;
use crate::keys;
use crate::log::{LogError, Selection};
use crate::mapping::in_a_line;
use crate::report::OrderBy;
use requests::Named;

/// A payload of the caller's.
const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// Its event type.
const MAX_TYPE_BYTES: usize = 512;
/// Recorded events that are looked at for one that fits: so many at once, so often.
const STEP: usize = 2;
const STEPS: usize = 96;
/// At a time, in all and of one org: each may have a large event in its hands, and several copies of it.
const AT_ONCE: usize = 4;
const OF_ONE_ORG: usize = 2;

pub(super) fn turns() -> Turns {
    Turns::new(AT_ONCE, OF_ONE_ORG)
}

/// Serves `PreviewService`.
pub struct PreviewApi {
    context: Context,
    comparisons: Comparisons,
    turns: Turns,
}

impl PreviewApi {
    /// Over these parts.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            comparisons: Comparisons::default(),
            turns: turns(),
        }
    }

    async fn show(
        &self,
        caller: &Caller,
        mut request: v1::PreviewRequest,
    ) -> Result<v1::PreviewResponse, Problem> {
        let given = request.webhook.clone().unwrap_or_default();
        let metadata = given.metadata.clone().unwrap_or_default();
        let mut desk = Desk::for_trial(&self.context, caller);
        desk.owned(&metadata.org)?;
        let turn = Arc::new(self.turns.take(&metadata.org).await?);
        manifests::lay_over(&mut desk, std::mem::take(&mut request.manifests)).await?;
        let record = trial::group_of(&desk, &metadata).await?;
        let webhook = if given.spec.is_none() {
            let key = keys::webhook(&metadata.org, &metadata.group, &metadata.name);
            let stored = desk.get::<v1::Webhook>(&key).await?;
            let name = || names::webhook(&metadata.org, &metadata.group, &metadata.name);
            stored.ok_or_else(|| Problem::NotFound(name()))?.0
        } else {
            // What a save would refuse is refused here, and what it keeps of the stored one is in it.
            let prepared = webhooks::prepare(&desk, &given, Mode::Apply).await?;
            prepared.resource
        };
        let named = requests::named(&desk, &webhook).await?;
        let trial = self.trial(&record, &webhook).await?;
        let request_checks = request.check_destinations;
        let chosen = self.chosen(caller, &record, &webhook, request).await?;
        let id = self.new_id()?;
        let context = self.context.clone();
        let of_task = (webhook.clone(), named.clone(), Arc::clone(&turn));
        // It isn't ended by its caller: the turn is its own, too.
        let shown = aside::TRIALS.run(&metadata.org, move |here| {
            let (webhook, named, _turn) = of_task;
            let event = chosen.event(here, &context, &record, &trial, id)?;
            Ok::<_, Problem>(shown(here, &context, &webhook, &named, &trial, event))
        });
        let mut shown = shown.await??;
        if request_checks {
            shown.checks = requests::check(&turn, &self.context, &webhook, &named).await;
        }
        Ok(shown)
    }

    async fn trial(&self, record: &GroupRecord, webhook: &v1::Webhook) -> Result<Trial, Problem> {
        let (context, record, webhook) = (self.context.clone(), record.clone(), webhook.clone());
        let org = webhook.metadata.as_ref().map_or("", |m| &m.org).to_owned();
        let trial = aside::TRIALS.run(&org, move |here| {
            Trial::of(here, &context, &record, &webhook)
        });
        trial.await?
    }

    /// What is asked for, of this group.
    async fn chosen(
        &self,
        caller: &Caller,
        record: &GroupRecord,
        webhook: &v1::Webhook,
        request: v1::PreviewRequest,
    ) -> Result<Chosen, Problem> {
        let given = [&request.event_id, &request.sample, &request.payload_json];
        match given.iter().filter(|text| !text.is_empty()).count() {
            0 => self.fitting(caller, record, webhook).await,
            1 if !request.event_id.is_empty() => self
                .kept(caller, record, &request.event_id)
                .await
                .map(Chosen::Kept),
            1 if !request.sample.is_empty() => Ok(Chosen::Sample(request.sample)),
            1 => self.payload(record, request),
            _ => Err(Problem::field(
                "event_id",
                "give one of event_id, sample and payload_json, or none",
            )),
        }
    }

    /// The newest that is kept and that the webhook takes, were it active; else a sample, likewise.
    async fn fitting(
        &self,
        caller: &Caller,
        record: &GroupRecord,
        webhook: &v1::Webhook,
    ) -> Result<Chosen, Problem> {
        let mut active = webhook.clone();
        active.spec.get_or_insert_default().active = true;
        let trial = match self.trial(record, &active).await {
            Ok(trial) => trial,
            // One without events can't be active.
            Err(_) => self.trial(record, webhook).await?,
        };
        let trial = Arc::new(trial);
        let metadata = record.group.metadata.clone().unwrap_or_default();
        let selection = Selection {
            org: Some(metadata.org.clone()),
            group_uid: Some(metadata.uid.clone()),
            since: caller.since(),
            ..Selection::default()
        };
        let mut before = None;
        for _ in 0..STEPS {
            let read = self.context.log.events(&selection, before, STEP).await?;
            let ends = read.len() < STEP;
            before = read.last().map(|(at, _)| *at);
            let trial = Arc::clone(&trial);
            let found = aside::TRIALS.run(&metadata.org, move |here| {
                let fits = |event: &v1::Event| trial.verdict(here, event) == Verdict::Matched;
                read.into_iter().map(|(_, event)| event).find(fits)
            });
            if let Some(event) = found.await? {
                return Ok(Chosen::Kept(event));
            }
            if ends {
                break;
            }
        }
        match trial.samples().first() {
            Some(sample) => Ok(Chosen::Sample((*sample).to_owned())),
            None => Err(Problem::Refused(
                "no recorded event is for the webhook, and the connector has no sample: give a payload".to_owned(),
            )),
        }
    }

    fn payload(
        &self,
        record: &GroupRecord,
        request: v1::PreviewRequest,
    ) -> Result<Chosen, Problem> {
        if request.payload_json.len() > MAX_PAYLOAD_BYTES {
            let message = format!("is larger than {MAX_PAYLOAD_BYTES} bytes");
            return Err(Problem::field("payload_json", message));
        }
        if request.event_type.len() > MAX_TYPE_BYTES {
            let message = format!("is longer than {MAX_TYPE_BYTES} bytes");
            return Err(Problem::field("event_type", message));
        }
        let body = Bytes::from(request.payload_json);
        hookplane_rules::payload::Json::validate(body.clone())
            .map_err(|why| Problem::field("payload_json", format!("is not taken: {why}")))?;
        let group = record.group.metadata.clone().unwrap_or_default();
        Ok(Chosen::Given(v1::Event {
            id: self.new_id()?.to_string(),
            org: group.org,
            group: group.name,
            group_uid: group.uid,
            r#type: request.event_type,
            receive_time: Some(time::to_wire(self.context.clock.now())),
            format: v1::PayloadFormat::Json.into(),
            content_type: "application/json".to_owned(),
            method: "POST".to_owned(),
            body,
            ..Default::default()
        }))
    }

    /// One of another group, or of another org, is not there.
    async fn kept(
        &self,
        caller: &Caller,
        record: &GroupRecord,
        id: &str,
    ) -> Result<v1::Event, Problem> {
        let id = id.strip_prefix("events/").unwrap_or(id);
        let none = || LogError::NotFound(format!("event {id} in this group"));
        let event = match self.context.log.event(id).await {
            Err(LogError::NotFound(_)) => return Err(none().into()),
            event => event?,
        };
        let received = event.receive_time.as_ref().map(time::from_wire);
        let uid = record.group.metadata.as_ref().map(|m| m.uid.as_str());
        let of_group = Some(event.group_uid.as_str()) == uid;
        if of_group && caller.sees(&event.org, received.unwrap_or_default()) {
            Ok(event)
        } else {
            Err(none().into())
        }
    }

    fn new_id(&self) -> Result<uuid::Uuid, Problem> {
        let random: [u8; 10] = random()?;
        let now = self.context.clock.now().0.max(0).unsigned_abs();
        Ok(uuid::Builder::from_unix_timestamp_millis(now, &random).into_uuid())
    }
}

/// What is looked at.
enum Chosen {
    /// As it is recorded.
    Kept(v1::Event),
    /// Of the connector, by its name there.
    Sample(String),
    /// The caller's.
    Given(v1::Event),
}

impl Chosen {
    /// With what is told of where it is from.
    fn event(
        self,
        here: &Here,
        context: &Context,
        record: &GroupRecord,
        trial: &Trial,
        id: uuid::Uuid,
    ) -> Result<(v1::Event, v1::PreviewResponse), Problem> {
        let mut answer = v1::PreviewResponse::default();
        let event = match self {
            Self::Kept(event) => {
                answer.event_id.clone_from(&event.id);
                event
            }
            Self::Sample(sample) => {
                let event = trial.sample(here, context, record, &sample, id)?;
                answer.sample = sample;
                event
            }
            Self::Given(event) => event,
        };
        Ok((event, answer))
    }
}

fn shown(
    here: &Here,
    context: &Context,
    webhook: &v1::Webhook,
    named: &Named,
    trial: &Trial,
    (event, mut answer): (v1::Event, v1::PreviewResponse),
) -> v1::PreviewResponse {
    answer.event_type.clone_from(&event.r#type);
    match trial.verdict(here, &event) {
        Verdict::Matched => answer.matched = true,
        Verdict::Unmatched(reason) => answer.reason = reason,
        Verdict::Held(reason) => {
            (answer.matched, answer.held, answer.reason) = (true, true, reason);
        }
    }
    let order_by = webhook.spec.as_ref().map_or("", |spec| &spec.order_by);
    if !order_by.is_empty() {
        // Compiled aside: what is not saved is not kept compiled.
        match OrderBy::compile(here, order_by).and_then(|order| order.key(here, &event)) {
            Ok(key) => answer.order_key = key,
            Err(why) if answer.reason.is_empty() => {
                answer.reason = format!("delivered without order: `{order_by}` {why}");
            }
            Err(_) => {}
        }
    }
    let tried = trial.attempt(here, &event);
    if let Some(record) = &tried.record {
        answer.records_json = record.to_json();
    }
    answer.without_value = tried.without;
    if !tried.problems.is_empty() {
        if answer.matched && !answer.held {
            (answer.held, answer.reason) = (true, in_a_line(&tried.problems));
        }
        answer.problems = tried.problems;
    } else if !answer.held {
        answer.requests = requests::of(here, context, webhook, named, event, tried.record);
    }
    answer
}

#[tonic::async_trait]
impl v1::preview_service_server::PreviewService for PreviewApi {
    async fn preview(
        &self,
        request: Request<v1::PreviewRequest>,
    ) -> Result<Response<v1::PreviewResponse>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(self.show(&caller, request).await?))
    }

    async fn compare(
        &self,
        request: Request<v1::CompareRequest>,
    ) -> Result<Response<v1::CompareResponse>, Status> {
        let (caller, request) = opened(request)?;
        let compared = self
            .comparisons
            .run(&self.context, &caller, request)
            .await?;
        Ok(Response::new(compared))
    }
}
