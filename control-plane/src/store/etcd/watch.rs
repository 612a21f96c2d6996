//! A watch: etcd's responses made into changes, each with all keys of its revision.
//!
//! ```text
//!   response ─▶ events in order of their revisions ─▶ the newest revision waits until it is whole ─▶ changes
//!   cancelled: compacted, or why ─▶ an error, and the end
//! ```
//!
//! etcd splits a response that is too large for one message, between any two events, and the client doesn't say which are parts of one. A part that
//! is not the last has at least 512 KiB: etcd ends it where one more event would make it larger than a request may be and 512 KiB more. So what comes
//! with less is whole; with more, the newest revision waits for whatever comes next, and a word is asked for that etcd sends only after all parts.
//!
//! What says nothing (etcd's notes of progress) moves nothing: the position is that of the last change. A revision that isn't above it ends the watch.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use etcd_client::{Client, KeyValue, WatchOptions, WatchRequestSender, WatchResponseStream};
use futures_util::stream;
use tokio::time::{Instant, timeout_at};
use tokio_stream::StreamExt as _;

use super::fault::Fault;
use super::members::{CALL, Members};
use super::{EtcdStore, seam_key};
use crate::store::{Change, Changes, Revision, StoreError};

/// Smaller responses are never a part with others to follow: half a MiB, less what etcd's count of a message has around the events.
const MAY_BE_A_PART: usize = 384 * 1024;
/// For key and revisions of an event around key and value; only for the comparison with the above.
const EVENT_BYTES: usize = 64;

struct Following {
    members: Arc<Members>,
    member: usize,
    prefix: String,
    /// Dropped, it would end the watch.
    requests: WatchRequestSender,
    responses: WatchResponseStream,
    position: Revision,
    /// The newest revision, of which more may come.
    open: Option<Change>,
    whole: VecDeque<Change>,
}

impl EtcdStore {
    pub(super) async fn follow(
        &self,
        prefix: &str,
        after: Revision,
    ) -> Result<Changes, StoreError> {
        let begin = |etcd: Client| self.begin(etcd, prefix, after);
        let begun = self.members.begin(Instant::now() + CALL, begin).await;
        let ((requests, responses), member) = begun.map_err(Fault::into_error)?;
        let following = Following {
            members: Arc::clone(&self.members),
            member,
            prefix: self.prefix.clone(),
            requests,
            responses,
            position: after,
            open: None,
            whole: VecDeque::new(),
        };
        // Nobody's task: it goes on when it is read, and ends when it is dropped, its connection with it.
        let changes = stream::unfold(Some(following), |following| async {
            let mut following = following?;
            match following.next().await {
                Ok(change) => Some((Ok(change), Some(following))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Box::pin(changes))
    }

    async fn begin(
        &self,
        etcd: Client,
        prefix: &str,
        after: Revision,
    ) -> Result<(WatchRequestSender, WatchResponseStream), Fault> {
        let (from, end) = self.range(prefix, None);
        let first = i64::try_from(after.saturating_add(1)).unwrap_or(i64::MAX);
        let options = WatchOptions::new()
            .with_range(end)
            .with_start_revision(first)
            .with_progress_notify()
            .with_fragment();
        let mut watch = etcd
            .watch_client()
            .max_decoding_message_size(super::MAX_ANSWER_BYTES)
            .watch(from, Some(options))
            .await?;
        let response = watch.message().await?;
        let response = response.ok_or_else(|| ended("before it began"))?;
        if response.canceled() {
            return Err(cancelled(after, &response));
        }
        Ok(watch.split())
    }

    /// The oldest revision that is remembered, when `asked` isn't: a list is not told, a watch from there is.
    pub(super) async fn compacted(&self, asked: Revision, deadline: Instant) -> StoreError {
        let told = timeout_at(deadline, async {
            let mut changes = self.follow("", asked.saturating_sub(1)).await?;
            changes.next().await.unwrap_or_else(|| Err(no_word()))
        });
        match told.await.unwrap_or_else(|_| Err(no_word())) {
            Err(StoreError::Compacted { oldest, .. }) => StoreError::Compacted { asked, oldest },
            Err(error) => error,
            // It was remembered again: only a store that was put back does that.
            Ok(_) => no_word(),
        }
    }
}

fn no_word() -> StoreError {
    StoreError::Unavailable("etcd does not say what it compacted: try again".to_owned())
}

impl Following {
    async fn next(&mut self) -> Result<Change, StoreError> {
        loop {
            if let Some(change) = self.whole.pop_front() {
                return Ok(change);
            }
            if let Err(fault) = self.read().await {
                if let Fault::Elsewhere(reason) = &fault {
                    self.members.lost(self.member, reason);
                }
                return Err(match fault {
                    Fault::Elsewhere(reason) => StoreError::Unavailable(format!(
                        "{}: {reason}",
                        self.members.address(self.member)
                    )),
                    fault => fault.into_error(),
                });
            }
        }
    }

    async fn read(&mut self) -> Result<(), Fault> {
        let response = self.responses.message().await?;
        let response = response.ok_or_else(|| ended("without a reason"))?;
        if response.canceled() {
            return Err(cancelled(self.position, &response));
        }
        let mut bytes = 0;
        for event in response.events() {
            let kv = event
                .kv()
                .ok_or_else(|| Fault::Elsewhere("etcd sent an event without its key".to_owned()))?;
            bytes += kv.key().len() + kv.value().len() + EVENT_BYTES;
            self.add(kv)?;
        }
        if bytes < MAY_BE_A_PART {
            self.whole.extend(self.open.take());
        } else {
            self.requests.request_progress().await?;
        }
        Ok(())
    }

    fn add(&mut self, kv: &KeyValue) -> Result<(), Fault> {
        let revision = kv.mod_revision().unsigned_abs();
        let key = seam_key(&self.prefix, kv.key()).map_err(Fault::Refused)?;
        // A key that was removed has no versions.
        let value = (kv.version() > 0).then(|| Bytes::copy_from_slice(kv.value()));
        match &mut self.open {
            Some(open) if open.revision == revision => {
                open.keys.push((key, value));
                return Ok(());
            }
            open => self.whole.extend(open.take()),
        }
        // Risk 14: seen of etcd, and silent for whoever takes it.
        if revision <= self.position {
            return Err(Fault::Elsewhere(format!(
                "etcd's watch brought revision {revision} after {}",
                self.position
            )));
        }
        self.position = revision;
        self.open = Some(Change {
            revision,
            keys: vec![(key, value)],
        });
        Ok(())
    }
}

fn cancelled(position: Revision, response: &etcd_client::WatchResponse) -> Fault {
    let oldest = response.compact_revision();
    if oldest > 0 {
        return Fault::Refused(StoreError::Compacted {
            asked: position,
            oldest: oldest.unsigned_abs(),
        });
    }
    // Of an expired token too: the next watch has a new one.
    Fault::Elsewhere(format!(
        "etcd cancelled the watch: {}",
        response.cancel_reason()
    ))
}

fn ended(how: &str) -> Fault {
    Fault::Elsewhere(format!("etcd ended the watch {how}"))
}
