//! Events and deliveries as they are kept, the tail, replays, refusals, and signed samples.

use std::collections::BTreeSet;

use hookplane_proto::v1;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::activity;
use super::event;
use super::narrow::{Narrow, shown};
use super::replay;
use super::samples;
use super::scope::Scope;
use super::status::Problem;
use super::tail;
use super::turns::Turns;
use crate::access::{Caller, opened};
use crate::aside;
use crate::context::Context;
use crate::log::{Cursor, LogError, NoteKind, NotesOf, Selection};

/// A page that asks for no size.
const PAGE: usize = 50;
/// The largest page.
const PAGE_MAX: usize = 1_000;
/// A page ends before it is larger, unless its first event is: below the 4 MiB that a gRPC peer takes unless told otherwise.
const PAGE_BYTES: usize = 3 * 1024 * 1024;
/// Events read from the log at once, bodies and all.
const STEP: usize = 16;
/// Deliveries of one replay.
const REPLAY_MAX: usize = 1_000;

/// The service.
pub struct EventApi {
    context: Context,
    replays: Turns,
    reads: Turns,
}

impl EventApi {
    /// Over these parts.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            replays: replay::turns(),
            reads: event::reads(),
        }
    }

    async fn selection(&self, caller: &Caller, parent: &str) -> Result<Selection, Problem> {
        Scope::parse(caller, "parent", parent)?
            .selection(&self.context, parent)
            .await
    }

    /// A delivery that the caller may see.
    async fn delivery(&self, caller: &Caller, id: &str) -> Result<v1::Delivery, Problem> {
        let delivery = self.context.log.delivery(id).await?;
        let made = delivery
            .create_time
            .as_ref()
            .map(hookplane_rules::time::from_wire);
        if caller.sees(&delivery.org, made.unwrap_or_default()) {
            Ok(delivery)
        } else {
            Err(LogError::NotFound(format!("delivery {id}")).into())
        }
    }
}

#[tonic::async_trait]
impl v1::event_service_server::EventService for EventApi {
    type TailStream = ReceiverStream<Result<v1::TailResponse, Status>>;
    type ReplayStream = ReceiverStream<Result<v1::ReplayResponse, Status>>;

