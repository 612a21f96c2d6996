//! The config stores, each under the one suite.

use std::sync::Arc;

use hookplane_control_plane::store::{EmbeddedStore, Store};
use hookplane_tests::store_suite as suite;

macro_rules! embedded {
    ($($test:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let dir = tempfile::tempdir().expect("a directory");
            let store: Arc<dyn Store> = EmbeddedStore::open(dir.path()).expect("a store");
            suite::$test(store).await;
        }
    )*};
}

mod embedded {
    use super::*;

    embedded!(
        preconditions_hold_or_nothing_is_written,
        a_list_is_of_one_revision,
        a_watch_brings_every_change_in_order,
        a_slow_watcher_misses_nothing,
        of_two_writers_one_wins,
        what_is_too_large_is_refused,
    );
}
