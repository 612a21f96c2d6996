//! The config stores, each under the one suite.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use hookplane_control_plane::store::etcd::{EtcdOptions, EtcdStore};
use hookplane_control_plane::store::{EmbeddedStore, Store};
use hookplane_tests::engines::etcd::Etcd;
use hookplane_tests::store_suite as suite;

/// Three members for all these tests; each has a prefix of its own. They end with this process.
fn cluster() -> &'static Etcd {
    static CLUSTER: OnceLock<Etcd> = OnceLock::new();
    CLUSTER.get_or_init(|| Etcd::start(3))
}

async fn etcd() -> Arc<dyn Store> {
    static PREFIXES: AtomicUsize = AtomicUsize::new(0);
    let number = PREFIXES.fetch_add(1, Ordering::Relaxed);
    let hosts = cluster().endpoints();
    EtcdStore::open(EtcdOptions {
        endpoints: hosts
            .iter()
            .map(|url| url.trim_start_matches("http://").to_owned())
            .collect(),
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
                suite::$test(etcd().await).await;
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
);