    async fn replay(
        &self,
        request: Request<v1::ReplayRequest>,
    ) -> Result<Response<Self::ReplayStream>, Status> {
        let (caller, request) = opened(request)?;
        let progress = replay::start(&self.context, &self.replays, &caller, request).await?;
        Ok(Response::new(progress))
    }

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<v1::ListEventsResponse>, Status> {
        let (caller, request) = opened(request)?;
        let size = page_size(request.page_size);
        let mut before = cursor(&request.page_token)?;
        let mut selection = self.selection(&caller, &request.parent).await?;
        let narrow = Narrow {
            event_type: request.r#type,
            since: request.since,
            until: request.until,
            text: request.text,
            ..Narrow::default()
        };
        narrow.apply(&mut selection)?;
        selection.unmatched = request.unmatched;
        let mut page = v1::ListEventsResponse::default();
        let mut bytes = 0;
        'page: while page.events.len() < size {
            let limit = STEP.min(size - page.events.len());
            let read = self
                .context
                .log
                .events(&selection, before, limit)
                .await
                .map_err(Problem::from)?;
            let last = read.len() < limit;
            for (at, event) in read {
                bytes += event.encoded_len();
                if bytes > PAGE_BYTES && !page.events.is_empty() {
                    page.next_page_token = token(before);
                    break 'page;
                }
                before = Some(at);
                page.events.push(event);
            }
            if last {
                return Ok(Response::new(page));
            }
        }
        page.next_page_token = token(before);
        Ok(Response::new(page))
    }

    async fn get_event(
        &self,
        request: Request<v1::GetEventRequest>,
    ) -> Result<Response<v1::Event>, Status> {
        let (caller, request) = opened(request)?;
        let id = id_of("name", "events/", &request.name)?;
        let event = event::get(&self.context, &self.reads, &caller, id, &request).await?;
        Ok(Response::new(event))
    }

    async fn list_deliveries(
        &self,
        request: Request<v1::ListDeliveriesRequest>,
    ) -> Result<Response<v1::ListDeliveriesResponse>, Status> {
        let (caller, request) = opened(request)?;
        let size = page_size(request.page_size);
        let before = cursor(&request.page_token)?;
        let status = v1::DeliveryStatus::try_from(request.status)
            .map_err(|_| Problem::field("status", "unknown"))?;
        let mut selection = self.selection(&caller, &request.parent).await?;
        selection.status = Some(status).filter(|s| *s != v1::DeliveryStatus::Unspecified);
        selection.event_id = Some(request.event_id).filter(|id| !id.is_empty());
        let narrow = Narrow {
            event_type: request.r#type,
            since: request.since,
            until: request.until,
            text: request.text,
            destination: request.destination,
        };
        narrow.apply(&mut selection)?;
        let read = self
            .context
            .log
            .deliveries(&selection, before, size)
            .await
            .map_err(Problem::from)?;
        let next_page_token = if read.len() < size {
            String::new()
        } else {
            token(read.last().map(|(at, _)| *at))
        };
        Ok(Response::new(v1::ListDeliveriesResponse {
            deliveries: read.into_iter().map(|(_, one)| shown(one)).collect(),
            next_page_token,
        }))
    }

    async fn get_delivery(
        &self,
        request: Request<v1::GetDeliveryRequest>,
    ) -> Result<Response<v1::Delivery>, Status> {
        let (caller, v1::GetDeliveryRequest { name }) = opened(request)?;
        let id = id_of("name", "deliveries/", &name)?;
        Ok(Response::new(shown(self.delivery(&caller, id).await?)))
    }

    async fn tail(
        &self,
        request: Request<v1::TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let (caller, request) = opened(request)?;
        tail::check(&request)?;
        let selection = self.selection(&caller, &request.parent).await?;
        let newest = self.context.log.newest();
        let reach = self.context.log.reach().await.map_err(Problem::from)?;
        let (out, lines) = mpsc::channel(tail::AHEAD);
        self.context.view.tasks().spawn(tail::run(
            self.context.clone(),
            &aside::TRIALS,
            selection,
            request,
            (newest, reach),
            out,
        ));
        Ok(Response::new(ReceiverStream::new(lines)))
    }

    async fn replay_deliveries(
        &self,
        request: Request<v1::ReplayDeliveriesRequest>,
    ) -> Result<Response<v1::ReplayDeliveriesResponse>, Status> {
        let (caller, request) = opened(request)?;
        let ids = request.delivery_ids;
        if ids.is_empty() || ids.len() > REPLAY_MAX {
            return Err(Problem::field(
                "delivery_ids",
                format!("1 to {REPLAY_MAX} can be replayed at once"),
            )
            .into());
        }
        let ids: Vec<String> = ids
            .into_iter()
            .map(|id| {
                id.strip_prefix("deliveries/")
                    .map(str::to_owned)
                    .unwrap_or(id)
            })
            .collect();
        let mapping = replay::mapping(request.mapping)?;
        // All of them first: a list with one that isn't there replays nothing.
        let mut put_back = Vec::with_capacity(ids.len());
        let mut webhooks = BTreeSet::new();
        for id in &ids {
            let delivery = self.delivery(&caller, id).await?;
            if replay::webhook_of(&self.context, &delivery).is_none() {
                return Err(Problem::Refused(format!(
                    "the webhook of delivery {id} is gone: leave it out, and replay the others"
                ))
                .into());
            }
            if replay::is_for_nobody(&self.context, &delivery) {
                return Err(replay::refused_for_nobody(&delivery).into());
            }
            put_back.push(replay::put_back(&self.context, &delivery, mapping));
            webhooks.insert(delivery.webhook_uid);
        }
        let replayed = self
            .context
            .log
            .replay(&put_back)
            .await
            .map_err(Problem::from)?;
        for uid in &webhooks {
            replay::drop_if_gone(&self.context, uid);
        }
        Ok(Response::new(v1::ReplayDeliveriesResponse { replayed }))
    }

    async fn list_refusals(
        &self,
        request: Request<v1::ListRefusalsRequest>,
    ) -> Result<Response<v1::ListRefusalsResponse>, Status> {
        let (caller, request) = opened(request)?;
        let scope = Scope::parse(&caller, "parent", &request.parent)?;
        if scope.webhook.is_some() {
            return Err(Problem::field("parent", "a refusal has no webhook").into());
        }
        let limit = page_size(request.page_size);
        let kind = if request.not_kept {
            NoteKind::NotKept
        } else {
            NoteKind::Refused
        };
        let record = scope.record(&self.context, &request.parent).await?;
        let metadata = record.as_ref().and_then(|r| r.group.metadata.as_ref());
        let of = match (metadata, &scope.org) {
            (Some(metadata), _) => NotesOf::Group(&metadata.uid),
            (None, Some(org)) => NotesOf::Org {
                org,
                since: scope.since,
            },
            (None, None) => NotesOf::All,
        };
        let noted = self.context.log.notes().notes(kind, of, limit).await;
        let refusals = noted.map_err(Problem::from)?;
        Ok(Response::new(v1::ListRefusalsResponse { refusals }))
    }

    async fn get_activity(
        &self,
        request: Request<v1::GetActivityRequest>,
    ) -> Result<Response<v1::GetActivityResponse>, Status> {
        let (caller, request) = opened(request)?;
        let answer = activity::get(&self.context, &caller, request).await?;
        Ok(Response::new(answer))
    }

    async fn sign_sample(
        &self,
        request: Request<v1::SignSampleRequest>,
    ) -> Result<Response<v1::SignSampleResponse>, Status> {
        let (caller, request) = opened(request)?;
        let signed = samples::sign(&self.context, &caller, request).await?;
        Ok(Response::new(signed))
    }
}

fn page_size(asked: u32) -> usize {
    match asked {
        0 => PAGE,
        asked => (asked as usize).min(PAGE_MAX),
    }
}

fn token(cursor: Option<Cursor>) -> String {
    cursor.map_or_else(String::new, |Cursor(at)| format!("{at:x}"))
}

fn cursor(token: &str) -> Result<Option<Cursor>, Problem> {
    if token.is_empty() {
        return Ok(None);
    }
    u64::from_str_radix(token, 16)
        .map(|at| Some(Cursor(at)))
        .map_err(|_| Problem::field("page_token", "not one that this API gave"))
}

fn id_of<'a>(field: &str, prefix: &str, name: &'a str) -> Result<&'a str, Problem> {
    name.strip_prefix(prefix)
        .filter(|id| !id.is_empty() && !id.contains('/'))
        .ok_or_else(|| Problem::field(field, format!("expected {prefix}ID")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_comes_back_as_the_cursor_it_was() {
        let at = Some(Cursor(0xdead_beef));
        assert_eq!(cursor(&token(at)).unwrap(), at);
        assert!(cursor("no").is_err());
    }

    #[test]
    fn a_name_without_its_collection_is_refused() {
        assert_eq!(id_of("name", "events/", "events/1.0").unwrap(), "1.0");
        assert!(id_of("name", "events/", "1.0").is_err());
        assert!(id_of("name", "events/", "events/").is_err());
    }
}
