//! The stream itself: many batches in flight, answers in any order, bounded by credit.

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_proto::v1::report_request::Kind as Said;
use hookplane_proto::v1::report_response::Kind;
use prost::Message;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{append, not_kept};
use crate::access::{Caller, opened};
use crate::config::ListenerScope;
use crate::context::Context;

/// For a listener's hello.
const HELLO: Duration = Duration::from_secs(10);
/// For an answer to be read.
const READ: Duration = Duration::from_secs(10);
/// Callbacks of one stream in flight.
const CREDIT_CALLBACKS: u32 = 4_096;
/// Bytes of one stream in flight. At least one message of the largest size.
const CREDIT_BYTES: u32 = 64 * 1024 * 1024;
/// One message: a body of 25 MiB with its items, and its head.
pub const MAX_MESSAGE_BYTES: usize = 56 * 1024 * 1024;
/// Answers that wait to be read.
const ANSWERS: usize = 64;
/// Refusals of one message.
const MAX_REFUSALS: usize = 1_000;

/// The service. Mount it with [`MAX_MESSAGE_BYTES`] as the largest message it decodes.
pub struct ReportApi {
    context: Context,
}

impl ReportApi {
    /// Over these parts.
    pub fn new(context: Context) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl v1::report_service_server::ReportService for ReportApi {
    type ReportStream = ReceiverStream<Result<v1::ReportResponse, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<v1::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let (out, responses) = mpsc::channel(ANSWERS);
        let context = self.context.clone();
        let (caller, said) = opened(request)?;
        self.context.view.tasks().spawn(async move {
            if let Err(status) = run(&context, &caller, said, &out).await {
                tracing::info!(
                    reason = status.message(),
                    "a listener's report stream ended"
                );
                // The listener may be gone; then there is nobody to tell.
                let _ = out.try_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}

type Out = mpsc::Sender<Result<v1::ReportResponse, Status>>;

async fn run(
    context: &Context,
    caller: &Caller,
    mut said: Streaming<v1::ReportRequest>,
    out: &Out,
) -> Result<(), Status> {
    let first = tokio::time::timeout(HELLO, said.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello came"))??;
    let Some(Said::Hello(hello)) = first.and_then(|r| r.kind) else {
        return Err(Status::invalid_argument("the first request must be hello"));
    };
    let scope = Arc::new(caller.listener_scope(&hello.pool)?);
    send(
        out,
        Kind::Welcome(v1::ReportWelcome {
            credit_callbacks: CREDIT_CALLBACKS,
            credit_bytes: CREDIT_BYTES.into(),
        }),
    )
    .await?;

    // What a listener sends beyond its credit stays in its socket.
    let callbacks = Arc::new(Semaphore::new(CREDIT_CALLBACKS as usize));
    let bytes = Arc::new(Semaphore::new(CREDIT_BYTES as usize));
    let mut batches = JoinSet::new();
    let ended = loop {
        while batches.try_join_next().is_some() {}
        let request = tokio::select! {
            () = context.view.shutdown().cancelled() => break Ok(()),
            request = said.message() => request,
        };
        match request.map(|r| r.and_then(|r| r.kind)) {
            Err(status) => break Err(status),
            Ok(None) => break Ok(()),
            Ok(Some(Said::Batch(batch))) => {
                let count = (batch.callbacks.len() as u32).clamp(1, CREDIT_CALLBACKS);
                let size = (batch.encoded_len() as u32).clamp(1, CREDIT_BYTES);
                // Neither semaphore is ever closed.
                let (Ok(count), Ok(size)) = (
                    callbacks.clone().acquire_many_owned(count).await,
                    bytes.clone().acquire_many_owned(size).await,
                ) else {
                    break Err(Status::internal("credit is gone"));
                };
                let (context, scope, out) = (context.clone(), scope.clone(), out.clone());
                batches.spawn(async move {
                    let answer = answers(context, scope, batch).await;
                    drop((count, size));
                    // A listener that is gone sends the batch again elsewhere.
                    let _ = send(&out, Kind::Batch(answer)).await;
                });
            }
            Ok(Some(Said::Counters(counters))) => count(context, &scope, counters),
            Ok(Some(Said::Refusals(refusals))) => {
                remember(context, &scope, &hello.listener, refusals)
            }
            Ok(Some(Said::Hello(_))) => {
                break Err(Status::invalid_argument("hello came twice"));
            }
        }
    };
    // What was taken is answered: each batch has its own deadline.
    while batches.join_next().await.is_some() {}
    ended
}

async fn answers(
    context: Context,
    scope: Arc<ListenerScope>,
    batch: v1::ReportBatch,
) -> v1::ReportBatchAnswer {
    let (count, began) = (batch.callbacks.len(), Instant::now());
    let mut callbacks = Vec::with_capacity(count);
    let mut waiting = batch.callbacks.into_iter();
    if count == 1 {
        if let Some(one) = waiting.next() {
            callbacks.push(append::answer(&context, &scope, one).await);
        }
    } else {
        // At the same time, so that they share a commit.
        let mut tasks: Vec<_> = waiting
            .map(|one| {
                let (context, scope) = (context.clone(), scope.clone());
                tokio::spawn(async move { append::answer(&context, &scope, one).await })
            })
            .collect();
        for task in &mut tasks {
            callbacks.push(task.await.unwrap_or_else(|error| {
                tracing::error!(%error, "keeping a callback failed");
                append::answered(v1::AnswerKind::RetryLater, "keeping it failed")
            }));
        }
    }
    for answer in &callbacks {
        context.metrics.answered(answer.kind());
    }
    context.metrics.batch(began.elapsed());
    v1::ReportBatchAnswer {
        batch_id: batch.batch_id,
        callbacks,
    }
}

async fn send(out: &Out, kind: Kind) -> Result<(), Status> {
    let response = v1::ReportResponse { kind: Some(kind) };
    match tokio::time::timeout(READ, out.send(Ok(response))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Status::cancelled("the listener is gone")),
        Err(_) => Err(Status::deadline_exceeded("answers are not read")),
    }
}

fn count(context: &Context, scope: &ListenerScope, counters: v1::ReportCounters) {
    for group in counters.groups {
        let Some(record) = context.view.group(&group.group_uid) else {
            continue;
        };
        // Promise 8: a listener speaks for the groups of its scope.
        if scope.covers(&record.group) {
            let exists = |uid: &str| context.view.group(uid).is_some();
            context.fleet.counts().add(group, exists);
        }
    }
}

fn remember(
    context: &Context,
    scope: &ListenerScope,
    listener: &str,
    refusals: v1::ReportRefusals,
) {
    // Promise 8: a listener speaks for the groups of its scope. A name used again is another group, so the uid tells.
    let of = |refusal: &v1::Refusal| {
        context
            .view
            .group(&refusal.group_uid)
            .filter(|record| scope.covers(&record.group))
    };
    for mut refusal in refusals.refusals.into_iter().take(MAX_REFUSALS) {
        refusal.listener = listener.to_owned();
        if refusal.group_uid.is_empty() {
            (refusal.org, refusal.group) = Default::default();
            context.fleet.refusals().push("", refusal);
        } else if let Some(record) = of(&refusal) {
            let metadata = record.group.metadata.clone().unwrap_or_default();
            (refusal.org, refusal.group) = (metadata.org, metadata.name);
            context.fleet.refusals().push(&metadata.uid, refusal);
        }
    }
    for mut example in refusals.not_kept.into_iter().take(MAX_REFUSALS) {
        example.listener = listener.to_owned();
        if let Some(record) = of(&example) {
            not_kept::remember(context, &record, example);
        }
    }
}
