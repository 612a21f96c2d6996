//! Deliveries put back in numbers, or made of events that were kept before their webhook was there, at a bounded rate.
//!
//! ```text
//!   request ─▶ Order ─▶ selected (pages of deliveries, oldest first) ─┐ pace
//!                     └ feed     (the tail up to now, matched again) ──┴─▶ log ── progress ─▶ caller
//! ```
//!
//! - What is meant is fixed at the start: nothing is looked at twice, whatever becomes of it meanwhile.
//! - It ends with the caller, and where it ended is told by its last message. Begun again, it does the rest.

mod feed;
mod selected;

use std::time::Duration;

use hookplane_proto::v1;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::narrow::Narrow;
use super::scope::Scope;
use super::status::Problem;
use super::turns::Turns;
use crate::access::Caller;
use crate::context::Context;
use crate::dispatch::unsubscribed::has_subscribers;
use crate::log::{PutBack, Selection};

/// Without a word from the caller, deliveries a second.
const RATE: u32 = 100;
const MAX_RATE: u32 = 10_000;
/// Events or deliveries that are only looked at, for each that would be delivered.
const LOOKS: u32 = 10;
/// Under way at a time, in all and of one org.
const AT_ONCE: usize = 64;
const OF_ONE_ORG: usize = 2;
/// Between two messages, so that there is one each second at least.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

type Answers = ReceiverStream<Result<v1::ReplayResponse, Status>>;

/// What is to be done.
struct Order {
    context: Context,
    selection: Selection,
    mapping: v1::ReplayMapping,
    pace: Pace,
    /// Of what is looked at.
    looks: Pace,
    dry_run: bool,
    max: u64,
    progress: watch::Sender<v1::ReplayResponse>,
}

/// Those that are under way.
pub(super) fn turns() -> Turns {
    Turns::new(AT_ONCE, OF_ONE_ORG)
}

/// Checks the request, and begins.
pub(super) async fn start(
    context: &Context,
    turns: &Turns,
    caller: &Caller,
    request: v1::ReplayRequest,
) -> Result<Answers, Problem> {
    let scope = Scope::parse(caller, "parent", &request.parent)?;
    let status = status(&request)?;
    let mapping = mapping(request.mapping)?;
    let rate = match request.rate_per_second {
        0 => RATE,
        rate if rate <= MAX_RATE => rate,
        _ => {
            let message = format!("at most {MAX_RATE} a second");
            return Err(Problem::field("rate_per_second", message));
        }
    };
    if request.feed && scope.webhook.is_none() {
        return Err(Problem::field(
            "parent",
            "names the webhook that is fed: orgs/ORG/groups/GROUP/webhooks/WEBHOOK",
        ));
    }
    let mut selection = scope.selection(context, &request.parent).await?;
    let narrow = Narrow {
        event_type: request.r#type,
        since: request.since,
        until: request.until,
        text: request.text,
        destination: request.destination,
    };
    narrow.apply(&mut selection)?;
    selection.status = status;
    let max = match request.max {
        0 => u64::MAX,
        max => max,
    };
    let (progress, so_far) = watch::channel(v1::ReplayResponse::default());
    let order = Order {
        context: context.clone(),
        selection,
        mapping,
        pace: Pace::new(rate),
        looks: Pace::new(rate * LOOKS),
        dry_run: request.dry_run,
        max,
        progress,
    };
    // Of no org: one that may see all of them.
    let turn = turns
        .take(order.selection.org.as_deref().unwrap_or_default())
        .await?;
    // The audit's line.
    tracing::info!(
        token = caller.id(),
        parent = request.parent,
        feed = request.feed,
        dry_run = request.dry_run,
        "a replay begins"
    );
    let (out, answers) = mpsc::channel(4);
    let feeds = if request.feed {
        let newest = context.log.newest();
        Some((newest, context.log.reach().await?))
    } else {
        None
    };
    let of_task = context.clone();
    context.view.tasks().spawn(async move {
        let _turn = turn;
        let work = async move {
            match feeds {
                Some(until) => feed::run(order, until).await,
                None => selected::run(order).await,
            }
        };
        tell(of_task.view.shutdown(), work, so_far, out).await;
    });
    Ok(ReceiverStream::new(answers))
}

