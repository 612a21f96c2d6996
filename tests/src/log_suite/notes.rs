//! What is remembered beside the events.

use std::collections::HashMap;

use hookplane_control_plane::log::{
    Activity, ActivityOf, DeliveryLog, MAX_SHAPE_BYTES, MAX_SHAPES, Note, NoteKind, NotesOf,
};
use hookplane_proto::v1;
use hookplane_rules::Timestamp;

use super::{Backend, prost_types_of};
use crate::waiting::eventually;

/// Notes that one of a group was refused, at that second.
fn note(log: &dyn DeliveryLog, kind: NoteKind, org: &str, group: &str, second: i64) {
    let refusal = v1::Refusal {
        time: Some(prost_types_of(second)),
        org: org.into(),
        group: group.into(),
        reason: format!("{group} at {second}"),
        ..Default::default()
    };
    log.notes().note(Note::new(kind, group, refusal));
}

/// The reasons, newest first, once there are so many.
pub async fn noted(
    log: &dyn DeliveryLog,
    kind: NoteKind,
    of: NotesOf<'_>,
    limit: usize,
    first: &str,
) -> Vec<String> {
    eventually(async || {
        let notes = log.notes().notes(kind, of, limit).await.expect("reads");
        let reasons: Vec<String> = notes.into_iter().map(|note| note.reason).collect();
        let come = reasons.first().map_or("", String::as_str) == first;
        Ok(come.then_some(reasons))
    })
    .await
    .expect("comes")
}

pub(super) async fn notes_are_read_by_group_and_by_org(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    let refused = NoteKind::Refused;
    note(&*log, refused, "", "", 1);
    note(&*log, refused, "acme", "g1", 2);
    note(&*log, refused, "other", "g2", 3);
    note(&*log, NoteKind::NotKept, "acme", "g1", 4);
    note(&*log, refused, "acme", "g3", 5);
    let newest = "g3 at 5";
    let all = noted(&*log, refused, NotesOf::All, 10, newest).await;
    assert_eq!(all, [newest, "g2 at 3", "g1 at 2", " at 1"]);
    let all = noted(&*log, refused, NotesOf::All, 2, newest).await;
    assert_eq!(all, [newest, "g2 at 3"]);
    let of = |since| NotesOf::Org { org: "acme", since };
    let own = noted(&*log, refused, of(None), 10, newest).await;
    assert_eq!(own, [newest, "g1 at 2"]);
    // What came before was another org's, of the same name.
    let since = Some(Timestamp(3_000));
    assert_eq!(noted(&*log, refused, of(since), 10, newest).await, [newest]);
    // Promise 8: a group of the same name is another one.
    let group = NotesOf::Group("g1");
    assert_eq!(noted(&*log, refused, group, 10, "g1 at 2").await.len(), 1);
    let example = noted(&*log, NoteKind::NotKept, group, 10, "g1 at 4").await;
    assert_eq!(example.len(), 1);
    let none = NotesOf::Group("nobody");
    assert!(noted(&*log, refused, none, 10, "").await.is_empty());
    log.close().await;
}

pub(super) async fn of_one_group_only_the_last_notes_are_kept(backend: &dyn Backend) {
    const KEPT: usize = 50;
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    note(&*log, NoteKind::NotKept, "acme", "quiet", 1);
    for round in 0..3 {
        for n in 0..40 {
            note(&*log, NoteKind::NotKept, "acme", "loud", round * 40 + n);
        }
        let newest = format!("loud at {}", round * 40 + 39);
        let of = NotesOf::Group("loud");
        let all = noted(&*log, NoteKind::NotKept, of, 1_000, &newest).await;
        assert!(all.len() <= KEPT);
    }
    let of = NotesOf::Group("loud");
    let all = noted(&*log, NoteKind::NotKept, of, 1_000, "loud at 119").await;
    assert_eq!(all.len(), KEPT);
    assert_eq!(all[KEPT - 1], "loud at 70");
    let of = NotesOf::Group("quiet");
    assert_eq!(
        noted(&*log, NoteKind::NotKept, of, 10, "quiet at 1")
            .await
            .len(),
        1
    );
    log.close().await;
}

/// What a listener counted of a group.
pub fn counters(group: &str, secret: &str) -> v1::GroupCounters {
    v1::GroupCounters {
        group_uid: group.into(),
        refused: 1,
        not_matched: 3,
        secret_uses: [(secret.to_owned(), 2)].into(),
        ..Default::default()
    }
}

/// The counts of these groups, once they are as they should be.
pub async fn counted(
    log: &dyn DeliveryLog,
    groups: &[&str],
    holds: impl Fn(&HashMap<String, v1::GroupCounts>) -> bool,
) -> HashMap<String, v1::GroupCounts> {
    eventually(async || {
        let counts = log.notes().counts(groups).await.expect("reads");
        Ok(holds(&counts).then_some(counts))
    })
    .await
    .expect("comes")
}

