//! Reading along with the log: nothing is leased, and a slow reader slows only itself.

use std::time::Duration;

use hookplane_proto::v1;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::Status;

use super::status::Problem;
use crate::aside::Aside;
use crate::context::Context;
use crate::log::{Cursor, Reach, Selection, TailItem};
use crate::mapping::Record;
use crate::told::told;

/// Lines read ahead of the reader, bodies and all.
pub(super) const AHEAD: usize = 16;
/// Of a line in one place of those. A larger one goes out once there is room for all of it, so that what waits for a reader is bounded in bytes too.
const PLACE_BYTES: usize = 256 * 1024;
/// Between two looks of a brief tail, once it has caught up. People look at it, and a look costs as much for one line as for a few: without this
/// each of them would cost a callback as much as keeping it does.
const BRIEF_EVERY: Duration = Duration::from_millis(200);

/// From `reach`, which the caller has looked up before it answered, so that what comes after the answer is not missed, and what came before
/// it is not shown. Until the reader leaves, all that was there then is read (with `no_follow`), or the server shuts down.
pub(super) async fn run(
    context: Context,
    turns: &'static Aside,
    selection: Selection,
    request: v1::TailRequest,
    (mut newest, reach): (watch::Receiver<Cursor>, Reach),
    out: mpsc::Sender<Result<v1::TailResponse, Status>>,
) {
    let mut after = if request.from_start {
        Cursor::default()
    } else {
        // Something may come there that had not been answered. What had been, further on, is skipped.
        reach.whole
    };
    loop {
        let looked = Instant::now();
        newest.borrow_and_update();
        let read = context
            .log
            .tail(&selection, after, request.changes, AHEAD)
            .await;
        let (items, next) = match read {
            Ok(read) => read,
            Err(error) => {
                send(&context, &out, Err(Problem::from(error).into())).await;
                return;
            }
        };
        let moved = next > after;
        after = after.max(next);
        for item in items {
            if request.no_follow && item.cursor > reach.last {
                return;
            }
            if !request.from_start && reach.had(item.cursor) {
                continue;
            }
            if shown(&item, &selection, &request) {
                let line = match request.brief {
                    true => brief(item),
                    false => tokio::select! {
                        line = line(&context, turns, item) => line,
                        // Who has left waits for no turn.
                        () = context.view.shutdown().cancelled() => return,
                        () = out.closed() => return,
                    },
                };
                if !send(&context, &out, Ok(line)).await {
                    return;
                }
            }
        }
        if request.no_follow && after >= reach.last {
            return;
        }
        if moved {
            continue;
        }
        tokio::select! {
            () = context.view.shutdown().cancelled() => return,
            () = out.closed() => return,
            changed = newest.changed() => if changed.is_err() { return },
        }
        if let Some(next) = next_look(looked, request.brief) {
            tokio::select! {
                () = context.view.shutdown().cancelled() => return,
                () = out.closed() => return,
                () = tokio::time::sleep_until(next) => {}
            }
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
