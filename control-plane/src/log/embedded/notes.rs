//! What was turned away or not kept lately, and the counts: in memory, since this process started. What was learned of event types is kept.

mod ring;

use std::collections::HashMap;

use hookplane_proto::v1;
use hookplane_rules::Timestamp;

use super::{EmbeddedLog, shapes};
use crate::log::activity::Buckets;
use crate::log::counts::Counts;
use crate::log::{
    Activity, ActivityOf, Bucket, LogError, MAX_SHAPE_BYTES, Note, NoteKind, Notes, NotesOf,
};
use ring::Ring;

/// All of it.
pub(super) struct InMemory {
    refused: Ring,
    not_kept: Ring,
    codes: Ring,
    counts: Counts,
    activity: Buckets,
    /// When counting began.
    since: Timestamp,
}

impl InMemory {
    pub(super) fn since(now: Timestamp) -> Self {
        Self {
            refused: Ring::default(),
            not_kept: Ring::default(),
            codes: Ring::default(),
            counts: Counts::default(),
            activity: Buckets::default(),
            since: now,
        }
    }

    fn of(&self, kind: NoteKind) -> &Ring {
        match kind {
            NoteKind::Refused => &self.refused,
            NoteKind::NotKept => &self.not_kept,
            NoteKind::Code => &self.codes,
        }
    }
}

#[async_trait::async_trait]
impl Notes for EmbeddedLog {
    fn note(&self, note: Note) {
        self.shared.notes.of(note.kind).push(note);
    }

    async fn notes(
        &self,
        kind: NoteKind,
        of: NotesOf<'_>,
        limit: usize,
    ) -> Result<Vec<v1::Refusal>, LogError> {
        let ring = self.shared.notes.of(kind);
        Ok(match of {
            NotesOf::All => ring.newest(limit, |_| true),
            NotesOf::Org { org, since } => ring.newest(limit, |note| {
                note.refusal.org == org && since.is_none_or(|since| note.time() >= since)
            }),
            NotesOf::Group(uid) => ring.of_group(uid, limit),
        })
    }

    fn count(&self, counted: v1::GroupCounters) {
        self.shared.notes.counts.add(counted);
    }

    async fn counts(
        &self,
        group_uids: &[&str],
    ) -> Result<HashMap<String, v1::GroupCounts>, LogError> {
        Ok(self.shared.notes.counts.of(group_uids))
    }

    fn happened(&self, org: &str, group_uid: &str, at: Timestamp, activity: Activity) {
        self.shared.notes.activity.add(org, group_uid, at, activity);
    }

    fn counts_since(&self, of: ActivityOf<'_>) -> Option<Timestamp> {
        let notes = &self.shared.notes;
        Some(
            notes
                .activity
                .cut(of)
                .map_or(notes.since, |cut| cut.max(notes.since)),
        )
    }

    async fn activity(
        &self,
        of: ActivityOf<'_>,
        since: Timestamp,
    ) -> Result<Vec<Bucket>, LogError> {
        Ok(self.shared.notes.activity.of(of, since))
    }

    async fn shapes(&self, group_uid: &str) -> Result<Vec<(String, bytes::Bytes)>, LogError> {
        let group_uid = group_uid.to_owned();
        self.read(move |db| shapes::of(db, &group_uid)).await
    }

    async fn remember_shape(
        &self,
        group_uid: &str,
        event_type: &str,
        record: bytes::Bytes,
    ) -> Result<(), LogError> {
        if record.len() > MAX_SHAPE_BYTES {
            return Ok(());
        }
        let (group_uid, event_type) = (group_uid.to_owned(), event_type.to_owned());
        self.write(record.len(), move |tables| {
            shapes::remember(tables, &group_uid, &event_type, &record)
        })
        .await
    }

    async fn forget(&self, group_uid: &str) -> Result<(), LogError> {
        self.shared.notes.counts.forget(group_uid);
        self.shared.notes.activity.forget(group_uid);
        let group_uid = group_uid.to_owned();
        self.write(64, move |tables| shapes::forget(tables, &group_uid))
            .await
    }
}
