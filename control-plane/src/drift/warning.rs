//! What of a shape is no longer what a webhook may expect.

use hookplane_proto::v1;
use hookplane_rules::Timestamp;

use super::shape::{Seen, Shape};
use super::walk;

/// In so many events that were looked at, one after the other, a path has to have been before it is missed, and to be missing before it counts
/// as gone. What comes now and then is not drift.
const ENOUGH: u64 = 20;
/// Events with the new kind of a value, and none of the old one, before that is told.
const ENOUGH_OF_NEW: u64 = 5;

/// What became of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drifted {
    pub(super) message: String,
    pub(super) since: Timestamp,
}

/// None while a path is what it was.
pub(super) fn of_path(shape: &Shape, path: &str) -> Option<Drifted> {
    let seen = shape.paths.get(path)?;
    gone(seen, shape.samples).or_else(|| changed(seen))
}

/// True when any path is not what it was.
pub(super) fn is_any(shape: &Shape) -> bool {
    let mut all = shape.paths.values();
    all.any(|seen| gone(seen, shape.samples).is_some() || changed(seen).is_some())
}

fn gone(seen: &Seen, samples: u64) -> Option<Drifted> {
    let all = &seen.all;
    let was_always_there = all.count >= ENOUGH && all.count == all.last - all.first + 1;
    let missing = samples.saturating_sub(all.last);
    (was_always_there && missing >= ENOUGH).then(|| Drifted {
        message: format!(
            "is gone: it was in every event, and in none of the last {missing} that were looked at"
        ),
        since: Timestamp(all.last_time),
    })
}

fn changed(seen: &Seen) -> Option<Drifted> {
    let mut kinds: Vec<_> = seen
        .kinds
        .iter()
        .filter(|(kind, _)| **kind != walk::NULL)
        .collect();
    kinds.sort_by_key(|(_, span)| span.last);
    let (new_kind, new) = kinds.pop()?;
    let (old_kind, old) = kinds.pop()?;
    let is_change = old.last < new.first && old.count >= ENOUGH && new.count >= ENOUGH_OF_NEW;
    is_change.then(|| Drifted {
        message: format!(
            "was {} and is {}",
            walk::name(*old_kind),
            walk::name(*new_kind)
        ),
        since: Timestamp(new.first_time),
    })
}

/// Of one event type, for what a webhook reads: the paths as they are written there, and as they are found.
pub(super) fn of_webhook(
    event_type: &str,
    shape: &Shape,
    reads: &[(String, String)],
) -> Vec<v1::WebhookWarning> {
    let drifted = reads.iter().filter_map(|(written, found)| {
        let drifted = of_path(shape, found)?;
        Some(v1::WebhookWarning {
            event_type: event_type.to_owned(),
            path: written.clone(),
            message: drifted.message,
            since: Some(hookplane_rules::time::to_wire(drifted.since)),
        })
    });
    drifted.collect()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::drift::walk::paths;

    fn learn(shape: &mut Shape, times: u64, payload: &str) {
        let payload = hookplane_rules::payload::Json::validate(payload.to_owned().into()).unwrap();
        for _ in 0..times {
            let now = Timestamp(i64::try_from(shape.samples + 1).unwrap() * 1_000);
            shape.learn(&paths(&payload), now);
        }
    }

    fn said(shape: &Shape, path: &str) -> Option<(String, i64)> {
        of_path(shape, path).map(|drifted| (drifted.message, drifted.since.0))
    }

    #[test]
    fn a_path_that_was_always_there_and_is_missing_is_told_until_it_is_back() {
        let mut shape = Shape::default();
        learn(
            &mut shape,
            ENOUGH,
            r#"{"id": 1, "customer": {"email": "x"}}"#,
        );
        learn(&mut shape, ENOUGH - 1, r#"{"id": 1}"#);
        assert_eq!(said(&shape, "payload.customer.email"), None);
        learn(&mut shape, 1, r#"{"id": 1}"#);
        let (message, since) = said(&shape, "payload.customer.email").unwrap();
        assert!(message.starts_with("is gone"), "{message}");
        assert_eq!(since, 20_000, "when it was last there");
        assert_eq!(said(&shape, "payload.id"), None);
        assert!(is_any(&shape));
        learn(&mut shape, 1, r#"{"id": 1, "customer": {"email": "x"}}"#);
        assert_eq!(said(&shape, "payload.customer.email"), None);
    }

    #[test]
    fn what_comes_now_and_then_is_not_missed() {
        let mut shape = Shape::default();
        for _ in 0..ENOUGH * 2 {
            learn(&mut shape, 1, r#"{"note": 1}"#);
            learn(&mut shape, 1, "{}");
        }
        learn(&mut shape, ENOUGH * 2, "{}");
        assert!(!is_any(&shape));
    }

    #[test]
    fn a_number_that_became_text_is_told_and_null_says_nothing() {
        let mut shape = Shape::default();
        learn(&mut shape, ENOUGH, r#"{"total": 12.5}"#);
        learn(&mut shape, 30, r#"{"total": null}"#);
        assert!(!is_any(&shape));
        learn(&mut shape, ENOUGH_OF_NEW, r#"{"total": "12.5"}"#);
        let (message, since) = said(&shape, "payload.total").unwrap();
        assert_eq!(message, "was a number and is text");
        assert_eq!(since, 51_000);
        // Back, or now both.
        learn(&mut shape, 1, r#"{"total": 1}"#);
        assert!(!is_any(&shape));
    }

    #[test]
    fn what_two_replicas_learned_reads_as_if_one_had() {
        let mut whole = Shape::default();
        learn(&mut whole, ENOUGH, r#"{"id": 1, "a": true}"#);
        let mut first = whole.clone();
        learn(&mut whole, ENOUGH, r#"{"id": "x"}"#);
        let mut later = Shape::default();
        learn(&mut later, ENOUGH, r#"{"id": "x"}"#);
        first.append(&later);
        for path in ["payload.id", "payload.a"] {
            assert_eq!(
                said(&first, path).map(|(message, _)| message),
                said(&whole, path).map(|(message, _)| message)
            );
            assert!(said(&first, path).is_some());
        }
        let again = Shape::decode(first.kept()).unwrap();
        assert_eq!(again, first);
    }

    #[test]
    fn a_shape_is_kept_within_its_bound() {
        let mut shape = Shape::default();
        for n in 0..500 {
            let name = format!("payload.{}{n}", "n".repeat(200));
            shape.learn(&[(name, 0b10_1110)].into(), Timestamp(1_700_000_000_000));
        }
        let kept = shape.kept();
        assert!(kept.len() <= crate::log::MAX_SHAPE_BYTES && kept.len() > 40_000);
    }
}
