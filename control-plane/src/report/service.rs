//! The stream itself: many batches in flight, answers in any order, bounded by credit, drained at shutdown and at a random age.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookplane_proto::bounded_report::report_service_server::ReportService;
use hookplane_proto::v1;
use hookplane_proto::v1::report_request::Kind as Said;
use hookplane_proto::v1::report_response::Kind;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::batch;
use super::credit::{CREDIT_BYTES, CREDIT_CALLBACKS, Credit, Grant, Member};
use super::news::{self, Noted};
use crate::access::{Caller, opened};
use crate::config::{ListenerScope, RunId, Sum, View};
use crate::context::Context;
use crate::keys;

/// For a listener's hello.
const HELLO: Duration = Duration::from_secs(10);
/// What a listener may say of itself, in bytes each.
const NAME_BYTES: usize = 256;
/// For an answer to be read.
const READ: Duration = Duration::from_secs(10);
/// From a drain until nothing more is read: for a listener to move over. Within the server's grace.
const DRAIN: Duration = Duration::from_secs(5);
/// One message: a body of 25 MiB with its items, and its head.
pub const MAX_MESSAGE_BYTES: usize = 56 * 1024 * 1024;
/// Answers that wait to be read.
const ANSWERS: usize = 64;

/// The service. Mount it with [`MAX_MESSAGE_BYTES`] as the largest message it decodes.
pub struct ReportApi {
    shared: Arc<Shared>,
}

struct Shared {
    context: Context,
    /// Of this process. Empty if there are no random bytes; then listeners can't tell it from another.
    replica: Bytes,
    credit: Arc<Credit>,
    noted: Noted,
}

impl ReportApi {
    /// Over these parts.
    pub fn new(context: Context) -> Self {
        let mut replica = [0; 16];
        let replica = match getrandom::fill(&mut replica) {
            Ok(()) => Bytes::copy_from_slice(&replica),
            Err(_) => Bytes::new(),
        };
        Self {
            shared: Arc::new(Shared {
                context,
                replica,
                credit: Credit::new(),
                noted: Noted::default(),
            }),
        }
    }
}

