//! One subscriber: takes deliveries from whichever replica it reaches, acknowledges each, and goes on to the next replica when it is cut off.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookplane_proto::v1;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tonic::transport::Endpoint;
use v1::subscribe_request::Kind;
use v1::subscription_service_client::SubscriptionServiceClient;

const CONNECT: Duration = Duration::from_secs(3);
/// A frozen replica is noticed after two of these.
const PING: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(100);
/// Short: what a dead replica's leases held comes again within a round.
const LEASE_SECONDS: u32 = 10;
const IN_FLIGHT: u32 = 64;

/// By delivery id, how often it was handed out.
type Taken = Arc<Mutex<BTreeMap<String, usize>>>;

/// Why its streams ended, and how often.
type Ends = Arc<Mutex<BTreeMap<String, usize>>>;

/// Ends with this.
pub(super) struct Subscriber {
    taken: Taken,
    ends: Ends,
    _task: AbortOnDropHandle<()>,
}

impl Subscriber {
    /// Has to be called in a runtime.
    pub(super) fn start(replicas: Vec<String>, token: String, webhook: &'static str) -> Self {
        let taken = Taken::default();
        let (notes, ends) = (taken.clone(), Ends::default());
        let why = ends.clone();
        let task = tokio::spawn(async move {
            for replica in replicas.iter().cycle() {
                // However it ends, the next one is tried.
                let end = match take(replica, &token, webhook, &notes).await {
                    Ok(()) => "ended".to_owned(),
                    Err(status) => format!("{:?}: {}", status.code(), status.message()),
                };
                *lock(&why).entry(end).or_default() += 1;
                sleep(AGAIN).await;
            }
        });
        Self {
            taken,
            ends,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(super) fn taken(&self) -> BTreeMap<String, usize> {
        lock(&self.taken).clone()
    }

    pub(super) fn ends(&self) -> BTreeMap<String, usize> {
        lock(&self.ends).clone()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(replica: &str, token: &str, webhook: &str, taken: &Taken) -> Result<(), Status> {
    let broken = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    let channel = Endpoint::from_shared(replica.to_owned())
        .map_err(broken)?
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .keep_alive_while_idle(true)
        .connect()
        .await
        .map_err(broken)?;
    let (say, requests) = mpsc::channel(usize::try_from(IN_FLIGHT).expect("small"));
    let start = Kind::Start(v1::SubscribeStart {
        webhook: webhook.to_owned(),
        max_in_flight: IN_FLIGHT,
        lease_seconds: LEASE_SECONDS,
    });
    let request = |kind| v1::SubscribeRequest { kind: Some(kind) };
    let closed = |_| Status::unavailable("closed");
    say.send(request(start)).await.map_err(closed)?;
    let mut call = tonic::Request::new(ReceiverStream::new(requests));
    let bearer = format!("Bearer {token}").parse();
    call.metadata_mut()
        .insert("authorization", bearer.expect("a token is plain"));
    let mut client = SubscriptionServiceClient::new(channel);
    let opened = timeout(CONNECT, client.subscribe(call)).await;
    let mut leases = opened
        .map_err(|_| Status::deadline_exceeded("no answer"))??
        .into_inner();
    while let Some(lease) = leases.message().await? {
        let id = lease.event.map(|event| event.delivery_id);
        let id = id.unwrap_or_default();
        *lock(taken).entry(id).or_default() += 1;
        let ack = Kind::Ack(v1::Ack {
            lease_token: lease.lease_token,
        });
        say.send(request(ack)).await.map_err(closed)?;
    }
    Ok(())
}
