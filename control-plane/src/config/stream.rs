//! One stream per listener: a full list or what changed, one push at a time, each acknowledged before the next.
//!
//! What piles up while a push is unanswered is coalesced to the newest of each resource. A listener that doesn't answer a push in time is
//! disconnected; it goes on with what it has and comes back. A digest that differs forces one full list; a second difference alarms and
//! backs off.

mod push;
mod session;

use std::time::Duration;

use hookplane_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::access::opened;
use crate::context::Context;

/// The service.
pub struct ConfigApi {
    context: Context,
    answer_within: Duration,
}

impl ConfigApi {
    /// Over these parts.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            answer_within: session::PUSH,
        }
    }

    /// How long a listener has for each push, to drain and answer it.
    pub fn answer_within(mut self, duration: Duration) -> Self {
        self.answer_within = duration;
        self
    }
}

#[tonic::async_trait]
impl v1::config_service_server::ConfigService for ConfigApi {
    type StreamConfigStream = ReceiverStream<Result<v1::StreamConfigResponse, Status>>;

    async fn stream_config(
        &self,
        request: Request<Streaming<v1::StreamConfigRequest>>,
    ) -> Result<Response<Self::StreamConfigStream>, Status> {
        // Small: what is behind the push in flight is not worth buffering.
        let (out, responses) = mpsc::channel(4);
        let context = self.context.clone();
        let within = self.answer_within;
        let (caller, said) = opened(request)?;
        self.context.view.tasks().spawn(async move {
            if let Err(status) = session::run(&context, &caller, said, &out, within).await {
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
        let revision = self.context.view.revision();
        let listeners = self.context.fleet.listeners(org.as_deref(), revision);
        Ok(Response::new(v1::ListListenersResponse { listeners }))
    }
}
