//! What was turned away or not kept lately, and the counts: in memory, since this process started.

mod ring;

use std::collections::HashMap;

use hookplane_proto::v1;

use crate::log::counts::Counts;
use crate::log::{LogError, Note, NoteKind, Notes, NotesOf};
use ring::Ring;

/// All of it.
#[derive(Default)]
pub(super) struct InMemory {
    refused: Ring,
    not_kept: Ring,
    codes: Ring,
    counts: Counts,
}

impl InMemory {
    fn of(&self, kind: NoteKind) -> &Ring {
        match kind {
            NoteKind::Refused => &self.refused,
            NoteKind::NotKept => &self.not_kept,
            NoteKind::Code => &self.codes,
        }
    }
}

#[async_trait::async_trait]
impl Notes for InMemory {
    fn note(&self, note: Note) {
        self.of(note.kind).push(note);
    }

    async fn notes(
        &self,
        kind: NoteKind,
        of: NotesOf<'_>,
        limit: usize,
    ) -> Result<Vec<v1::Refusal>, LogError> {
        let ring = self.of(kind);
        Ok(match of {
            NotesOf::All => ring.newest(limit, |_| true),
            NotesOf::Org { org, since } => ring.newest(limit, |note| {
                note.refusal.org == org && since.is_none_or(|since| note.time() >= since)
            }),
            NotesOf::Group(uid) => ring.of_group(uid, limit),
        })
    }

    fn count(&self, counted: v1::GroupCounters) {
        self.counts.add(counted);
    }

    async fn counts(
        &self,
        group_uids: &[&str],
    ) -> Result<HashMap<String, v1::GroupCounts>, LogError> {
        Ok(self.counts.of(group_uids))
    }

    async fn shapes(&self, _group_uid: &str) -> Result<Vec<(String, bytes::Bytes)>, LogError> {
        Err(LogError::Unavailable("not built yet".to_owned()))
    }

    async fn remember_shape(
        &self,
        _group_uid: &str,
        _event_type: &str,
        _record: bytes::Bytes,
    ) -> Result<(), LogError> {
        Err(LogError::Unavailable("not built yet".to_owned()))
    }

    async fn forget(&self, group_uid: &str) -> Result<(), LogError> {
        self.counts.forget(group_uid);
        Ok(())
    }
}
