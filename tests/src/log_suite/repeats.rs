//! Two backends tell the same repeats, whatever comes.

use std::time::Duration;

use hookplane_control_plane::log::{Appended, NewCallback};
use hookplane_proto::v1;

use super::{Backend, append, callback};

const ROUNDS: usize = 250;

/// Numbers that look random, the same for a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// One of few, so that they meet; or none.
    fn key(&mut self, few: u64) -> Option<[u8; 32]> {
        let key = self.below(few + 1) as u8;
        (key > 0).then_some([key; 32])
    }
}

fn any_callback(numbers: &mut Numbers, round: usize) -> NewCallback {
    let mut new = callback("", None, None, 0);
    let one = new.events.remove(0);
    new.group_uid = format!("group-{}", numbers.below(2));
    new.refuse_suspected_replays = numbers.below(3) == 0;
    // Time passes by whole minutes, and one of the clocks moves by itself.
    new.dedup_window = Duration::from_secs(60 * 60 + 30);
    let providers = numbers.below(3);
    for item in 0..=numbers.below(6).saturating_sub(2) {
        let mut event = one.clone();
        event.event.group_uid.clone_from(&new.group_uid);
        event.event.body = Vec::new().into();
        event.event.id = format!("e{round:04}-{item}");
        let (delivery, id) = match providers {
            0 => (None, None),
            1 => (numbers.key(5), None),
            _ => (numbers.key(5), numbers.key(3)),
        };
        event.dedup.delivery_key = delivery;
        event.dedup.id_key = id.filter(|_| delivery.is_some());
        event.dedup.content_key = numbers.key(6);
        event.dedup.body_digest = [numbers.below(3) as u8; 32];
        if numbers.below(8) == 0 {
            event.deliveries[0].hold = Some("a reason".into());
        }
        new.events.push(event);
    }
    new
}

/// Gives both the same callbacks, of which many repeat one another in every way.
///
/// Risks 6 and 7.
pub async fn are_told_alike(one: &dyn Backend, other: &dyn Backend, seed: u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let (a, b) = (one.open(dir.path()).await, other.open(dir.path()).await);
    let mut numbers = Numbers(seed | 1);
    let mut sent: Vec<NewCallback> = Vec::new();
    let mut met = [0; 3];
    for round in 0..ROUNDS {
        let again = numbers.below(8) == 0 && !sent.is_empty();
        let new = if again {
            let which = numbers.below(sent.len() as u64) as usize;
            sent[which].clone()
        } else {
            any_callback(&mut numbers, round)
        };
        let answer = append(&*a, new.clone()).await;
        assert_eq!(
            answer,
            append(&*b, new.clone()).await,
            "seed {seed}, round {round}: {new:?}"
        );
        met[match answer {
            Appended::Kept { .. } => 0,
            Appended::Duplicate { .. } => 1,
            Appended::Replay { .. } => 2,
        }] += 1;
        sent.push(new);
        if numbers.below(10) == 0 {
            let by = Duration::from_secs(60 * numbers.below(40));
            one.advance(dir.path(), by).await;
            other.advance(dir.path(), by).await;
        }
    }
    assert!(met.iter().all(|count| *count > 10), "{met:?} of each kind");
    for event in sent.iter().flat_map(|callback| &callback.events) {
        let id = &event.event.id;
        let (a, b) = (a.event(id).await, b.event(id).await);
        let told = |event: v1::Event| (event.flags, event.duplicate_of, event.duplicates);
        assert_eq!(a.map(told), b.map(told), "seed {seed}, event {id}");
    }
    a.close().await;
    b.close().await;
}
