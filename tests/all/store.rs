//! The config stores, each under the one suite.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use hookplane_control_plane::store::etcd::{EtcdOptions, EtcdStore};
use hookplane_control_plane::store::{EmbeddedStore, Store};
use hookplane_tests::engines::etcd::Etcd;
use hookplane_tests::store_suite as suite;

/// Three members for all tests that break nothing; each has a prefix of its own. They end with this process.
pub(crate) fn cluster() -> &'static Etcd {
    static CLUSTER: OnceLock<Etcd> = OnceLock::new();
    CLUSTER.get_or_init(|| Etcd::start(3))
}

async fn etcd(cluster: &Etcd) -> Arc<dyn Store> {
    static PREFIXES: AtomicUsize = AtomicUsize::new(0);
    let number = PREFIXES.fetch_add(1, Ordering::Relaxed);
    EtcdStore::open(EtcdOptions {
        endpoints: cluster.hosts(),
        prefix: format!("suite-{number}/"),
        ..EtcdOptions::default()
    })
    .await
    .expect("a store")
}

macro_rules! suite {
    ($($test:ident),* $(,)?) => {
        mod on_embedded {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let dir = tempfile::tempdir().expect("a directory");
                let store: Arc<dyn Store> = EmbeddedStore::open(dir.path()).expect("a store");
                suite::$test(store).await;
            })*
        }

        mod on_etcd {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                suite::$test(etcd(cluster()).await).await;
            })*
        }
    };
}

suite!(
    preconditions_hold_or_nothing_is_written,
    a_list_is_of_one_revision,
    a_watch_brings_every_change_in_order,
    a_slow_watcher_misses_nothing,
    of_two_writers_one_wins,
    what_is_too_large_is_refused,
    what_is_as_large_as_may_be_is_taken,
    what_changes_nothing_has_no_revision_of_its_own,
    of_writes_of_one_key_the_last_holds,
    a_long_list_holds_still_while_writes_go_on,
    a_watch_begun_late_brings_all_there_was,
);

#[tokio::test]
async fn embedded_says_what_it_has_forgotten() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open_keeping(dir.path(), 1).expect("a store");
    suite::what_is_forgotten_is_said(store, |_| {}).await;
}

// Compaction is of a whole cluster, so this one is its own.
#[tokio::test]
async fn etcd_says_what_it_has_forgotten() {
    let cluster = Etcd::start(1);
    let compact = |before: u64| {
        let done = cluster.ctl(0, &["compact", &before.to_string()]);
        done.expect("etcd compacts");
    };
    suite::what_is_forgotten_is_said(etcd(&cluster).await, compact).await;
}
