//! Shares of the whole: of orgs, and of an org's destinations.

use std::time::Duration;

use super::*;

async fn soon<T>(of: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(10), of).await.ok()
}

fn all_of(turns: &Arc<Turns>, org: &str, more: bool) -> Vec<Turn> {
    std::iter::from_fn(|| turns.try_take(org, more)).collect()
}

// One org's slow destinations delay nobody else, of that org or of another.
#[test]
fn one_org_cannot_take_everything_and_firsts_are_left() {
    let turns = Arc::new(Turns::default());
    let mut slow = all_of(&turns, "slow", true);
    // Its others have a first all the same, as many as these are.
    let firsts = all_of(&turns, "slow", false);
    assert_eq!((slow.len(), firsts.len()), (PER_ORG / 2, PER_ORG / 2));
    slow.extend(firsts);
    assert!(turns.try_take("slow", false).is_none());
    let many: Vec<Turn> = (0..8)
        .flat_map(|org| all_of(&turns, &org.to_string(), true))
        .collect();
    assert_eq!(many.len() + MORE_PER_ORG, MORE);
    // Nobody gets a second one any more, and everybody a first.
    assert!(turns.try_take("acme", true).is_none());
    assert!(turns.try_take("acme", false).is_some());
    drop((slow, many));
    let state = turns.lock();
    assert_eq!((state.all, state.more, state.orgs.len()), (0, 0, 0));
}

/// Waits in line, and tells when it was served.
fn wait_for_a_first<T: Clone + Send + 'static>(
    turns: &Arc<Turns>,
    org: &'static str,
    name: T,
    told: &tokio::sync::mpsc::UnboundedSender<(T, Turn)>,
) {
    let (waits, told) = (Arc::clone(turns), told.clone());
    tokio::spawn(async move {
        let turn = waits.take(org, false).await;
        told.send((name, turn)).ok();
    });
}

/// Until so many wait.
async fn in_line(turns: &Arc<Turns>, count: usize) {
    let waiting = || -> usize {
        let state = turns.lock();
        state.orgs.values().map(|org| org.first.len()).sum()
    };
    while waiting() < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_of_an_orgs_destinations_gets_one_before_any_gets_a_second() {
    const WAITING: usize = 40;
    let turns = Arc::new(Turns::default());
    let mut held = all_of(&turns, "many", true);
    held.extend(all_of(&turns, "many", false));
    let (told, mut served) = tokio::sync::mpsc::unbounded_channel();
    for lane in 0..WAITING {
        wait_for_a_first(&turns, "many", lane, &told);
        in_line(&turns, lane + 1).await;
    }
    let mut came = Vec::new();
    while came.len() < WAITING {
        drop(held.pop());
        // Whoever has some under way looks for more, each time, and there is none.
        assert!(turns.try_take("many", true).is_none());
        let (lane, turn) = soon(served.recv()).await.unwrap().unwrap();
        came.push(lane);
        held.push(turn);
        held.rotate_right(1);
    }
    assert_eq!(came, (0..WAITING).collect::<Vec<_>>());
}

#[test]
fn one_org_cannot_fill_the_memory_and_firsts_have_room() {
    let turns = Arc::new(Turns::default());
    let slow = turns.weigh("slow", usize::MAX, 1, true).unwrap();
    assert_eq!(slow.bytes(), ORG_BYTES / 2);
    assert!(turns.weigh("slow", 1, 1, true).is_none());
    let mut first = turns.weigh("slow", usize::MAX, 1, false).unwrap();
    assert!(turns.weigh("slow", 1, 1, false).is_none());
    assert!(turns.weigh("acme", 1, 1, true).is_some());
    // Larger than was thought.
    let parts = [first.split(ORG_BYTES), first.split(1)];
    assert_eq!(turns.lock().bytes, ORG_BYTES / 2 + ORG_BYTES + 1);
    drop((slow, first, parts));
    // What is made of it counts as well, and says when that is enough.
    let mut mapped = turns.weigh("acme", 10, 1, false).unwrap();
    assert!(mapped.cover(5) && mapped.cover(ORG_BYTES));
    assert_eq!(turns.lock().bytes, ORG_BYTES);
    assert!(turns.weigh("acme", 1, 1, false).is_none());
    assert!(!mapped.cover(ORG_BYTES + 1));
    assert!(turns.weigh("other", 1, 1, true).is_some());
    drop(mapped);
    let state = turns.lock();
    assert_eq!((state.bytes, state.orgs.len()), (0, 0));
}

#[tokio::test]
async fn what_is_given_back_goes_to_the_orgs_in_turn() {
    let turns = Arc::new(Turns::default());
    let mut held = Vec::new();
    for org in ["a", "b", "c", "d"] {
        held.extend(all_of(&turns, org, false));
    }
    assert_eq!(held.len(), ALL);
    let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
    for (n, org) in ["many", "many", "many", "few"].into_iter().enumerate() {
        wait_for_a_first(&turns, org, org, &told);
        in_line(&turns, n + 1).await;
    }
    let mut came = Vec::new();
    let mut kept = Vec::new();
    for _ in 0..4 {
        drop(held.pop());
        let (org, turn) = soon(order.recv()).await.unwrap().unwrap();
        came.push(org);
        kept.push(turn);
    }
    assert_eq!(came, ["many", "few", "many", "many"]);
    drop((held, kept));
    let state = turns.lock();
    assert_eq!((state.all, state.more, state.orgs.len()), (0, 0, 0));
}

#[tokio::test]
async fn one_that_gives_up_waiting_takes_no_turn() {
    let turns = Arc::new(Turns::default());
    let mut held = Vec::new();
    for org in ["a", "b", "c", "d"] {
        held.extend(all_of(&turns, org, false));
    }
    let mut waits = Box::pin(turns.take("e", false));
    tokio::select! {
        biased;
        _ = &mut waits => panic!("there is none"),
        () = tokio::task::yield_now() => {}
    }
    drop(waits);
    drop(held);
    assert_eq!(turns.lock().all, 0);
    assert!(turns.try_take("e", false).is_some());
}