pub(super) async fn counts_add_up_in_a_bounded_room(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    let notes = log.notes();
    notes.count(counters("g", "old"));
    counted(&*log, &["g"], |counts| counts.contains_key("g")).await;
    notes.count(counters("g", "old"));
    notes.count(counters("h", "old"));
    let all = ["g", "h", "nobody"];
    let counts = counted(&*log, &all, |counts| {
        counts.len() == 2 && counts["g"].refused == 2
    })
    .await;
    assert_eq!(counts["g"].not_matched, 6);
    assert_eq!(counts["g"].secret_uses.get("old"), Some(&4));
    assert_eq!(counts["h"].refused, 1);
    // Made-up names take no room without an end.
    for round in 0..3 {
        for n in 0..100 {
            notes.count(counters("g", &format!("made up {round} {n}")));
        }
        let refused = 2 + (round + 1) * 100;
        counted(&*log, &["g"], |counts| counts["g"].refused == refused).await;
    }
    notes.count(counters("g", "old"));
    let counts = counted(&*log, &["g"], |counts| counts["g"].refused == 303).await;
    let names = counts["g"].secret_uses.len();
    assert!((2..=34).contains(&names), "{names}");
    assert_eq!(counts["g"].secret_uses.get("old"), Some(&6));
    notes.forget("g").await.expect("forgets");
    counted(&*log, &all, |counts| counts.len() == 1).await;
    log.close().await;
}

pub(super) async fn activity_adds_up_by_group_and_org_and_two_days_are_kept(backend: &dyn Backend) {
    const MINUTES_5: i64 = 300_000;
    const DAYS_2: i64 = 48 * 3_600_000;
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    let notes = log.notes();
    let now = Timestamp(1_700_000_000_000 / MINUTES_5 * MINUTES_5);
    let counted = |accepted, failed| Activity {
        accepted,
        failed,
        ..Activity::default()
    };
    let told = async |of| {
        let since = Timestamp(now.0 - DAYS_2 * 2);
        notes.activity(of, since).await.expect("reads")
    };
    notes.happened("acme", "g", now, counted(1, 0));
    assert_eq!(told(ActivityOf::Group("g")).await, [(now, counted(1, 0))]);
    // Also to what was written or told before.
    notes.happened("acme", "g", Timestamp(now.0 + 1), counted(2, 3));
    notes.happened("acme", "h", now, counted(10, 0));
    notes.happened("other", "i", now, counted(100, 0));
    let next = Timestamp(now.0 + MINUTES_5);
    notes.happened("acme", "g", next, counted(0, 7));
    notes.happened("acme", "g", next, Activity::default());
    let of_group = [(now, counted(3, 3)), (next, counted(0, 7))];
    assert_eq!(told(ActivityOf::Group("g")).await, of_group);
    let of_org = [(now, counted(13, 3)), (next, counted(0, 7))];
    assert_eq!(told(ActivityOf::Org("acme")).await, of_org);
    // A name is no uid.
    assert_eq!(told(ActivityOf::Group("acme")).await, []);
    let since = Timestamp(now.0 + 1);
    let later = notes.activity(ActivityOf::Org("acme"), since).await;
    assert_eq!(later.expect("reads"), [(next, counted(0, 7))]);

    let long_after = Timestamp(next.0 + DAYS_2);
    notes.happened("other", "i", long_after, counted(1, 0));
    // With the next write, where there was one already.
    let gone = async || Ok(told(ActivityOf::Group("g")).await.is_empty().then_some(()));
    eventually(gone).await.expect("it goes");
    assert_eq!(
        told(ActivityOf::Org("other")).await,
        [(long_after, counted(1, 0))]
    );
    notes.forget("i").await.expect("forgets");
    assert_eq!(told(ActivityOf::Group("i")).await, []);
    log.close().await;
}

pub(super) async fn shapes_are_kept_by_group_in_a_bounded_room(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    let remember = async |log: &dyn DeliveryLog, group: &str, kind: &str, bytes: usize| {
        let record = bytes::Bytes::from(vec![kind.len() as u8; bytes]);
        let done = log.notes().remember_shape(group, kind, record).await;
        done.expect("remembers");
    };
    let shapes = async |log: &dyn DeliveryLog, group: &str| {
        let mut shapes = log.notes().shapes(group).await.expect("reads");
        shapes.sort();
        let size = |(kind, record): (String, bytes::Bytes)| (kind, record.len());
        shapes.into_iter().map(size).collect::<Vec<_>>()
    };
    remember(&*log, "g1", "order.paid", 10).await;
    remember(&*log, "g1", "order", 20).await;
    remember(&*log, "g1", "order.paid", MAX_SHAPE_BYTES).await;
    remember(&*log, "g1", "too large", MAX_SHAPE_BYTES + 1).await;
    remember(&*log, "g2", "order", 30).await;
    let first = [
        ("order".to_owned(), 20),
        ("order.paid".to_owned(), MAX_SHAPE_BYTES),
    ];
    assert_eq!(shapes(&*log, "g1").await, first);
    log.close().await;
    drop(log);
    let log = backend.open(dir.path()).await;
    assert_eq!(shapes(&*log, "g1").await, first, "through a restart");
    for number in 0..MAX_SHAPES + 2 {
        remember(&*log, "g2", &format!("type.{number:04}"), 1).await;
    }
    remember(&*log, "g2", "order", 31).await;
    let full = shapes(&*log, "g2").await;
    assert_eq!(full.len(), MAX_SHAPES);
    assert_eq!(
        full[0],
        ("order".to_owned(), 31),
        "what is known is renewed"
    );
    log.notes().forget("g2").await.expect("forgets");
    assert!(shapes(&*log, "g2").await.is_empty());
    assert_eq!(shapes(&*log, "g1").await, first);
    log.close().await;
}
