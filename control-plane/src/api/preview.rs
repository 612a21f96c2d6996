//! What a webhook would make of an event, and what a changed one would make of those that are recorded.

use hookplane_proto::v1;
use hookplane_rules::{SampleError, time};
use prost::bytes::Bytes;
use tonic::{Request, Response, Status};

use super::compare::Comparisons;
use super::desk::{Desk, Mode, random};
use super::scope::Scope;
use super::status::Problem;
use super::trial::{Trial, Verdict, in_a_line};
use super::webhooks;
use crate::access::{Caller, opened};
use crate::config::GroupRecord;
use crate::context::Context;
use crate::keys;
use crate::log::LogError;
use crate::report::later;

/// A payload of the caller's.
const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// Its event type.
const MAX_TYPE_BYTES: usize = 512;

/// Serves `PreviewService`.
pub struct PreviewApi {
    context: Context,
    comparisons: Comparisons,
}

impl PreviewApi {
    /// Over these parts.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            comparisons: Comparisons::default(),
        }
    }

    async fn show(
        &self,
        caller: &Caller,
        request: v1::PreviewRequest,
    ) -> Result<v1::PreviewResponse, Problem> {
        let given = request.webhook.clone().unwrap_or_default();
        let metadata = given.metadata.clone().unwrap_or_default();
        let desk = Desk::new(&self.context, caller);
        desk.owned(&metadata.org)?;
        let path = format!("orgs/{}/groups/{}", metadata.org, metadata.group);
        let scope = Scope::parse(caller, "webhook.metadata", &path)?;
        let record = scope.record(&self.context, &path).await?;
        let record = record.ok_or_else(|| Problem::NotFound(path.clone()))?;
        let webhook = if given.spec.is_none() {
            let key = keys::webhook(&metadata.org, &metadata.group, &metadata.name);
            let stored = desk.get::<v1::Webhook>(&key).await?;
            let name = || format!("{path}/webhooks/{}", metadata.name);
            stored.ok_or_else(|| Problem::NotFound(name()))?.0
        } else {
            // What a save would refuse is refused here, and what it keeps of the stored one is in it.
            let prepared = webhooks::prepare(&desk, &given, Mode::Apply).await?;
            prepared.resource
        };
        let trial = Trial::of(&self.context, &record, &webhook)?;
        let event = self.event(caller, &record, request).await?;
        let context = self.context.clone();
        // A filter may take a while, and a payload may be large.
        tokio::task::spawn_blocking(move || shown(&context, &webhook, &trial, event))
            .await
            .map_err(|error| Problem::Internal(format!("preview an event: {error}")))
    }

    /// What is asked for, of this group.
    async fn event(
        &self,
        caller: &Caller,
        record: &GroupRecord,
        request: v1::PreviewRequest,
    ) -> Result<v1::Event, Problem> {
        let given = [&request.event_id, &request.sample, &request.payload_json];
        if given.iter().filter(|text| !text.is_empty()).count() != 1 {
            return Err(Problem::field(
                "event_id",
                "give one of event_id, sample and payload_json",
            ));
        }
        if !request.event_id.is_empty() {
            return self.kept(caller, record, &request.event_id).await;
        }
        if !request.sample.is_empty() {
            return self.sample(record, &request.sample);
        }
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
        Ok(v1::Event {
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
        })
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

    fn sample(&self, record: &GroupRecord, sample: &str) -> Result<v1::Event, Problem> {
        let group = self.context.view.compiled(record);
        let group = group.map_err(Problem::Refused)?;
        let id = self.new_id()?;
        let now = self.context.clock.now();
        let reported = group
            .report_sample(sample, now, &id.to_string())
            .map_err(|error| match error {
                SampleError::NoSample { .. } => Problem::field("sample", error.to_string()),
                SampleError::CannotSign(why) => Problem::Refused(why),
            })?;
        let mut events = crate::report::as_kept(&self.context, record, *id.as_bytes(), reported);
        let at = events.iter().position(|event| event.r#type == sample);
        if events.is_empty() {
            return Err(Problem::Internal("a sample has no event".to_owned()));
        }
        Ok(events.swap_remove(at.unwrap_or(0)))
    }

    fn new_id(&self) -> Result<uuid::Uuid, Problem> {
        let random: [u8; 10] = random()?;
        let now = self.context.clock.now().0.max(0).unsigned_abs();
        Ok(uuid::Builder::from_unix_timestamp_millis(now, &random).into_uuid())
    }
}

fn shown(
    context: &Context,
    webhook: &v1::Webhook,
    trial: &Trial,
    event: v1::Event,
) -> v1::PreviewResponse {
    let mut answer = v1::PreviewResponse {
        event_id: event.id.clone(),
        event_type: event.r#type.clone(),
        ..Default::default()
    };
    match trial.verdict(&event) {
        Verdict::Matched => answer.matched = true,
        Verdict::Unmatched(reason) => answer.reason = reason,
        Verdict::Held(reason) => {
            (answer.matched, answer.held, answer.reason) = (true, true, reason);
        }
    }
    let deliveries = later::deliveries(context, webhook, &event, None);
    if let Some(delivery) = deliveries.first() {
        answer.order_key.clone_from(&delivery.order_key);
    }
    let record = match trial.map(&event) {
        Ok(record) => record,
        Err(problems) => {
            if answer.matched && !answer.held {
                (answer.held, answer.reason) = (true, in_a_line(&problems));
            }
            answer.problems = problems;
            return answer;
        }
    };
    if let Some(record) = &record {
        answer.records_json = record.to_json();
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
