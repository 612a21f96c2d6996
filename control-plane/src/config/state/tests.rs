use bytes::Bytes;

use super::*;
use crate::config::ListenerScope;
use crate::config::pool::Delta;
use crate::store::Write;
use hookplane_rules::Timestamp;

const PIN: &str = "pin-1";

type Keys = Vec<(String, Option<(u64, Bytes)>)>;

fn metadata(org: &str, group: &str, name: &str, uid: &str) -> Option<v1::Metadata> {
    Some(v1::Metadata {
        org: org.to_owned(),
        group: group.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        ..Default::default()
    })
}

fn a_group(org: &str, uid: &str, pool: &str) -> v1::WebhookGroup {
    v1::WebhookGroup {
        metadata: metadata(org, "", uid, uid),
        spec: Some(v1::WebhookGroupSpec {
            pool: pool.to_owned(),
            ..Default::default()
        }),
        status: Some(v1::WebhookGroupStatus {
            connector_version: PIN.to_owned(),
            ..Default::default()
        }),
    }
}

fn entry<M: Message>(key: String, revision: u64, value: &M) -> (String, Option<(u64, Bytes)>) {
    (key, Some((revision, value.encode_to_vec().into())))
}

fn group(org: &str, uid: &str, pool: &str, revision: u64) -> (String, Option<(u64, Bytes)>) {
    entry(keys::group(org, uid), revision, &a_group(org, uid, pool))
}

fn webhook(org: &str, group: &str, uid: &str, revision: u64) -> (String, Option<(u64, Bytes)>) {
    let webhook = v1::Webhook {
        metadata: metadata(org, group, uid, uid),
        ..Default::default()
    };
    entry(keys::webhook(org, group, uid), revision, &webhook)
}

fn pin(revision: u64) -> (String, Option<(u64, Bytes)>) {
    entry(keys::pin(PIN), revision, &v1::Connector::default())
}

fn tombstone(write: Write, revision: u64) -> (String, Option<(u64, Bytes)>) {
    match write {
        Write::Put(key, value) => (key, Some((revision, value))),
        Write::Delete(key) => (key, None),
    }
}

fn horizon(revision: u64) -> (String, Option<(u64, Bytes)>) {
    tombstone(crate::config::tombstone::put_horizon(revision), revision)
}

fn batch(revision: u64, keys: Keys) -> Batch {
    Batch {
        revision,
        keys,
        anew: false,
    }
}

fn begin(revision: u64, keys: Keys) -> State {
    let dir = tempfile::tempdir().unwrap();
    let seal = SealKey::load_or_create(&dir.path().join("seal.key")).unwrap();
    State::begin(
        Arc::new(seal),
        Encoder::default(),
        Arc::default(),
        batch(revision, keys),
    )
}

/// Of all orgs, or of one, in the pool `b`.
fn scope(org: Option<&str>) -> ListenerScope {
    ListenerScope::new(org, "b")
}

fn since(
    state: &State,
    scope: &ListenerScope,
    revision: u64,
) -> Option<(Vec<String>, Vec<String>)> {
    let pool = state.pools.get(scope)?;
    let Delta {
        upserts, removes, ..
    } = pool.delta(pool.cursor_at(revision)?, state.revision)?;
    Some((
        upserts.iter().map(|r| r.uid.to_string()).collect(),
        removes.iter().map(ToString::to_string).collect(),
    ))
}

// Promise 8: an org's own listeners are offered that org's groups, and the operator's all.
#[test]
fn a_group_is_offered_to_its_pool_and_to_its_own_orgs_part_of_it() {
    let mut state = begin(
        5,
        vec![
            horizon(0),
            pin(1),
            group("acme", "g1", "b", 2),
            webhook("acme", "g1", "w1", 3),
            group("bolt", "g2", "b", 4),
            group("acme", "g3", "default", 5),
        ],
    );
    let all = |state: &State, scope: &ListenerScope| since(state, scope, 0).unwrap().0;
    assert_eq!(all(&state, &scope(None)), ["g1", "g2", PIN, "w1"]);
    assert_eq!(all(&state, &scope(Some("acme"))), ["g1", PIN, "w1"]);
    assert_eq!(all(&state, &scope(Some("bolt"))), ["g2", PIN]);
    assert!(state.pools.get(&scope(Some("other"))).is_none());
    // The bytes are the same ones, and each was made once.
    assert_eq!(state.encoder.made(), 5);
    let bytes = |scope| {
        let snapshot = state.pools.get(&scope).unwrap().snapshot(5);
        let of = snapshot.list.chunks().flatten().find(|r| &*r.uid == "w1");
        of.unwrap().bytes.as_ptr()
    };
    assert_eq!(bytes(scope(None)), bytes(scope(Some("acme"))));

    // What one org does moves nothing in another's.
    let bolt = state.pools.get(&scope(Some("bolt"))).unwrap().cursor();
    state.apply(batch(6, vec![webhook("acme", "g1", "w1", 6)]));
    assert_eq!(state.encoder.made(), 6);
    assert_eq!(
        state.pools.get(&scope(Some("bolt"))).unwrap().cursor(),
        bolt
    );
    assert_eq!(since(&state, &scope(Some("acme")), 5).unwrap().0, ["w1"]);
    // Away, its own org's listeners lose it as all do.
    state.apply(batch(7, vec![group("acme", "g1", "default", 7)]));
    for scope in [scope(None), scope(Some("acme"))] {
        let (_, removes) = since(&state, &scope, 6).unwrap();
        assert!(removes.contains(&"g1".to_owned()) && removes.contains(&"w1".to_owned()));
    }
}

