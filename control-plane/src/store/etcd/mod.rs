//! The store on etcd, for any number of control planes: every key under one prefix of a cluster, revisions are etcd's own.
//!
//! ```text
//!   get, list ─▶ members ─▶ range (linearizable)        one channel per member; the one that answered last is asked first,
//!   commit ───▶ marks ──▶ members ─▶ transaction        the others when it doesn't answer in its share of the time
//!   watch ────▶ members ─▶ a connection of its own, at another member than the last watch
//! ```
//!
//! A call takes 5 s at most, whatever the members do. A commit whose answer was lost is tried again at another member and never made twice, nor
//! taken for somebody else's: each carries a mark (see `marks`). One that could not be settled in its time is `Unavailable`, and may have been made.
//! A list is linearizable, and its pages are all of the first one's revision. A watch asks for a member that has a leader, pings its connection, and
//! checks that revisions grow; one that is silent all the same is noticed by the canary (`config::canary`), which begins another.
//!
//! etcd counts one revision for everybody who uses the cluster, so revisions here have gaps. It forgets old ones when told to (`etcd
//! --auto-compaction-retention`); this store never tells it to, since the cluster may not be its own.

mod commit;
mod connect;
mod fault;
mod marks;
mod members;
mod read;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::connect::{Dialer, check_address};
use self::fault::Fault;
use self::marks::{AFTER_KEYS, Marks, random};
use self::members::Members;
use super::{Changes, Entry, Listing, Revision, Store, StoreError, Transaction, bounds};
use crate::outgoing::OutgoingTls;

/// For the first answer of any member.
const OPEN: Duration = Duration::from_secs(10);
/// Of one message of etcd's: a page, or a watch's response. A value and its key fit many times.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Where the cluster is, and as whom.
#[derive(Clone)]
pub struct EtcdOptions {
    /// The members, each `HOST:PORT`.
    pub endpoints: Vec<String>,
    /// What all of the store's keys begin with, `hookplane/` by default. Two installations on one cluster need two.
    pub prefix: String,
    /// Without it connections are plain.
    pub tls: Option<OutgoingTls>,
    /// Name and password, where etcd has its users checked.
    pub user: Option<(String, String)>,
}

impl Default for EtcdOptions {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            prefix: "hookplane/".to_owned(),
            tls: None,
            user: None,
        }
    }
}

/// The store on etcd.
pub struct EtcdStore {
    prefix: String,
    members: Arc<Members>,
    marks: Marks,
}

impl EtcdStore {
    /// Opens it as soon as a member answers; fails when none does within 10 s.
    pub async fn open(options: EtcdOptions) -> Result<Arc<Self>, StoreError> {
        let EtcdOptions {
            endpoints,
            prefix,
            tls,
            user,
        } = options;
        if endpoints.is_empty() {
            return Err(StoreError::Unavailable(
                "no member of etcd was named: name them as HOST:PORT".to_owned(),
            ));
        }
        endpoints.iter().try_for_each(|one| check_address(one))?;
        let marks = Marks::new(&prefix)?;
        let first = usize::from(random()?[0]);
        let store = Arc::new(Self {
            members: Arc::new(Members::new(endpoints, Dialer { tls, user }, first)),
            prefix,
            marks,
        });
        store.read_one("", Instant::now() + OPEN).await?;
        Ok(store)
    }

    fn stored(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// From where to where keys with this prefix are, those after `after`.
    fn range(&self, prefix: &str, after: Option<&str>) -> (Vec<u8>, Vec<u8>) {
        let end = if prefix.is_empty() {
            self.stored(AFTER_KEYS).into_bytes()
        } else {
            past(self.stored(prefix))
        };
        let mut from = self.stored(prefix);
        if let Some(after) = after.filter(|after| *after >= prefix) {
            // The first key that can follow.
            from = self.stored(after) + "\0";
        }
        (from.into_bytes(), end)
    }
}

/// The first that doesn't begin with it.
fn past(prefix: String) -> Vec<u8> {
    let mut end = prefix.into_bytes();
    // Text has no byte 0xff.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// A key as the seam has it.
fn seam_key(prefix: &str, stored: &[u8]) -> Result<String, StoreError> {
    stored
        .strip_prefix(prefix.as_bytes())
        .and_then(|key| String::from_utf8(key.to_vec()).ok())
        .ok_or_else(|| {
            StoreError::Damaged(format!(
                "etcd has `{}`, which is not ours: keep others out of `{prefix}`",
                String::from_utf8_lossy(stored)
            ))
        })
}

fn revision_of(header: Option<&etcd_client::ResponseHeader>) -> Result<Revision, Fault> {
    header
        .map(|header| header.revision().unsigned_abs())
        .ok_or_else(|| Fault::Elsewhere("etcd answered without a revision".to_owned()))
}

#[async_trait::async_trait]
impl Store for EtcdStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.read_one(key, Instant::now() + members::CALL).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Listing, StoreError> {
        self.read_page(prefix, after, limit, at).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        bounds::check(&transaction)?;
        self.transact(transaction).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        self.follow(prefix, after).await
    }
}
