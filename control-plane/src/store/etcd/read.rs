//! Reads, all of them linearizable: a member that lags asks the leader how far it is, and waits for it.

use bytes::Bytes;
use etcd_client::{Client, GetOptions, GetResponse, KeyValue};
use tokio::time::Instant;

use super::fault::Fault;
use super::members::CALL;
use super::{EtcdStore, MAX_ANSWER_BYTES, revision_of, seam_key};
use crate::store::{Entry, Listing, Revision, StoreError};

impl EtcdStore {
    pub(super) async fn read_one(
        &self,
        key: &str,
        deadline: Instant,
    ) -> Result<Option<Entry>, StoreError> {
        let found = self
            .read(self.stored(key).into(), GetOptions::new(), deadline)
            .await
            .map_err(Fault::into_error)?;
        found.kvs().first().map(|kv| self.entry(kv)).transpose()
    }

    /// One page of the seam is one of etcd, or several where that would be too large for one message.
    pub(super) async fn read_page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Listing, StoreError> {
        let deadline = Instant::now() + CALL;
        let mut at = at;
        let mut entries: Vec<Entry> = Vec::new();
        let mut ask = limit.max(1);
        loop {
            let last = entries.last().map(|entry| entry.key.as_str());
            let (from, end) = self.range(prefix, last.or(after));
            let want = ask.min(limit.max(1) - entries.len());
            let options = GetOptions::new()
                .with_range(end)
                .with_limit(i64::try_from(want).unwrap_or(i64::MAX))
                .with_revision(at.map_or(Ok(0), i64::try_from).unwrap_or(i64::MAX));
            let found = match self.read(from, options, deadline).await {
                Ok(found) => found,
                Err(Fault::TooLong) if want > 1 => {
                    ask = want / 2;
                    continue;
                }
                Err(Fault::Compacted) => {
                    return Err(self.compacted(at.unwrap_or(0), deadline).await);
                }
                Err(fault) => return Err(fault.into_error()),
            };
            let revision = match at {
                Some(at) => at,
                None => revision_of(found.header()).map_err(Fault::into_error)?,
            };
            at = Some(revision);
            for kv in found.kvs() {
                entries.push(self.entry(kv)?);
            }
            if entries.len() >= limit || !found.more() {
                entries.truncate(limit);
                return Ok(Listing { entries, revision });
            }
        }
    }

    async fn read(
        &self,
        from: Vec<u8>,
        options: GetOptions,
        deadline: Instant,
    ) -> Result<GetResponse, Fault> {
        self.members
            .call(deadline, |etcd: Client| {
                let (from, options) = (from.clone(), options.clone());
                async move {
                    etcd.kv_client()
                        .max_decoding_message_size(MAX_ANSWER_BYTES)
                        .get(from, Some(options))
                        .await
                }
            })
            .await
    }

    fn entry(&self, kv: &KeyValue) -> Result<Entry, StoreError> {
        Ok(Entry {
            key: seam_key(&self.prefix, kv.key())?,
            value: Bytes::copy_from_slice(kv.value()),
            revision: kv.mod_revision().unsigned_abs(),
        })
    }
}
