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
use etcd_client::{Client, WatchOptions, WatchRequestSender, WatchResponseStream};
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
    parts: Parts,
}

/// Events, made into changes.
struct Parts {
    /// Of the last event.
    position: Revision,
    /// The newest revision, of which more may come.
    open: Option<Change>,
    whole: VecDeque<Change>,
    /// Of the response that is being read.
    bytes: usize,
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
            parts: Parts::after(after),
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
            if let Some(change) = self.parts.whole.pop_front() {
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
            return Err(cancelled(self.parts.position, &response));
        }
        for event in response.events() {
            let kv = event
                .kv()
                .ok_or_else(|| Fault::Elsewhere("etcd sent an event without its key".to_owned()))?;
            let key = seam_key(&self.prefix, kv.key()).map_err(Fault::Refused)?;
            // A key that was removed has no versions.
            let value = (kv.version() > 0).then(|| Bytes::copy_from_slice(kv.value()));
            self.parts
                .add(kv.mod_revision().unsigned_abs(), key, value)?;
        }
        if !self.parts.response_ends() {
            self.requests.request_progress().await?;
        }
        Ok(())
    }
}

impl Parts {
    fn after(position: Revision) -> Self {
        Self {
            position,
            open: None,
            whole: VecDeque::new(),
            bytes: 0,
        }
    }

    fn add(&mut self, revision: Revision, key: String, value: Option<Bytes>) -> Result<(), Fault> {
        self.bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + EVENT_BYTES;
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

    /// False when more of the newest revision may come.
    fn response_ends(&mut self) -> bool {
        let whole = std::mem::take(&mut self.bytes) < MAY_BE_A_PART;
        if whole {
            self.whole.extend(self.open.take());
        }
        whole
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

#[cfg(test)]
mod tests {
    use super::*;

    fn add(parts: &mut Parts, revision: Revision, bytes: usize) -> Result<(), Fault> {
        parts.add(revision, "v1/a".to_owned(), Some(vec![0; bytes].into()))
    }

    fn taken(parts: &mut Parts) -> Vec<(Revision, usize)> {
        let whole = parts.whole.drain(..);
        whole.map(|c| (c.revision, c.keys.len())).collect()
    }

    #[test]
    fn a_revision_waits_until_all_its_parts_are_there() {
        let mut parts = Parts::after(4);
        add(&mut parts, 5, 10).unwrap();
        add(&mut parts, 6, MAY_BE_A_PART).unwrap();
        assert!(!parts.response_ends(), "a word is asked for");
        assert_eq!(taken(&mut parts), [(5, 1)]);
        add(&mut parts, 6, 10).unwrap();
        add(&mut parts, 7, 10).unwrap();
        assert!(parts.response_ends());
        assert_eq!(taken(&mut parts), [(6, 2), (7, 1)]);
    }

    #[test]
    fn the_word_that_was_asked_for_ends_a_large_revision() {
        let mut parts = Parts::after(4);
        add(&mut parts, 5, MAY_BE_A_PART).unwrap();
        assert!(!parts.response_ends());
        assert_eq!(taken(&mut parts), []);
        // It has no events.
        assert!(parts.response_ends());
        assert_eq!(taken(&mut parts), [(5, 1)]);
    }

    // Risk 14: a watch that repeats or rewinds ends, and what came before that is delivered.
    #[test]
    fn a_revision_that_does_not_grow_ends_the_watch() {
        for late in [3, 4, 5] {
            let mut parts = Parts::after(4);
            add(&mut parts, 5, 1).unwrap();
            add(&mut parts, 6, 1).unwrap();
            assert!(parts.response_ends());
            let Err(Fault::Elsewhere(reason)) = add(&mut parts, late, 1) else {
                panic!("revision {late} was taken after 6");
            };
            assert!(reason.contains(&format!("revision {late} after 6")));
            assert_eq!(taken(&mut parts), [(5, 1), (6, 1)]);
        }
        let mut parts = Parts::after(4);
        assert!(add(&mut parts, 4, 1).is_err(), "it was asked for after 4");
    }
}
