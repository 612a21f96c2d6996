//! Reading along with the log: nothing is leased, and a slow reader slows only itself.
//!
//! Who asked for at most so many lines a second is given no more, and what is over isn't read either: once a second is full, the next one begins with
//! the newest of what came since, and says so if that left something out.

mod pace;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use hookplane_proto::v1;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::Status;

use self::pace::Pace;
use super::status::Problem;
use crate::aside::Aside;
use crate::context::Context;
use crate::log::{Cursor, LogError, Reach, Selection, TailItem};
use crate::mapping::Record;
use crate::told::told;

/// Lines read ahead of the reader, bodies and all.
pub(super) const AHEAD: usize = 16;
/// Of a line in one place of those. A larger one goes out once there is room for all of it, so that what waits for a reader is bounded in bytes too.
const PLACE_BYTES: usize = 256 * 1024;
/// Between two looks of a brief tail, once it has caught up. People look at it, and a look costs as much for one line as for a few: without this
/// each of them would cost a callback as much as keeping it does.
const BRIEF_EVERY: Duration = Duration::from_millis(200);
/// The largest bound of a second's lines: so many are held at a time.
const MOST_PER_SECOND: u32 = 1_000;

/// A bound of a second's lines is for who looks at what comes, and at no more of it than fits a screen.
pub(super) fn check(request: &v1::TailRequest) -> Result<(), Problem> {
    let wrong = |message: String| Err(Problem::field("max_per_second", message));
    match request.max_per_second {
        0 => Ok(()),
        most if most > MOST_PER_SECOND => wrong(format!(
            "at most {MOST_PER_SECOND} lines a second; 0 gives all, however many"
        )),
        _ if !request.brief => wrong("set `brief` too: whoever takes bodies takes all".to_owned()),
        _ if request.from_start || request.no_follow => wrong(
            "it leaves out what comes faster: leave away `from_start` and `no_follow`, or this"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

/// From `reach`, which the caller has looked up before it answered, so that what comes after the answer is not missed, and what came before
/// it is not shown. Until the reader leaves, all that was there then is read (with `no_follow`), or the server shuts down.
pub(super) async fn run(
    context: Context,
    turns: &'static Aside,
    selection: Selection,
    request: v1::TailRequest,
    (newest, reach): (watch::Receiver<Cursor>, Reach),
    out: mpsc::Sender<Result<v1::TailResponse, Status>>,
) {
    let after = if request.from_start {
        Cursor::default()
    } else {
        // Something may come there that had not been answered. What had been, further on, is skipped.
        reach.whole
    };
    let mut tail = Tail {
        pace: Pace::new(request.max_per_second, Instant::now()),
        context,
        turns,
        selection,
        request,
        reach,
        after,
        out,
    };
    let Err(end) = tail.follow(newest).await;
    if let End::Failed(error) = end {
        // Whoever has left needs to know no more.
        let _told = tail.send(Err(Problem::from(error).into())).await;
    }
}

/// Why there are no more lines.
enum End {
    /// The reader has left, the server shuts down, or it has all that was asked for.
    Over,
    Failed(LogError),
}

impl From<LogError> for End {
    fn from(error: LogError) -> Self {
        Self::Failed(error)
    }
}

struct Tail {
    context: Context,
    /// What is large is decoded in these.
    turns: &'static Aside,
    selection: Selection,
    request: v1::TailRequest,
    reach: Reach,
    pace: Pace,
    /// What is there up to here was given, or left out.
    after: Cursor,
    out: mpsc::Sender<Result<v1::TailResponse, Status>>,
}

impl Tail {
    async fn follow(&mut self, mut newest: watch::Receiver<Cursor>) -> Result<Infallible, End> {
        loop {
            let looked = Instant::now();
            newest.borrow_and_update();
            let left = self.pace.left(looked);
            if left == 0 {
                self.pause(self.pace.next()).await?;
                self.catch_up().await?;
                continue;
            }
            if self.go_on(AHEAD.min(left)).await? {
                continue;
            }
            tokio::select! {
                () = self.context.view.shutdown().cancelled() => return Err(End::Over),
                () = self.out.closed() => return Err(End::Over),
                changed = newest.changed() => if changed.is_err() { return Err(End::Over) },
            }
            if let Some(next) = next_look(looked, self.request.brief) {
                self.pause(next).await?;
            }
        }
    }

    /// What comes next. False when that is nothing yet.
    async fn go_on(&mut self, limit: usize) -> Result<bool, End> {
        let (log, changes) = (&self.context.log, self.request.changes);
        let (items, next) = log
            .tail(&self.selection, self.after, changes, limit)
            .await?;
        let moved = next > self.after;
        self.after = self.after.max(next);
        for item in items {
            if self.request.no_follow && item.cursor > self.reach.last {
                return Err(End::Over);
            }
            if self.is_for_the_reader(&item) {
                let line = match self.request.brief {
                    true => brief(item),
                    false => tokio::select! {
                        line = line(&self.context, self.turns, item) => line,
                        // Who has left waits for no turn.
                        () = self.context.view.shutdown().cancelled() => return Err(End::Over),
                        () = self.out.closed() => return Err(End::Over),
                    },
                };
                self.give(line).await?;
            }
        }
        if self.request.no_follow && self.after >= self.reach.last {
            return Err(End::Over);
        }
        Ok(moved)
    }

    /// What came while a second was full; of more than the next one has, the newest.
    async fn catch_up(&mut self) -> Result<(), End> {
        let most = self.pace.most;
        let (log, changes) = (&self.context.log, self.request.changes);
        let mut lines = VecDeque::new();
        let (mut seen, mut before, mut goes_on) = (0, None, None);
        // One more than there may be tells that some are left out.
        while seen <= most {
            let limit = AHEAD.min(most + 1 - seen);
            let (items, end) = log
                .tail_newest(&self.selection, self.after, before, changes, limit)
                .await?;
            goes_on.get_or_insert(end);
            before = items.first().map(|item| item.cursor);
            let all = items.len() < limit;
            seen += items.len();
            let ours = items.into_iter().rev();
            for item in ours.filter(|item| self.is_for_the_reader(item)) {
                lines.push_front(brief(item));
            }
            if all {
                break;
            }
        }
        self.after = self.after.max(goes_on.unwrap_or_default());
        if seen > most {
            if lines.len() > most {
                lines.pop_front();
            }
            let left_out = v1::TailResponse {
                left_out: true,
                ..Default::default()
            };
            self.send(Ok(left_out)).await?;
        }
        for line in lines {
            self.give(line).await?;
        }
        Ok(())
    }

    fn is_for_the_reader(&self, item: &TailItem) -> bool {
        let new = self.request.from_start || !self.reach.had(item.cursor);
        new && shown(item, &self.selection, &self.request)
    }

    async fn give(&mut self, line: v1::TailResponse) -> Result<(), End> {
        self.send(Ok(line)).await?;
        self.pace.give();
        Ok(())
    }

    async fn send(&self, line: Result<v1::TailResponse, Status>) -> Result<(), End> {
        match send(&self.context, &self.out, line).await {
            true => Ok(()),
            false => Err(End::Over),
        }
    }

    async fn pause(&self, until: Instant) -> Result<(), End> {
        tokio::select! {
            () = self.context.view.shutdown().cancelled() => Err(End::Over),
            () = self.out.closed() => Err(End::Over),
            () = tokio::time::sleep_until(until) => Ok(()),
        }
    }
}

/// When to look again after something came. None: at once.
fn next_look(looked: Instant, brief: bool) -> Option<Instant> {
    let next = looked + BRIEF_EVERY;
    (brief && next > Instant::now()).then_some(next)
}

/// False when there is nobody to send to any more: the reader has left, or the server shuts down.
async fn send(
    context: &Context,
    out: &mpsc::Sender<Result<v1::TailResponse, Status>>,
    line: Result<v1::TailResponse, Status>,
) -> bool {
    let bytes = line.as_ref().map_or(0, v1::TailResponse::encoded_len);
    let places = (bytes / PLACE_BYTES).clamp(1, AHEAD);
    let room = tokio::select! {
        () = context.view.shutdown().cancelled() => return false,
        room = out.reserve_many(places) => room,
    };
    // What it doesn't need by itself is free again with the rest of them.
    let place = room.ok().and_then(|mut places| places.next());
    place.map(|place| place.send(line)).is_some()
}

/// At a webhook's scope a line is one of its deliveries, never another's and never an event alone.
fn shown(item: &TailItem, selection: &Selection, request: &v1::TailRequest) -> bool {
    if item.change && !request.changes {
        return false;
    }
    match (&item.delivery, &selection.webhook_uid) {
        (Some(delivery), Some(webhook)) => delivery.webhook_uid == *webhook,
        (Some(_), None) => true,
        (None, Some(_)) => false,
        (None, None) => request.events,
    }
}

async fn line(context: &Context, turns: &'static Aside, item: TailItem) -> v1::TailResponse {
    let record = record(context, turns, &item).await;
    let told = told(turns, &item.event, record).await;
    v1::TailResponse {
        records_json: told.records_json,
        payload_json: told.payload_json,
        event: Some(item.event),
        delivery: item.delivery.map(super::narrow::shown),
        left_out: false,
    }
}

/// Nothing is decoded or mapped for it.
fn brief(item: TailItem) -> v1::TailResponse {
    let event = v1::Event {
        body: bytes::Bytes::new(),
        headers: Default::default(),
        query: String::new(),
        verdicts: Vec::new(),
        ..item.event
    };
    v1::TailResponse {
        event: Some(event),
        delivery: item.delivery.map(super::narrow::shown),
        ..Default::default()
    }
}

/// What the delivery's mapping makes of its event. Where it finds no way, the delivery itself says why.
async fn record(context: &Context, turns: &'static Aside, item: &TailItem) -> Option<Record> {
    let delivery = item.delivery.as_ref()?;
    let made = context.mappings.record(turns, delivery, &item.event).await;
    made.ok().flatten()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::dispatch::engine::tests::rig::Rig;
    use crate::keys;

    fn item(webhook: Option<&str>, change: bool) -> TailItem {
        TailItem {
            cursor: Cursor(1),
            event: v1::Event::default(),
            delivery: webhook.map(|uid| v1::Delivery {
                webhook_uid: uid.to_owned(),
                ..Default::default()
            }),
            change,
        }
    }

    #[test]
    fn a_brief_tail_looks_a_few_times_a_second_and_at_once_after_a_silence() {
        let now = Instant::now();
        let next = next_look(now + BRIEF_EVERY, true);
        assert_eq!(next, Some(now + 2 * BRIEF_EVERY));
        assert_eq!(next_look(now + BRIEF_EVERY, false), None);
        let long_ago = now.checked_sub(2 * BRIEF_EVERY);
        assert!(long_ago.is_none_or(|at| next_look(at, true).is_none()));
    }

    // What it holds up is its own reader.
    #[tokio::test]
    async fn a_line_of_a_large_event_is_written_in_its_orgs_turn() {
        static OWN: Aside = Aside::new();
        let rig = Rig::new().await;
        let held = OWN.all_turns("acme").await;
        let of = |bytes| TailItem {
            event: crate::told::tests::event("acme", bytes),
            ..item(None, false)
        };
        let small = line(&rig.context, &OWN, of(100)).now_or_never();
        assert_eq!(small.unwrap().payload_json.len(), 100);
        let mut large = Box::pin(line(&rig.context, &OWN, of(100_000)));
        assert!((&mut large).now_or_never().is_none());
        drop(held);
        assert_eq!(large.await.payload_json.len(), 100_000);
    }

    #[tokio::test]
    async fn few_large_lines_wait_for_a_reader_and_many_small_ones() {
        let rig = Rig::new().await;
        let line = |bytes| {
            let event = crate::told::tests::event("acme", bytes);
            Ok(v1::TailResponse {
                event: Some(event),
                ..Default::default()
            })
        };
        for (bytes, ahead) in [(100, AHEAD), (AHEAD * PLACE_BYTES, 1)] {
            let (out, mut lines) = mpsc::channel(AHEAD);
            for _ in 0..ahead {
                assert!(send(&rig.context, &out, line(bytes)).await);
            }
            let mut further = Box::pin(send(&rig.context, &out, line(bytes)));
            assert!((&mut further).now_or_never().is_none(), "{bytes}");
            lines.recv().await.unwrap().unwrap();
            assert!(further.await);
        }
    }

    #[tokio::test]
    async fn a_tail_whose_reader_has_left_waits_for_no_turn() {
        static OWN: Aside = Aside::new();
        let rig = Rig::new().await;
        let _held = OWN.all_turns("acme").await;
        let mapping = v1::Mapping::default().encode_to_vec();
        rig.put(keys::mapping("orders", 2), mapping).await;
        rig.event("orders", |one| one.mapping_version = 2).await;
        let log = &rig.context.log;
        let of = (log.newest(), log.reach().await.unwrap());
        let request = v1::TailRequest {
            from_start: true,
            ..Default::default()
        };
        let (out, lines) = mpsc::channel(AHEAD);
        drop(lines);
        let tail = run(
            rig.context.clone(),
            &OWN,
            Selection::default(),
            request,
            of,
            out,
        );
        let ended = tokio::time::timeout(Duration::from_secs(60), tail).await;
        assert!(ended.is_ok());
    }

    #[test]
    fn a_bound_is_for_a_brief_tail_of_what_comes_and_has_one_itself() {
        let bounded = |max_per_second| v1::TailRequest {
            max_per_second,
            brief: true,
            ..Default::default()
        };
        assert!(check(&bounded(MOST_PER_SECOND)).is_ok());
        assert!(check(&bounded(MOST_PER_SECOND + 1)).is_err());
        let refused: [fn(&mut v1::TailRequest); 3] = [
            |request| request.brief = false,
            |request| request.from_start = true,
            |request| request.no_follow = true,
        ];
        for set in refused {
            let mut request = bounded(20);
            set(&mut request);
            assert!(check(&request).is_err(), "{request:?}");
            request.max_per_second = 0;
            assert!(check(&request).is_ok(), "{request:?}");
        }
    }

    #[test]
    fn a_webhooks_tail_shows_its_own_deliveries_and_nothing_else() {
        let of_webhook = Selection {
            webhook_uid: Some("w".to_owned()),
            ..Default::default()
        };
        let events = v1::TailRequest {
            events: true,
            ..Default::default()
        };
        assert!(shown(&item(Some("w"), false), &of_webhook, &events));
        assert!(!shown(&item(Some("v"), false), &of_webhook, &events));
        assert!(!shown(&item(None, false), &of_webhook, &events));
        assert!(!shown(&item(Some("w"), true), &of_webhook, &events));
        let any = Selection::default();
        assert!(shown(&item(None, false), &any, &events));
        assert!(!shown(
            &item(None, false),
            &any,
            &v1::TailRequest::default()
        ));
    }
}
