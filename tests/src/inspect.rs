//! How long an operator waits for a list or a search, in an embedded log of many events. Run by hand.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::{
    Cursor, Dedup, DeliveryLog, NewCallback, NewDelivery, NewEvent, Queue, Selection, Settlement,
};
use hookplane_proto::v1::{self, DeliveryStatus, PayloadFormat};
use hookplane_rules::Timestamp;
use sha2::{Digest, Sha256};

use crate::clock::TestClock;

/// Of a page of a list, as the API asks for.
const PAGE: usize = 50;
/// Each is asked so often; the median is told.
const TIMES: usize = 5;
const CALLERS: u64 = 64;
/// Events that are kept before what is due of them is delivered.
const STRETCH: u64 = 50_000;
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two events.
const STEP_MS: i64 = 250;
const FIRST_MS: i64 = 1_700_000_000_000;

const ORGS: u64 = 20;
const GROUPS: u64 = 200;
/// Of each group.
const TYPES: [&str; 5] = [
    "order.created",
    "order.paid",
    "order.paid.late",
    "customer.updated",
    "invoice.sent",
];

fn group_of(number: u64) -> u64 {
    // A few groups have most of the events: the first has a quarter, the last one in a thousand.
    let random = u64::from_le_bytes(digest(number)[..8].try_into().unwrap_or([0; 8]));
    if random.is_multiple_of(4) {
        0
    } else {
        (random >> 8) % GROUPS
    }
}

fn digest(number: u64) -> [u8; 32] {
    Sha256::digest(number.to_le_bytes()).into()
}

fn group_name(group: u64) -> String {
    format!("01a20a4e-cd4b-74d6-ad56-{group:012x}")
}

fn webhook_name(group: u64) -> String {
    format!("01a20a4e-cd4b-74d7-ad56-{group:012x}")
}

/// Six of ten are matched by a webhook; one in a thousand is held, and one in 500,000 has a word that no other has.
fn event(number: u64) -> NewCallback {
    let digest = digest(number);
    let group = group_of(number);
    let org = format!("org{}", group % ORGS);
    let at = FIRST_MS + STEP_MS * i64::try_from(number).unwrap_or(0);
    let id = format!(
        "{:08x}-{:04x}-7{:03x}-ad56-{:012x}",
        at >> 16,
        at & 0xffff,
        number & 0xfff,
        number
    );
    let rare = if number % 500_000 == 77_777 {
        "zanzibar"
    } else {
        "ordinary"
    };
    let body = format!(
        r#"{{"id":"ev_{}","customer":{{"email":"user{}@example.com","city":"{}"}},"amount":"{}.{:02}","currency":"EUR","note":"{rare} shipment"}}"#,
        hex::encode(&digest[..8]),
        number % 1_000_003,
        ["Berlin", "Paris", "Lisbon", "Oslo"][usize::from(digest[9] % 4)],
        number % 900,
        number % 100,
    );
    let matched = number % 10 < 6;
    let delivery = NewDelivery {
        webhook_uid: webhook_name(group),
        webhook: "all".into(),
        idempotency_key: hex::encode(&digest[..16]),
        hold: (number % 1_000 == 3).then(|| "amount: not a number".into()),
        ..NewDelivery::default()
    };
    NewCallback {
        org: org.clone(),
        group_uid: group_name(group),
        refuse_suspected_replays: false,
        dedup_window: Duration::from_secs(3600),
        events: vec![NewEvent {
            event: v1::Event {
                id,
                org,
                group: format!("group{group}"),
                group_uid: group_name(group),
                r#type: TYPES[usize::from(digest[10]) % TYPES.len()].into(),
                receive_time: Some(hookplane_rules::time::to_wire(Timestamp(at))),
                format: PayloadFormat::Json.into(),
                content_type: "application/json".into(),
                body: body.into_bytes().into(),
                ..Default::default()
            },
            dedup: Dedup {
                delivery_key: None,
                id_key: None,
                content_key: None,
                body_digest: digest,
            },
            deliveries: matched.then_some(delivery).into_iter().collect(),
        }],
    }
}

/// Fills the log, delivers nearly all, indexes it, asks, and says what it found. One that was filled before is asked as it is.
pub async fn run(dir: &Path, events: u64) -> String {
    let options = Options {
        sync: false,
        ..Options::default()
    };
    let clock = Arc::new(TestClock::default());
    let log = EmbeddedLog::open(dir, clock, options).expect("opens");
    let mut told = String::new();
    let newest = log.events(&Selection::default(), None, 1).await;
    if newest.expect("reads").is_empty() {
        let began = Instant::now();
        let delivered = load(&log, events).await;
        tell(&mut told, "load and deliver", events + delivered, began);
    }
    let began = Instant::now();
    while log.index().await.expect("indexes") {}
    tell(&mut told, "index", events, began);
    for name in ["events.db", "index.db"] {
        let bytes = std::fs::metadata(dir.join(name)).map_or(0, |file| file.len());
        let each = bytes as f64 / events as f64;
        writeln!(
            told,
            "{name}: {} MiB, {each:.0} bytes an event",
            bytes >> 20
        )
        .expect("is text");
    }
    ask(&log, events, &mut told).await;
    log.close().await;
    told
}

fn tell(told: &mut String, what: &str, count: u64, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    let rate = count as f64 / seconds;
    writeln!(
        told,
        "{what}: {count} in {seconds:.1} s, {rate:.0} a second"
    )
    .expect("is text");
}

