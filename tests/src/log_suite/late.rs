//! What is kept in another order than it was received in.

use hookplane_control_plane::log::Selection;
use hookplane_rules::Timestamp;

use super::reads::{all_deliveries, all_events, shaped};
use super::{Backend, append};

// A list by time walks a part of the line only. Let it take the first of a block for the earliest of it, or the last for the latest, and what came late is
// not found.
pub(super) async fn what_was_received_late_is_found_by_its_time(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    // As they are kept, and when each was received.
    let kept = [
        ("e1", 50),
        ("e2", 90),
        ("e3", 10),
        ("e4", 51),
        ("e5", 99),
        ("e6", 52),
    ];
    let of = |since: i64, until: i64| Selection {
        since: Some(Timestamp(since * 1000)),
        until: Some(Timestamp(until * 1000)),
        ..Selection::default()
    };
    for (n, (id, second)) in (1..).zip(kept) {
        append(&*log, shaped(id, "acme", "g", "order", second, &["w"])).await;
        // Each is indexed by itself, and the last two not yet.
        while n < 5 && log.index().await.expect("indexes") {}
    }
    for indexed in [false, true] {
        while indexed && log.index().await.expect("indexes") {}
        for (since, until, found) in [
            (10, 11, "e3"),
            (0, 10, ""),
            (50, 53, "e6 e4 e1"),
            (90, 91, "e2"),
            (99, 100, "e5"),
            (100, 200, ""),
            (0, 1000, "e6 e5 e4 e3 e2 e1"),
        ] {
            for limit in [1, 100] {
                let selection = of(since, until);
                let events = all_events(&*log, &selection, limit).await;
                assert_eq!(events, found, "{since} to {until}, indexed: {indexed}");
                let deliveries = all_deliveries(&*log, &selection, limit).await;
                assert_eq!(deliveries.replace("-1", ""), found, "{since} to {until}");
            }
        }
    }
    log.close().await;
}