/// Does the work while somebody listens, and says how far it is.
async fn tell(
    shutdown: &CancellationToken,
    work: impl Future<Output = Result<(), Problem>>,
    so_far: watch::Receiver<v1::ReplayResponse>,
    out: mpsc::Sender<Result<v1::ReplayResponse, Status>>,
) {
    let mut every = tokio::time::interval(PROGRESS_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(work);
    let ended = loop {
        tokio::select! {
            () = shutdown.cancelled() => break Err(Status::unavailable(
                "the control plane shuts down: begin again, and it does the rest",
            )),
            () = out.closed() => return,
            ended = &mut work => break ended.map_err(Status::from),
            _ = every.tick() => {
                // Whoever reads slowly misses some, and holds nothing up.
                let _ = out.try_send(Ok(*so_far.borrow()));
            }
        }
    };
    let last = ended.map(|()| v1::ReplayResponse {
        done: true,
        ..*so_far.borrow()
    });
    tokio::select! {
        () = shutdown.cancelled() => {
            let _ = out.try_send(last);
        }
        // A caller that has left is told nothing.
        _ = out.send(last.clone()) => {}
    }
}

/// None for a feed.
fn status(request: &v1::ReplayRequest) -> Result<Option<v1::DeliveryStatus>, Problem> {
    use v1::DeliveryStatus::{Dead, Delivered, Dropped, Held, Unspecified};
    let status = v1::DeliveryStatus::try_from(request.status);
    match status {
        Ok(Unspecified) if request.feed => Ok(None),
        Ok(_) if request.feed => Err(Problem::field(
            "status",
            "a feed is of events, which have none",
        )),
        Ok(Unspecified) => Ok(Some(Dead)),
        Ok(status @ (Dead | Held | Dropped | Delivered)) => Ok(Some(status)),
        _ => Err(Problem::field(
            "status",
            "can be dead, held, dropped or delivered: what is pending or leased is on its way",
        )),
    }
}

/// Which version of the mapping is meant.
pub(super) fn mapping(asked: i32) -> Result<v1::ReplayMapping, Problem> {
    match v1::ReplayMapping::try_from(asked) {
        Ok(v1::ReplayMapping::Then) => Ok(v1::ReplayMapping::Then),
        Ok(_) => Ok(v1::ReplayMapping::Now),
        Err(_) => Err(Problem::field("mapping", "unknown")),
    }
}

/// A delivery for the version that is meant. One whose webhook is gone keeps what it has.
pub(super) fn put_back(
    context: &Context,
    delivery: &v1::Delivery,
    mapping: v1::ReplayMapping,
) -> PutBack {
    // That which maps new events; 0: they are handed over as they come.
    let now = || {
        let webhook = webhook_of(context, delivery)?;
        Some(webhook.status.as_ref().map_or(0, |s| s.mapping_version))
    };
    PutBack {
        delivery_id: delivery.id.clone(),
        mapping_version: match mapping {
            v1::ReplayMapping::Then => None,
            _ => now(),
        },
    }
}

/// The webhook of a delivery, unless it was deleted since.
pub(super) fn webhook_of(
    context: &Context,
    delivery: &v1::Delivery,
) -> Option<std::sync::Arc<v1::Webhook>> {
    let record = context.view.group_named(&delivery.org, &delivery.group)?;
    let uid = |webhook: &v1::Webhook| webhook.metadata.as_ref().map(|m| m.uid.clone());
    let mut webhooks = record.webhooks.iter();
    let found = webhooks.find(|webhook| uid(webhook).as_ref() == Some(&delivery.webhook_uid));
    found.cloned()
}

/// Whether nobody would be given it: it is for subscribers, and its webhook, which is there, has none any more.
pub(super) fn is_for_nobody(context: &Context, delivery: &v1::Delivery) -> bool {
    let has_none = |webhook: std::sync::Arc<v1::Webhook>| {
        let spec = webhook.spec.as_ref();
        spec.is_some_and(|spec| !has_subscribers(spec))
    };
    let webhook = || context.view.webhook(&delivery.webhook_uid);
    delivery.destination.is_empty() && webhook().is_some_and(has_none)
}

/// Of one that [`is_for_nobody`].
pub(super) fn refused_for_nobody(delivery: &v1::Delivery) -> Problem {
    Problem::Refused(format!(
        "delivery {} is for subscribers, and webhook {} has no subscribers any more: add `subscribe` to its destinations first, or replay without those",
        delivery.id, delivery.webhook
    ))
}

/// After a webhook's deliveries were made or put back. It may have been deleted meanwhile, and the drop of its deliveries been before these were there.
pub(super) fn drop_if_gone(context: &Context, webhook_uid: &str) {
    if context.view.webhook(webhook_uid).is_none() {
        let reason = "its webhook was deleted".to_owned();
        let mut dropping = context.view.dropping();
        dropping.insert(webhook_uid.to_owned(), reason);
    }
}

/// Lets so many through a second, by the machine's steady clock.
struct Pace {
    rate: u32,
    next: Instant,
}

impl Pace {
    fn new(rate: u32) -> Self {
        Self {
            rate,
            next: Instant::now(),
        }
    }

    /// How many go at once: a tenth of a second's.
    fn step(&self) -> usize {
        (self.rate as usize / 10).clamp(1, 500)
    }

    /// Waits until so many more may go.
    async fn take(&mut self, many: usize) {
        let at = self.when(Instant::now(), many);
        tokio::time::sleep_until(at).await;
    }

    /// When so many more may go.
    fn when(&mut self, now: Instant, many: usize) -> Instant {
        // What wasn't used up isn't saved.
        let at = self.next.max(now);
        self.next = at + Duration::from_secs(1).mul_f64(many as f64 / f64::from(self.rate));
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_and_a_pause_is_not_made_up_for() {
        let mut pace = Pace::new(100);
        let begun = pace.next;
        let after = |at: Instant, from: Instant| at.duration_since(from).as_millis();
        let went: Vec<_> = (0..10).map(|_| pace.when(begun, 10)).collect();
        assert_eq!(after(went[0], begun), 0);
        assert_eq!(after(went[9], begun), 900);
        let later = begun + Duration::from_secs(10);
        let went: Vec<_> = (0..3).map(|_| pace.when(later, 10)).collect();
        assert_eq!(after(went[0], later), 0);
        assert_eq!(after(went[2], later), 200);
        assert_eq!((Pace::new(1).step(), Pace::new(10_000).step()), (1, 500));
    }

    #[tokio::test]
    async fn work_ends_with_the_caller_or_the_server() {
        let begin = |shutdown: &CancellationToken| {
            let (progress, so_far) = watch::channel(v1::ReplayResponse::default());
            let (out, answers) = mpsc::channel(4);
            let shutdown = shutdown.clone();
            // Goes on for ever, and holds what tells its end.
            let work = async move {
                let _held = &progress;
                std::future::pending::<Result<(), Problem>>().await
            };
            let told = tokio::spawn(async move { tell(&shutdown, work, so_far, out).await });
            (told, answers)
        };
        let shutdown = CancellationToken::new();
        let (told, mut answers) = begin(&shutdown);
        assert!(
            answers
                .recv()
                .await
                .unwrap()
                .is_ok_and(|answer| !answer.done)
        );
        drop(answers);
        let patience = Duration::from_secs(10);
        tokio::time::timeout(patience, told).await.unwrap().unwrap();

        let (told, mut answers) = begin(&shutdown);
        shutdown.cancel();
        tokio::time::timeout(patience, told).await.unwrap().unwrap();
        let mut last = None;
        while let Some(answer) = answers.recv().await {
            last = Some(answer);
        }
        assert_eq!(last.unwrap().unwrap_err().code(), tonic::Code::Unavailable);
    }

    #[test]
    fn only_what_is_settled_or_held_is_put_back() {
        use v1::DeliveryStatus::{Dead, Leased, Pending, Unspecified};
        let of = |asked: v1::DeliveryStatus, feed| {
            status(&v1::ReplayRequest {
                status: asked.into(),
                feed,
                ..Default::default()
            })
        };
        assert!(matches!(of(Unspecified, false), Ok(Some(Dead))));
        assert!(matches!(of(Unspecified, true), Ok(None)));
        for (status, feed) in [(Pending, false), (Leased, false), (Dead, true)] {
            assert!(matches!(of(status, feed), Err(Problem::Fields(_))));
        }
    }
}
