use std::sync::atomic::{AtomicU64, Ordering};

use hookplane_rules::Clock;

use super::*;
use crate::log::embedded::{EmbeddedLog, Options};
use crate::log::{Dedup, NewEvent};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

fn drift(folder: &std::path::Path) -> Drift {
    let log = EmbeddedLog::open(folder, Arc::new(Still), Options::default());
    Drift::new(log.unwrap())
}

fn event(group: &str, event_type: &str, body: String) -> v1::Event {
    v1::Event {
        group_uid: group.to_owned(),
        r#type: event_type.to_owned(),
        format: v1::PayloadFormat::Json.into(),
        body: body.into(),
        ..Default::default()
    }
}

fn callback(events: Vec<v1::Event>) -> NewCallback {
    let new = |event| NewEvent {
        event,
        dedup: Dedup {
            delivery_key: None,
            id_key: None,
            content_key: None,
            body_digest: [0; 32],
        },
        deliveries: Vec::new(),
    };
    NewCallback {
        org: "acme".to_owned(),
        group_uid: "g".to_owned(),
        events: events.into_iter().map(new).collect(),
        refuse_suspected_replays: false,
        dedup_window: Duration::from_secs(1),
    }
}

/// Names that nobody made up before, of every length up to a hundred.
fn names(count: usize) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let member = |_| {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let letters: String = n.to_string().bytes().map(|b| char::from(b + 49)).collect();
        let long = letters.repeat(1 + (n % 12) as usize);
        format!("\"{long}\": {{\"v\": [{n}]}}")
    };
    (0..count).map(member).collect::<Vec<_>>().join(", ")
}

// What a sender makes up takes no more memory than there is: a million names, of which no two events have one in common.
#[tokio::test]
async fn a_million_names_make_one_shape_of_bounded_size() {
    let folder = tempfile::tempdir().unwrap();
    let drift = drift(folder.path());
    for n in 0..300 {
        // Wide objects, whose names are taken for data, and narrow ones, whose names are learned.
        let narrow: Vec<String> = (0..40)
            .map(|m| format!("\"n{}\": {{{}}}", "m".repeat(m), names(40)))
            .collect();
        let body = format!("{{\"wide\": {{{}}}, {}}}", names(1_800), narrow.join(", "));
        let learned = drift
            .learn(&event("g", "made.up", body), Timestamp(n))
            .await;
        assert!(
            !learned.unwrap(),
            "nothing was there before, so nothing is gone"
        );
    }
    drift.keep(|_| true).await.unwrap();
    {
        let groups = locked(&drift.groups);
        let known = &groups["g"].types["made.up"];
        assert_eq!(known.whole.samples, 300);
        assert!(known.whole.paths.len() <= shape::MAX_PATHS);
        assert!(known.bytes <= 1024 * 1024, "{}", known.bytes);
    }
    let kept = drift.log.notes().shapes("g").await.unwrap();
    assert!(kept[0].1.len() <= crate::log::MAX_SHAPE_BYTES);
}

#[tokio::test]
async fn types_that_are_made_up_are_learned_as_far_as_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let drift = drift(folder.path());
    let learn = async |group: &str, n: usize| {
        let one = event(group, &format!("type.{n}"), r#"{"a": 1}"#.to_owned());
        drift.learn(&one, NOW).await.unwrap();
    };
    for n in 0..MAX_SHAPES + 20 {
        learn("one", n).await;
    }
    assert_eq!(locked(&drift.groups)["one"].types.len(), MAX_SHAPES);
    for group in 0..9 {
        for n in 0..MAX_SHAPES {
            learn(&format!("other {group}"), n).await;
        }
    }
    let (count, _) = total(&locked(&drift.groups));
    assert_eq!(count, 2 * MAX_IN_MEMORY);
    // One that is known is learned on.
    learn("one", 0).await;
    assert_eq!(
        locked(&drift.groups)["one"].types["type.0"].whole.samples,
        2
    );
    // Once it is kept there is room again.
    for known in locked(&drift.groups)
        .values_mut()
        .flat_map(|group| group.types.values_mut())
    {
        known.new = Shape::default();
    }
    make_room(&mut locked(&drift.groups), "one");
    let (count, _) = total(&locked(&drift.groups));
    assert!(count <= MAX_IN_MEMORY && locked(&drift.groups).contains_key("one"));
}

#[tokio::test]
async fn groups_that_are_gone_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let drift = drift(folder.path());
    for group in ["here", "gone"] {
        let one = event(group, "paid", "{}".to_owned());
        drift.learn(&one, NOW).await.unwrap();
    }
    drift.keep(|uid| uid == "here").await.unwrap();
    assert_eq!(locked(&drift.groups).len(), 1);
    assert!(drift.log.notes().shapes("gone").await.unwrap().is_empty());
    assert_eq!(drift.log.notes().shapes("here").await.unwrap().len(), 1);
}

// No answer waits for what is learned: what there is no room for is not looked at.
#[tokio::test]
async fn events_that_are_large_or_too_many_are_not_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let drift = drift(folder.path());
    let large = event("g", "paid", " ".repeat(MAX_BODY_BYTES + 1));
    assert!(drift.samples(&callback(vec![large])).is_empty());
    let many = (0..2 * QUEUE).map(|n| event("g", &format!("type.{n}"), "{}".to_owned()));
    let samples = drift.samples(&callback(many.collect()));
    assert_eq!(samples.len(), 2 * QUEUE);
    drift.learn_from(samples);
    let mut waiting = locked(&drift.waiting).take().unwrap();
    let mut count = 0;
    while waiting.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!(count, QUEUE);
}
