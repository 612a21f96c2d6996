//! What is remembered beside the events, of a log that says nothing.

use std::collections::HashMap;
use std::future::pending;

use hookplane_proto::v1;
use hookplane_rules::Timestamp;

use crate::log::{Activity, ActivityOf, Bucket, LogError, Note, NoteKind, Notes, NotesOf};

pub(super) struct Silence;

#[async_trait::async_trait]
impl Notes for Silence {
    fn note(&self, _note: Note) {}

    async fn notes(
        &self,
        _kind: NoteKind,
        _of: NotesOf<'_>,
        _limit: usize,
    ) -> Result<Vec<v1::Refusal>, LogError> {
        pending().await
    }

    fn count(&self, _counted: v1::GroupCounters) {}

    async fn counts(
        &self,
        _group_uids: &[&str],
    ) -> Result<HashMap<String, v1::GroupCounts>, LogError> {
        pending().await
    }

    fn happened(&self, _org: &str, _group_uid: &str, _at: Timestamp, _activity: Activity) {}

    fn counts_since(&self, _of: ActivityOf<'_>) -> Option<Timestamp> {
        None
    }

    async fn activity(
        &self,
        _of: ActivityOf<'_>,
        _since: Timestamp,
    ) -> Result<Vec<Bucket>, LogError> {
        pending().await
    }

    async fn shapes(&self, _group_uid: &str) -> Result<Vec<(String, bytes::Bytes)>, LogError> {
        pending().await
    }

    async fn remember_shape(
        &self,
        _group_uid: &str,
        _event_type: &str,
        _record: bytes::Bytes,
    ) -> Result<(), LogError> {
        pending().await
    }

    async fn forget(&self, _group_uid: &str) -> Result<(), LogError> {
        pending().await
    }
}
