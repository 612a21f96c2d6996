//! What is remembered beside the events: what was turned away lately, examples of what was genuine and not kept, and how often either was.
//! For operators. Never a body, never a credential.
//!
//! It promises less than the log does, so that it costs little: noting and counting never wait and never fail, and what was noted in the last
//! second before a crash may be lost; a listener's round of counts that it had to send again to another replica may count twice. All that share
//! a log share these. Everything is bounded by the numbers here, with every backend.

use std::collections::HashMap;

use hookplane_proto::v1;
use hookplane_rules::Timestamp;

use super::{Activity, ActivityOf, Bucket, LogError};

/// Of one text, in bytes.
const TEXT_BYTES: usize = 512;
/// Header names of one note.
const HEADER_NAMES: usize = 100;
/// Of one of them, in bytes.
const HEADER_NAME_BYTES: usize = 100;
/// Event types of one group whose shape is kept.
pub const MAX_SHAPES: usize = 500;
/// Of one shape.
pub const MAX_SHAPE_BYTES: usize = 64 * 1024;
/// Webhooks whose clause one note shows.
pub(crate) const VERDICTS: usize = 50;
/// Names of secrets counted in one group: more than a group has at a time, so that those of a rotation fit.
pub(super) const MAX_SECRETS: usize = 32;
/// Of a secret's name, in bytes.
pub(super) const MAX_NAME_BYTES: usize = 256;

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// A request that was turned away.
    Refused,
    /// One that was genuine and isn't kept. An example: it is counted in full.
    NotKept,
    /// A code that a provider sent for a person to type in, as the note's reason.
    Code,
}

impl NoteKind {
    /// Remembered in all.
    pub(super) fn max(self) -> usize {
        match self {
            Self::Refused => 10_000,
            Self::NotKept | Self::Code => 5_000,
        }
    }

    /// Remembered of one group, or of the requests that led to none: a flood on one URL doesn't wash the others out.
    pub(super) fn max_per_group(self) -> usize {
        match self {
            Self::Refused => 1_000,
            Self::NotKept | Self::Code => 50,
        }
    }
}

/// One, cut to size.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    pub(super) kind: NoteKind,
    /// Empty where it led to no group. A name used again is another group.
    pub(super) group_uid: String,
    pub(super) refusal: v1::Refusal,
}

impl Note {
    /// `group_uid`: of the group that it names; empty when it led to none.
    pub fn new(kind: NoteKind, group_uid: &str, mut refusal: v1::Refusal) -> Self {
        for text in [
            &mut refusal.org,
            &mut refusal.group,
            &mut refusal.clause,
            &mut refusal.reason,
            &mut refusal.method,
            &mut refusal.listener,
            &mut refusal.remote_address,
            &mut refusal.event_type,
            &mut refusal.delivery_id,
            &mut refusal.cause,
            &mut refusal.advice,
        ] {
            cut(text, TEXT_BYTES);
        }
        shorten(&mut refusal.header_names, HEADER_NAMES);
        for name in &mut refusal.header_names {
            cut(name, HEADER_NAME_BYTES);
        }
        // What is turned away never came as far as a webhook; a listener that says so says what isn't.
        let verdicts = if kind == NoteKind::NotKept {
            VERDICTS
        } else {
            0
        };
        shorten(&mut refusal.verdicts, verdicts);
        for verdict in &mut refusal.verdicts {
            for text in [
                &mut verdict.webhook,
                &mut verdict.webhook_uid,
                &mut verdict.reason,
            ] {
                cut(text, TEXT_BYTES);
            }
        }
        cut(&mut refusal.group_uid, TEXT_BYTES);
        Self {
            kind,
            group_uid: group_uid.to_owned(),
            refusal,
        }
    }

    pub(super) fn time(&self) -> Timestamp {
        let time = self.refusal.time.as_ref();
        time.map(hookplane_rules::time::from_wire)
            .unwrap_or_default()
    }
}

/// Which notes are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotesOf<'a> {
    /// Any, and also those that led to no group.
    All,
    /// Of one org. What came before `since` was another org's, of the same name.
    Org {
        /// Its name.
        org: &'a str,
        /// When it was made, where that is known.
        since: Option<Timestamp>,
    },
    /// Of one group, by its uid.
    Group(&'a str),
}

