//! Counters and refusals as they come from listeners: each round counted once, however often it is sent.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Mutex, PoisonError};

use hookplane_proto::v1;

use super::not_kept;
use crate::config::{GroupRecord, ListenerScope};
use crate::context::Context;
use crate::log::{Activity, Note, NoteKind};
use crate::seal::SealKey;

/// What sealed codes are sealed for.
const SEALED_CODE: &str = "status.handshakeCode";
/// Refusals of one message.
const MAX_REFUSALS: usize = 1_000;
/// Runs of listeners remembered; the oldest goes first. Ten times the largest fleet.
const MAX_RUNS: usize = 16_384;

/// Which rounds of each run of a listener were taken.
#[derive(Default)]
pub(super) struct Noted {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    last: HashMap<String, u64>,
    order: VecDeque<String>,
}

impl Noted {
    /// Whether this one is new. What has no number always is.
    pub(super) fn is_new(&self, run: &str, sequence: u64) -> bool {
        if sequence == 0 {
            return true;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = inner.last.get_mut(run) {
            let is_new = sequence > *last;
            *last = sequence.max(*last);
            return is_new;
        }
        if inner.order.len() >= MAX_RUNS
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.last.remove(&oldest);
        }
        inner.order.push_back(run.to_owned());
        inner.last.insert(run.to_owned(), sequence);
        true
    }
}

/// Adds up what a listener counted.
pub(super) fn count(context: &Context, scope: &ListenerScope, counters: v1::ReportCounters) {
    for group in counters.groups {
        let Some(record) = context.view.group(&group.group_uid) else {
            continue;
        };
        // Promise 8: a listener speaks for the groups of its scope.
        if scope.covers(&record.group) {
            counted(context, &record, group);
        }
    }
}

/// Counts it of the group, and of the time.
pub(super) fn counted(context: &Context, record: &GroupRecord, counted: v1::GroupCounters) {
    let activity = Activity {
        refused: counted.refused,
        filtered: counted.not_registered.saturating_add(counted.not_matched),
        duplicates: counted.duplicates,
        ..Activity::default()
    };
    happened(context, record, activity);
    context.log.notes().count(counted);
}

/// For the charts of the group and its org.
pub(super) fn happened(context: &Context, record: &GroupRecord, activity: Activity) {
    if let Some(group) = &record.group.metadata {
        let notes = context.log.notes();
        notes.happened(&group.org, &group.uid, context.clock.now(), activity);
    }
}

/// Remembers what a listener turned away.
pub(super) fn remember(
    context: &Context,
    scope: &ListenerScope,
    listener: &str,
    refusals: v1::ReportRefusals,
) {
    // Promise 8: a listener speaks for the groups of its scope. A name used again is another group, so the uid tells.
    let of = |refusal: &v1::Refusal| {
        context
            .view
            .group(&refusal.group_uid)
            .filter(|record| scope.covers(&record.group))
    };
    let note = |group_uid: &str, refusal| {
        let note = Note::new(NoteKind::Refused, group_uid, refusal);
        context.log.notes().note(note);
    };
    for mut refusal in refusals.refusals.into_iter().take(MAX_REFUSALS) {
        refusal.listener = listener.to_owned();
        if refusal.group_uid.is_empty() {
            (refusal.org, refusal.group) = Default::default();
            note("", refusal);
        } else if let Some(record) = of(&refusal) {
            let metadata = record.group.metadata.clone().unwrap_or_default();
            (refusal.org, refusal.group) = (metadata.org, metadata.name);
            note(&metadata.uid, refusal);
        }
    }
    for code in refusals.codes.into_iter().take(MAX_REFUSALS) {
        let record = context.view.group(&code.group_uid);
        if record.is_some_and(|record| scope.covers(&record.group)) {
            match as_note(&context.seal, &code) {
                Ok(refusal) => {
                    let note = Note::new(NoteKind::Code, &code.group_uid, refusal);
                    context.log.notes().note(note);
                }
                Err(error) => {
                    tracing::error!(%error, "a code for a person is not shown: it can't be sealed")
                }
            }
        }
    }
    for mut example in refusals.not_kept.into_iter().take(MAX_REFUSALS) {
        example.listener = listener.to_owned();
        if let Some(record) = of(&example) {
            not_kept::remember(context, &record, example);
        }
    }
}

/// A code is kept where refusals are, and shown nowhere but on its group. Sealed, for at some providers it is the secret.
fn as_note(seal: &SealKey, code: &v1::ReportedCode) -> io::Result<v1::Refusal> {
    let sealed = seal.seal(&code.group_uid, SEALED_CODE, code.code.as_bytes())?;
    Ok(v1::Refusal {
        time: code.time,
        reason: hex::encode(sealed),
        ..Default::default()
    })
}

/// The code that was noted. None where another key sealed it.
pub(crate) fn code_of(seal: &SealKey, group_uid: &str, note: &v1::Refusal) -> Option<String> {
    let sealed = hex::decode(&note.reason).ok()?;
    let code = seal.open(group_uid, SEALED_CODE, &sealed).ok()?;
    String::from_utf8(code.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_comes_again_is_not_new() {
        let noted = Noted::default();
        assert!(noted.is_new("a", 1));
        assert!(noted.is_new("a", 2));
        assert!(
            !noted.is_new("a", 2),
            "the note was lost, and it was sent again"
        );
        assert!(!noted.is_new("a", 1));
        assert!(noted.is_new("b", 1), "another run counts from the start");
        assert!(noted.is_new("a", 0) && noted.is_new("a", 0), "not numbered");
    }

    #[test]
    fn runs_that_are_over_take_a_bounded_room() {
        let noted = Noted::default();
        for run in 0..MAX_RUNS + 10 {
            assert!(noted.is_new(&run.to_string(), 1));
        }
        assert_eq!(noted.inner.lock().unwrap().last.len(), MAX_RUNS);
    }
}