#[test]
fn a_start_knows_what_came_and_what_went_since_any_revision_after_the_horizon() {
    let left =
        crate::config::tombstone::of_group(&a_group("acme", "moved", "default"), Timestamp(1));
    let gone = crate::config::tombstone::of_group(&a_group("acme", "gone", "b"), Timestamp(1));
    let dropped =
        crate::config::tombstone::of_webhooks("old", vec!["w-gone".to_owned()], Timestamp(1));
    let state = begin(
        20,
        vec![
            horizon(10),
            pin(1),
            group("acme", "old", "b", 2),
            webhook("acme", "old", "w-old", 3),
            // It came here at 15 with a webhook that is older than that.
            group("acme", "moved", "b", 15),
            webhook("acme", "moved", "w-moved", 4),
            tombstone(left, 15),
            tombstone(gone, 16),
            tombstone(dropped.unwrap(), 17),
        ],
    );
    for scope in [scope(None), scope(Some("acme"))] {
        assert_eq!(since(&state, &scope, 9), None, "before the horizon");
        let strings = |all: &[&str]| all.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let all = (strings(&["moved", "w-moved"]), strings(&["gone", "w-gone"]));
        assert_eq!(since(&state, &scope, 10), Some(all));
        assert_eq!(
            since(&state, &scope, 15),
            Some((vec![], strings(&["gone", "w-gone"])))
        );
        assert_eq!(
            since(&state, &scope, 16),
            Some((vec![], strings(&["w-gone"])))
        );
        assert_eq!(since(&state, &scope, 17), Some((vec![], vec![])));
    }
    // Where it was, it is gone; what it pinned there is too.
    let left = ListenerScope::new(None, "default");
    assert_eq!(
        since(&state, &left, 14),
        Some((vec![], vec!["moved".to_owned(), PIN.to_owned()]))
    );
}

#[test]
fn a_definition_is_new_where_all_that_pin_it_are() {
    let state = begin(
        20,
        vec![
            horizon(0),
            pin(1),
            group("acme", "first", "b", 12),
            group("acme", "second", "b", 14),
        ],
    );
    let upserts = |from| since(&state, &scope(None), from).unwrap().0;
    assert_eq!(upserts(11), ["first", PIN, "second"]);
    assert_eq!(upserts(12), ["second"], "it came with the first");
}

#[test]
fn without_a_horizon_nothing_before_the_start_is_told() {
    let state = begin(20, vec![pin(1), group("acme", "g", "b", 12)]);
    assert_eq!(since(&state, &scope(None), 19), None);
    assert_eq!(since(&state, &scope(None), 20), Some((vec![], vec![])));
}

// Thousands of streams look when they are woken: for what is nothing to any listener they are not.
#[test]
fn only_what_some_listener_is_offered_and_the_epoch_wake_streams() {
    let mut state = begin(5, vec![horizon(0), pin(1), group("acme", "g1", "b", 2)]);
    let value = |revision| Some((revision, Bytes::from_static(b"1")));
    let mut wakes = |revision, key| state.apply(batch(revision, vec![key]));
    assert!(!wakes(6, (keys::CANARY.to_owned(), value(6))));
    assert!(!wakes(7, (keys::group_guard("acme", "g1"), value(7))));
    assert!(wakes(8, webhook("acme", "g1", "w1", 8)));
    assert!(wakes(9, (keys::webhook("acme", "g1", "w1"), None)));
    assert!(wakes(10, (keys::EPOCH.to_owned(), value(10))));
    assert!(wakes(11, (keys::group("acme", "g1"), None)));
}

// An org that lists its own costs what is its own, however many groups the others have.
#[test]
fn what_is_below_a_key_is_found_without_a_look_at_the_others() {
    use std::cell::Cell;

    thread_local!(static LOOKS: Cell<usize> = const { Cell::new(0) });

    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    struct Key(String);
    impl std::borrow::Borrow<str> for Key {
        fn borrow(&self) -> &str {
            LOOKS.set(LOOKS.get() + 1);
            &self.0
        }
    }
    let key = |org: usize, group: usize| {
        let org = format!("org-{org:05}");
        Key(keys::group(&org, &group.to_string()))
    };
    let all = (0..10_000).flat_map(|org| [0, 1, 2].map(|group| key(org, group)));
    let map: BTreeMap<Key, usize> = all.zip(0..).collect();
    LOOKS.set(0);
    let own = keys::group("org-05000", "");
    let found: Vec<usize> = super::below(&map, &own).map(|(_, at)| *at).collect();
    assert_eq!(found, [15_000, 15_001, 15_002]);
    assert!(LOOKS.get() < 200, "{}", LOOKS.get());
}