/// The seam's lesser half.
#[async_trait::async_trait]
pub trait Notes: Send + Sync + 'static {
    /// Remembers one. The oldest goes where there are too many.
    fn note(&self, note: Note);

    /// Newest first, at most `limit`.
    async fn notes(
        &self,
        kind: NoteKind,
        of: NotesOf<'_>,
        limit: usize,
    ) -> Result<Vec<v1::Refusal>, LogError>;

    /// Adds what a listener counted since it last said so.
    fn count(&self, counted: v1::GroupCounters);

    /// Of groups, by their uids. One without any is left out.
    async fn counts(
        &self,
        group_uids: &[&str],
    ) -> Result<HashMap<String, v1::GroupCounts>, LogError>;

    /// Adds what just became of callbacks or deliveries of a group. `at` is the time of whoever adds.
    fn happened(&self, org: &str, group_uid: &str, at: Timestamp, activity: Activity);

    /// Since when [`activity`](Self::activity) knows all that happened. None: for as long as anything is kept.
    fn counts_since(&self, of: ActivityOf<'_>) -> Option<Timestamp>;

    /// What happened lately, oldest first, in buckets that began at or after `since`; those without anything are left out.
    async fn activity(&self, of: ActivityOf<'_>, since: Timestamp)
    -> Result<Vec<Bucket>, LogError>;

    /// The shapes of a group's event types, as [`remember_shape`](Self::remember_shape) was given them: type and record.
    async fn shapes(&self, group_uid: &str) -> Result<Vec<(String, bytes::Bytes)>, LogError>;

    /// Keeps what was learned of one event type of a group, in place of what was. At most [`MAX_SHAPES`] types of a group, of
    /// [`MAX_SHAPE_BYTES`] each: what is beyond is not kept.
    async fn remember_shape(
        &self,
        group_uid: &str,
        event_type: &str,
        record: bytes::Bytes,
    ) -> Result<(), LogError>;

    /// Forgets what was counted and learned of a group that is gone.
    async fn forget(&self, group_uid: &str) -> Result<(), LogError>;
}

/// Gives back what is cut off: a note is kept for long, and a text holds what it once was.
fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.shrink_to_fit();
    }
}

fn shorten<T>(list: &mut Vec<T>, most: usize) {
    if list.len() > most {
        list.truncate(most);
        list.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As much as a listener may send, of everything.
    fn longest() -> v1::Refusal {
        let text = || "ä".repeat(100_000);
        let verdict = v1::WebhookVerdict {
            webhook: text(),
            webhook_uid: text(),
            matched: true,
            reason: text(),
        };
        v1::Refusal {
            time: Some(Default::default()),
            org: text(),
            group: text(),
            status: u32::MAX,
            clause: text(),
            reason: text(),
            method: text(),
            header_names: vec![text(); 1_000],
            body_bytes: u64::MAX,
            listener: text(),
            remote_address: text(),
            event_type: text(),
            delivery_id: text(),
            verdicts: vec![verdict; 1_000],
            group_uid: text(),
            cause: text(),
            advice: text(),
        }
    }

    /// What it holds, and not just what it shows.
    fn held(refusal: &v1::Refusal) -> usize {
        let of = |texts: &[&String]| texts.iter().map(|text| text.capacity()).sum::<usize>();
        let r = refusal;
        let verdicts = r.verdicts.iter();
        of(&[&r.org, &r.group, &r.clause, &r.reason, &r.method, &r.cause])
            + of(&[&r.listener, &r.remote_address, &r.event_type, &r.advice])
            + of(&[&r.delivery_id, &r.group_uid])
            + of(&r.header_names.iter().collect::<Vec<_>>())
            + r.header_names.capacity() * size_of::<String>()
            + verdicts
                .map(|v| of(&[&v.webhook, &v.webhook_uid, &v.reason]))
                .sum::<usize>()
            + r.verdicts.capacity() * size_of::<v1::WebhookVerdict>()
    }

    // Promise 8: ten thousand are remembered of what anybody's listener says.
    #[test]
    fn the_longest_refusal_is_a_note_of_some_kilobytes() {
        let refused = Note::new(NoteKind::Refused, "g", longest());
        assert!(held(&refused.refusal) < 20_000);
        assert_eq!(refused.refusal.header_names.len(), HEADER_NAMES);
        assert!(refused.refusal.verdicts.is_empty());
        let example = Note::new(NoteKind::NotKept, "g", longest());
        assert!(held(&example.refusal) < 100_000);
        assert_eq!(example.refusal.verdicts.len(), VERDICTS);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let refusal = v1::Refusal {
            reason: format!("{}ä", "a".repeat(TEXT_BYTES - 1)),
            ..Default::default()
        };
        let note = Note::new(NoteKind::Refused, "g", refusal);
        assert_eq!(note.refusal.reason, "a".repeat(TEXT_BYTES - 1));
    }
}