#[tonic::async_trait]
impl ReportService for ReportApi {
    type ReportStream = ReceiverStream<Result<v1::ReportResponse, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<v1::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let (out, responses) = mpsc::channel(ANSWERS);
        let shared = self.shared.clone();
        let (caller, said) = opened(request)?;
        self.shared.context.view.tasks().spawn(async move {
            if let Err(status) = run(&shared, &caller, said, &out).await {
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
    shared: &Arc<Shared>,
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
    bounded(&hello)?;
    let scope = Arc::new(caller.listener_scope(&hello.pool)?);
    let (member, mut grants) = shared.credit.join(scope.org.as_ref());
    let Grant { callbacks, bytes } = *grants.borrow_and_update();
    let welcome = v1::ReportWelcome {
        credit_callbacks: callbacks,
        credit_bytes: bytes.into(),
        replica: shared.replica.clone(),
    };
    send(out, Kind::Welcome(welcome)).await?;

    let mut stream = Stream {
        shared,
        out,
        run: run_of(&scope, &hello),
        counted: RunId::of(&scope, &hello.listener, &hello.boot),
        hello,
        scope,
        member,
        callbacks: Arc::new(Semaphore::new(CREDIT_CALLBACKS as usize)),
        bytes: Arc::new(Semaphore::new(CREDIT_BYTES as usize)),
        batches: JoinSet::new(),
        told_plan: 0,
    };
    let ended = stream.serve(&mut said, &mut grants).await;
    // What was taken is answered: each batch has its own deadline.
    while let Some(answered) = stream.batches.join_next().await {
        told(answered);
    }
    ended
}

struct Stream<'a> {
    shared: &'a Arc<Shared>,
    out: &'a Out,
    hello: v1::ReportHello,
    /// See [`run_of`].
    run: String,
    /// The same run, as the fleet counts what it hands over.
    counted: RunId,
    scope: Arc<ListenerScope>,
    member: Member,
    /// What a listener sends beyond the largest credit stays in its socket.
    callbacks: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    batches: JoinSet<()>,
    told_plan: u64,
}

impl Stream<'_> {
    async fn serve(
        &mut self,
        said: &mut Streaming<v1::ReportRequest>,
        grants: &mut watch::Receiver<Grant>,
    ) -> Result<(), Status> {
        let view = &self.shared.context.view;
        let mut offers = view.offers();
        let of_age = Instant::now() + self.shared.context.age_of_a_stream();
        let mut end_at = None;
        self.tell_plan().await?;
        loop {
            while let Some(answered) = self.batches.try_join_next() {
                told(answered);
            }
            tokio::select! {
                () = leaving(view, of_age), if end_at.is_none() => {
                    // Risk 21: told, then ended; never the other way round.
                    let after_seconds = DRAIN.as_secs() as u32;
                    send(self.out, Kind::Drain(v1::ReportDrain { after_seconds })).await?;
                    end_at = Some(Instant::now() + DRAIN);
                }
                () = crate::due::at(end_at) => return Ok(()),
                request = said.message() => match request?.map(|request| request.kind) {
                    Some(kind) => self.take(kind).await?,
                    None => return Ok(()),
                },
                changed = grants.changed() => {
                    changed.map_err(|_| Status::internal("credit is gone"))?;
                    let Grant { callbacks, bytes } = *grants.borrow_and_update();
                    let credit = v1::ReportCredit { callbacks, bytes: bytes.into() };
                    send(self.out, Kind::Credit(credit)).await?;
                }
                changed = offers.changed() => {
                    changed.map_err(|_| Status::unavailable("the view has ended"))?;
                    self.tell_plan().await?;
                }
            }
        }
    }

    /// Risk 45: a listener whose config stream is late learns here that its plan is old.
    async fn tell_plan(&mut self) -> Result<(), Status> {
        let revision = self.shared.context.view.changed_at(&self.scope);
        if revision == self.told_plan {
            return Ok(());
        }
        self.told_plan = revision;
        send(self.out, Kind::Plan(v1::ReportPlan { revision })).await
    }

    async fn take(&mut self, said: Option<Said>) -> Result<(), Status> {
        let context = &self.shared.context;
        match said {
            Some(Said::Batch(batch)) => self.take_batch(batch).await,
            Some(Said::Counters(counters)) => {
                let sequence = counters.sequence;
                if self.shared.noted.is_new(&self.run, sequence) {
                    let told = told_of(&counters);
                    context.fleet.handed_over(self.counted, told);
                    news::count(context, &self.scope, counters);
                }
                self.noted(sequence).await
            }
            Some(Said::Refusals(refusals)) => {
                let sequence = refusals.sequence;
                if self.shared.noted.is_new(&self.run, sequence) {
                    news::remember(context, &self.scope, &self.hello.listener, refusals);
                }
                self.noted(sequence).await
            }
            Some(Said::Hello(_)) => Err(Status::invalid_argument("hello came twice")),
            // From a newer listener.
            None => Ok(()),
        }
    }

    async fn noted(&self, sequence: u64) -> Result<(), Status> {
        if sequence == 0 {
            return Ok(());
        }
        send(self.out, Kind::Noted(v1::ReportNoted { sequence })).await
    }

    async fn take_batch(&mut self, batch: v1::ReportBatch) -> Result<(), Status> {
        let gone = || Status::internal("credit is gone");
        let (count, size) = (batch.callbacks.len(), batch::size(&batch));
        if count > CREDIT_CALLBACKS as usize {
            return Err(Status::invalid_argument(format!(
                "a batch of {count} callbacks: at most {CREDIT_CALLBACKS} are taken"
            )));
        }
        let callbacks = (count as u32).clamp(1, CREDIT_CALLBACKS);
        let bytes = (size as u32).clamp(1, CREDIT_BYTES);
        // None of them is ever closed.
        let (Ok(callbacks), Ok(bytes), Some(taken)) = (
            self.callbacks.clone().acquire_many_owned(callbacks).await,
            self.bytes.clone().acquire_many_owned(bytes).await,
            self.member.take(count, size).await,
        ) else {
            return Err(gone());
        };
        let (shared, scope, out) = (self.shared.clone(), self.scope.clone(), self.out.clone());
        let run = self.counted;
        self.batches.spawn(async move {
            let answer = batch::answers(&shared.context, &scope, &shared.credit, batch).await;
            shared.context.fleet.handed_over(run, batch::taken(&answer));
            drop((callbacks, bytes, taken));
            // A listener that is gone sends the batch again elsewhere.
            let _ = send(&out, Kind::Batch(answer)).await;
        });
        Ok(())
    }
}

/// A batch without an answer goes to another replica when the listener has waited for a third of its budget.
fn told(answered: Result<(), tokio::task::JoinError>) {
    if let Err(error) = answered {
        tracing::error!(%error, "keeping a batch panicked: please report this as a bug");
    }
}

fn bounded(hello: &v1::ReportHello) -> Result<(), Status> {
    let texts = [&hello.listener, &hello.boot, &hello.pool];
    if texts.iter().any(|text| text.len() > NAME_BYTES) {
        return Err(Status::invalid_argument(format!(
            "a text of hello is longer than {NAME_BYTES} bytes"
        )));
    }
    Ok(())
}

/// What became no batch: decided by the listener alone.
fn told_of(counters: &v1::ReportCounters) -> Sum {
    let mut sum = Sum::default();
    for group in &counters.groups {
        let not_kept = group.not_registered.saturating_add(group.not_matched);
        sum.accepted = sum.accepted.saturating_add(not_kept);
        sum.refused = sum.refused.saturating_add(group.refused);
    }
    sum
}

/// Names a run of a listener among all that report. With its scope: what one org's listener says of itself can't be taken for another's word.
fn run_of(scope: &ListenerScope, hello: &v1::ReportHello) -> String {
    let org = scope.org.as_deref().unwrap_or(keys::INSTALLATION_WIDE);
    format!("{org}/{}/{}/{}", scope.pool, hello.listener, hello.boot)
}

/// At shutdown, or when the stream has come of age.
async fn leaving(view: &View, of_age: Instant) {
    tokio::select! {
        () = view.shutdown().cancelled() => {}
        () = tokio::time::sleep_until(of_age) => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    // Promise 8: who numbers its rounds like another's listener would have that one's counts left out.
    #[test]
    fn a_run_of_one_orgs_listener_is_no_run_of_anothers() {
        let hello = v1::ReportHello {
            listener: "l".to_owned(),
            boot: "b".to_owned(),
            ..Default::default()
        };
        let run = |org| run_of(&ListenerScope::new(org, "edge"), &hello);
        assert_eq!(run(Some("acme")), run(Some("acme")));
        assert_ne!(run(Some("acme")), run(Some("other")));
        assert_ne!(run(Some("acme")), run(None));
    }
}
