//! One stream per listener: a full list or what changed, one push at a time, each acknowledged before the next.
//!
//! What piles up while a push is unanswered is coalesced to the newest of each resource. A listener that doesn't answer a push in time is
//! disconnected; it goes on with what it has and comes back. A digest that differs forces one full list; a second difference alarms and
//! backs off. A stream that has come to a random age is told to drain, so that listeners spread over the replicas there are by then. Full
//! lists go to a few listeners at a time; the others wait, or are told to come back.

mod hello;
mod push;
mod session;

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::encoded_config::StreamConfigResponse;
use hookplane_proto::encoded_config::config_service_server::ConfigService;
use hookplane_proto::v1;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::proof::Proofs;
use crate::access::opened;
use crate::context::Context;
use crate::report::identity::Key;

/// For a push to be drained and answered.
const ANSWER: Duration = Duration::from_secs(30);
/// Full lists on their way at a time. Each holds a few chunks of 1 MiB in memory.
const LISTS_AT_ONCE: usize = 16;
/// For a place among those.
const ADMITTED: Duration = Duration::from_secs(10);

/// The service.
pub struct ConfigApi {
    context: Context,
    shared: Shared,
}

/// What all streams share: how long things may take, how many at a time, and the proofs of what is pushed.
#[derive(Clone)]
struct Shared {
    proofs: Arc<Proofs>,
    answer: Duration,
    lists: Arc<Semaphore>,
    admitted: Duration,
}

impl ConfigApi {
    /// Over these parts.
    pub fn new(context: Context) -> Self {
        let proofs = Proofs::new(Key::new(&context.mac_key));
        Self {
            context,
            shared: Shared {
                proofs: Arc::new(proofs),
                answer: ANSWER,
                lists: Arc::new(Semaphore::new(LISTS_AT_ONCE)),
                admitted: ADMITTED,
            },
        }
    }

    /// How long a listener has for each push, to drain and answer it.
    pub fn answer_within(mut self, duration: Duration) -> Self {
        self.shared.answer = duration;
        self
    }

    /// How many full lists may be on their way at a time, and how long one may wait for its turn.
    pub fn lists_at_once(mut self, lists: usize, admitted: Duration) -> Self {
        self.shared.lists = Arc::new(Semaphore::new(lists));
        self.shared.admitted = admitted;
        self
    }
}

#[tonic::async_trait]
impl ConfigService for ConfigApi {
    type StreamConfigStream = ReceiverStream<Result<StreamConfigResponse, Status>>;

    async fn stream_config(
        &self,
        request: Request<Streaming<v1::StreamConfigRequest>>,
    ) -> Result<Response<Self::StreamConfigStream>, Status> {
        // Small: what is behind the push in flight is not worth buffering.
        let (out, responses) = mpsc::channel(4);
        let context = self.context.clone();
        let shared = self.shared.clone();
        let (caller, said) = opened(request)?;
        self.context.view.tasks().spawn(async move {
            if let Err(status) = session::run(&context, &caller, said, &out, shared).await {
                tracing::info!(
                    reason = status.message(),
                    "a listener's config stream ended"
                );
                // The listener may be gone; then there is nobody to tell.
                let _ = out.try_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    async fn list_listeners(
        &self,
        request: Request<v1::ListListenersRequest>,
    ) -> Result<Response<v1::ListListenersResponse>, Status> {
        let org = opened(request)?.0.narrow(None)?;
        let view = &self.context.view;
        let fleet = &self.context.fleet;
        let listeners =
            fleet.listeners(org.as_deref(), view.revision(), |scope| view.digest(scope));
        Ok(Response::new(v1::ListListenersResponse { listeners }))
    }
}