/// Events of one stretch are delivered before the next comes, as they are where subscribers keep up: rows that lie together are written together.
async fn load(log: &Arc<EmbeddedLog>, events: u64) -> u64 {
    let mut delivered = 0;
    for first in (0..events).step_by(STRETCH as usize) {
        let last = events.min(first + STRETCH);
        let next = Arc::new(AtomicU64::new(first));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (log, next) = (log.clone(), next.clone());
                tokio::spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= last {
                            return;
                        }
                        let deadline = tokio::time::Instant::now() + PATIENCE;
                        log.append(event(number), deadline).await.expect("is taken");
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("doesn't panic");
        }
        delivered += settle(log).await;
    }
    delivered
}

/// All but what one webhook has still to take.
async fn settle(log: &Arc<EmbeddedLog>) -> u64 {
    let mut settled = 0;
    for group in 0..GROUPS - 1 {
        let queue = Queue::of_subscribers(webhook_name(group));
        loop {
            let leases = log.lease(&queue, 1_000, PATIENCE).await.expect("leases");
            if leases.is_empty() {
                break;
            }
            settled += leases.len() as u64;
            let acks = leases.into_iter();
            let acks = acks.map(|lease| (lease.token, Settlement::Ack).into());
            log.settle(acks.collect()).await.expect("settles");
        }
    }
    settled
}

/// What is asked for, by name.
fn questions(events: u64) -> Vec<(&'static str, Selection, Option<Cursor>)> {
    let any = Selection::default;
    let text = |text: &str| Some(text.to_owned());
    let middle = FIRST_MS + STEP_MS * i64::try_from(events / 2).unwrap_or(0);
    let large = || Selection {
        group_uid: Some(group_name(0)),
        ..any()
    };
    let small = || Selection {
        group_uid: Some(group_name(42)),
        ..any()
    };
    let of = |words: &str, within: Selection| Selection {
        text: text(words),
        ..within
    };
    let time = |within: Selection| Selection {
        since: Some(Timestamp(middle)),
        until: Some(Timestamp(middle + 3_600_000)),
        ..within
    };
    vec![
        ("first page", any(), None),
        ("deep page", any(), Some(Cursor(events))),
        (
            "org",
            Selection {
                org: text("org7"),
                ..any()
            },
            None,
        ),
        ("large group", large(), None),
        ("small group, deep page", small(), Some(Cursor(events))),
        (
            "webhook",
            Selection {
                webhook_uid: Some(webhook_name(42)),
                ..any()
            },
            None,
        ),
        (
            "webhook, held",
            Selection {
                webhook_uid: Some(webhook_name(42)),
                status: Some(DeliveryStatus::Held),
                ..any()
            },
            None,
        ),
        (
            "group, pending",
            Selection {
                group_uid: Some(group_name(GROUPS - 1)),
                status: Some(DeliveryStatus::Pending),
                ..any()
            },
            None,
        ),
        (
            "group, type",
            Selection {
                event_type: text("order.paid"),
                ..small()
            },
            None,
        ),
        (
            "type that is nowhere",
            Selection {
                event_type: text("refund"),
                ..any()
            },
            None,
        ),
        ("an hour in the middle", time(any()), None),
        ("group, an hour in the middle", time(small()), None),
        (
            "unmatched of a group",
            Selection {
                unmatched: true,
                ..small()
            },
            None,
        ),
        ("rare word", of("zanzibar", any()), None),
        ("rare word, large group", of("zanzibar", large()), None),
        ("word that is nowhere", of("atlantis", any()), None),
        ("common word", of("shipment", any()), None),
        (
            "common word, small group",
            of("berlin ordinary", small()),
            None,
        ),
        ("common word, type, hour", of("berlin", time(small())), None),
        ("prefix of one letter", of("u", any()), None),
        ("prefix, small group", of("user12", small()), None),
        ("rare prefix", of("zanz", any()), None),
        ("one address", of("user77777 example com", any()), None),
    ]
}

async fn ask(log: &Arc<EmbeddedLog>, events: u64, told: &mut String) {
    writeln!(
        told,
        "{:32} {:>8} {:>10} {:>10} {:>8} {:>10} {:>10}",
        "milliseconds", "events", "first", "median", "deliv.", "first", "median"
    )
    .expect("is text");
    for (name, selection, before) in questions(events) {
        let (mut of_events, mut of_deliveries) = (Vec::new(), Vec::new());
        let (mut found_events, mut found_deliveries) = (0, 0);
        for _ in 0..TIMES {
            let began = Instant::now();
            let page = log.events(&selection, before, PAGE).await;
            of_events.push(began.elapsed().as_secs_f64() * 1e3);
            found_events = page.expect("reads").len();
            let began = Instant::now();
            let page = log.deliveries(&selection, before, PAGE).await;
            of_deliveries.push(began.elapsed().as_secs_f64() * 1e3);
            found_deliveries = page.expect("reads").len();
        }
        let (one, two) = (of_events[0], of_deliveries[0]);
        of_events.sort_by(f64::total_cmp);
        of_deliveries.sort_by(f64::total_cmp);
        writeln!(
            told,
            "{name:32} {found_events:>8} {one:>10.2} {:>10.2} {found_deliveries:>8} {two:>10.2} {:>10.2}",
            of_events[TIMES / 2],
            of_deliveries[TIMES / 2],
        )
        .expect("is text");
        let plans = log.plans(&selection, before, PAGE).await.expect("reads");
        for (of, plans) in [("events", plans.events), ("deliveries", plans.deliveries)] {
            for plan in plans {
                writeln!(told, "    {of}: {plan}").expect("is text");
            }
        }
    }
}
