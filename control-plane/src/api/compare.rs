//! Recorded events through a webhook as it is and as it would be: what differs.
//!
//! ```text
//!   newest events of the group ─▶ Trial (stored) ─┐
//!                              └▶ Trial (given)  ─┴▶ Difference ─▶ counts, examples, fields
//! ```
//!
//! Bounded: events, their bytes, the time, the comparisons at a time, and the answer. The work is done in steps, aside from what serves others.

mod fields;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_proto::v1::DifferenceKind as Kind;
use hookplane_rules::text::clip;
use tokio::time::Instant;

use super::desk::{Desk, Mode};
use super::status::Problem;
use super::trial::{self, Trial, Verdict};
use super::turns::{Turn, Turns};
use super::{manifests, webhooks};
use crate::access::Caller;
use crate::aside::{self, Here};
use crate::config::GroupRecord;
use crate::context::Context;
use crate::keys;
use crate::log::Selection;
use crate::mapping::{Record, in_a_line};

/// Events without a word from the caller, and at most.
const LAST: u32 = 1_000;
const MAX_LAST: u32 = 10_000;
/// Read and compared at once, bodies and all: fewer where they are large, and at first, when that isn't known.
const STEP: usize = 16;
const FIRST_STEP: usize = 4;
const STEP_BYTES: usize = 16 * 1024 * 1024;
/// Of all that is read.
const MAX_BYTES: usize = 512 * 1024 * 1024;
/// A caller waits no longer.
const MAX_TIME: Duration = Duration::from_secs(30);
/// At a time, in all and of one org: each keeps a thread busy.
const AT_ONCE: usize = 2;
const OF_ONE_ORG: usize = 1;
/// Differences shown.
const EXAMPLES: usize = 100;
/// Fields of one of them.
const FIELDS: usize = 20;
/// Different fields that are counted, and those of them that are shown.
const COUNTED_FIELDS: usize = 5_000;
const SHOWN_FIELDS: usize = 100;
/// Of a reason or a value, in bytes.
const MAX_TEXT_BYTES: usize = 400;

/// Those that run.
pub(super) struct Comparisons(Turns);

impl Default for Comparisons {
    fn default() -> Self {
        Self(turns())
    }
}

pub(super) fn turns() -> Turns {
    Turns::new(AT_ONCE, OF_ONE_ORG)
}

impl Comparisons {
    pub(super) async fn run(
        &self,
        context: &Context,
        caller: &Caller,
        request: v1::CompareRequest,
    ) -> Result<v1::CompareResponse, Problem> {
        let last = match request.last {
            0 => LAST,
            last if last <= MAX_LAST => last,
            _ => {
                return Err(Problem::field(
                    "last",
                    format!("at most {MAX_LAST} events are compared"),
                ));
            }
        };
        let mut given = request.webhook.unwrap_or_default();
        let metadata = given.metadata.clone().unwrap_or_default();
        let mut desk = Desk::for_trial(context, caller);
        desk.owned(&metadata.org)?;
        let turn = Arc::new(self.0.take(&metadata.org).await?);
        let stored = stored(&desk, &metadata).await?;
        manifests::lay_over(&mut desk, request.manifests).await?;
        // Where it goes changes nothing of what it takes and maps.
        given.spec.get_or_insert_default().destinations.clear();
        let prepared = webhooks::prepare(&desk, &given, Mode::Apply).await?;
        let record = trial::group_of(&desk, &metadata).await?;
        let selection = Selection {
            org: Some(metadata.org.clone()),
            group_uid: record.group.metadata.as_ref().map(|of| of.uid.clone()),
            since: caller.since(),
            ..Selection::default()
        };
        let (of_task, of_turn) = (context.clone(), Arc::clone(&turn));
        let trials = aside::TRIALS.run(&metadata.org, move |here| {
            let _turn = of_turn;
            let old = stored.map(|(record, webhook)| Trial::of(here, &of_task, &record, &webhook));
            Ok::<_, Problem>(Trials {
                old: old.transpose()?,
                new: Trial::of(here, &of_task, &record, &prepared.resource)?,
            })
        });
        let trials = trials.await??;
        compare(context, selection, Arc::new(trials), last as usize, turn).await
    }
}

/// The webhook as it is, with its group, where it is there.
async fn stored(
    desk: &Desk<'_>,
    metadata: &v1::Metadata,
) -> Result<Option<(GroupRecord, v1::Webhook)>, Problem> {
    let key = keys::webhook(&metadata.org, &metadata.group, &metadata.name);
    let Some((webhook, _)) = desk.get::<v1::Webhook>(&key).await? else {
        return Ok(None);
    };
    Ok(Some((trial::group_of(desk, metadata).await?, webhook)))
}

async fn compare(
    context: &Context,
    selection: Selection,
    trials: Arc<Trials>,
    last: usize,
    turn: Arc<Turn>,
) -> Result<v1::CompareResponse, Problem> {
    let deadline = Instant::now() + MAX_TIME;
    let mut found = Found::default();
    let org = selection.org.as_deref().unwrap_or_default();
    let (mut before, mut bytes, mut left) = (None, 0, last);
    let mut step = FIRST_STEP;
    while left > 0 {
        if bytes > MAX_BYTES {
            found.answer.cut_short = format!("they have more than {} MiB", MAX_BYTES >> 20);
            break;
        }
        let limit = step.min(left);
        let read = context.log.events(&selection, before, limit).await?;
        let ends = read.len() < limit;
        left -= read.len();
        before = read.last().map(|(at, _)| *at);
        let read_bytes = read.iter().map(|(_, event)| event.body.len());
        let read_bytes = read_bytes.sum::<usize>();
        bytes += read_bytes;
        step = (STEP_BYTES * read.len() / read_bytes.max(1)).clamp(1, STEP);
        let (trials, mut so_far, turn) = (Arc::clone(&trials), found, Arc::clone(&turn));
        let compared = aside::TRIALS.run(org, move |here| {
            // Not ended by its caller.
            let _turn = turn;
            for (_, event) in read {
                if Instant::now() >= deadline {
                    so_far.answer.cut_short = format!("it took {} s", MAX_TIME.as_secs());
                    break;
                }
                so_far.add(here, &trials, &event);
            }
            so_far
        });
        found = compared.await?;
        if ends || !found.answer.cut_short.is_empty() {
            break;
        }
    }
    Ok(found.into_answer())
}

/// As it is, where it is there, and as it would be.
struct Trials {
    old: Option<Trial>,
    new: Trial,
}

/// What a webhook does with an event.
enum Outcome {
    Unmatched(String),
    Held(String),
    /// With its records, where there is a mapping.
    Delivered(Option<Record>),
}

impl Outcome {
    fn of(here: &Here, trial: &Trial, event: &v1::Event) -> Self {
        match trial.verdict(here, event) {
            Verdict::Unmatched(reason) => Self::Unmatched(reason),
            Verdict::Held(reason) => Self::Held(reason),
            Verdict::Matched => match trial.map(here, event) {
                Ok(record) => Self::Delivered(record),
                Err(problems) => Self::Held(in_a_line(&problems)),
            },
        }
    }
}

#[derive(Default)]
struct Found {
    answer: v1::CompareResponse,
    /// How many events each field changes in.
    fields: BTreeMap<String, u32>,
}

impl Found {
    fn add(&mut self, here: &Here, trials: &Trials, event: &v1::Event) {
        self.answer.looked_at += 1;
        let not_there = || Outcome::Unmatched("there is no such webhook".to_owned());
        let old = trials.old.as_ref().map(|old| Outcome::of(here, old, event));
        let old = old.unwrap_or_else(not_there);
        let new = Outcome::of(here, &trials.new, event);
        let (kind, reason, changed) = match (old, new) {
            (Outcome::Unmatched(reason) | Outcome::Held(reason), Outcome::Delivered(_)) => (
                Kind::NewlyDelivered,
                format!("before: {reason}"),
                Vec::new(),
            ),
            (Outcome::Delivered(_), Outcome::Unmatched(reason)) => {
                (Kind::NoLongerDelivered, reason, Vec::new())
            }
            (Outcome::Unmatched(_) | Outcome::Delivered(_), Outcome::Held(reason)) => {
                (Kind::NewlyHeld, reason, Vec::new())
            }
            (Outcome::Delivered(old), Outcome::Delivered(new)) => {
                let changed = fields::difference(old.as_ref(), new.as_ref());
                if changed.is_empty() {
                    return;
                }
                (Kind::Changed, String::new(), changed)
            }
            (Outcome::Unmatched(_) | Outcome::Held(_), Outcome::Unmatched(_))
            | (Outcome::Held(_), Outcome::Held(_)) => return,
        };
        let answer = &mut self.answer;
        *match kind {
            Kind::NewlyDelivered => &mut answer.newly_delivered,
            Kind::NoLongerDelivered => &mut answer.no_longer_delivered,
            Kind::NewlyHeld => &mut answer.newly_held,
            Kind::Changed | Kind::Unspecified => &mut answer.changed,
        } += 1;
        let any_index: std::collections::BTreeSet<String> = changed
            .iter()
            .map(|one| fields::any_index(&one.field))
            .collect();
        for field in any_index {
            if self.fields.len() < COUNTED_FIELDS || self.fields.contains_key(&field) {
                *self.fields.entry(field).or_default() += 1;
            }
        }
        if answer.differences.len() < EXAMPLES {
            let shown = changed
                .into_iter()
                .take(FIELDS)
                .map(|one| v1::FieldDifference {
                    field: short(one.field),
                    old: short(one.old),
                    new: short(one.new),
                });
            answer.differences.push(v1::Difference {
                event_id: event.id.clone(),
                event_type: event.r#type.clone(),
                kind: kind.into(),
                reason: short(reason),
                fields: shown.collect(),
            });
        }
    }

    fn into_answer(mut self) -> v1::CompareResponse {
        let fields = self.fields.into_iter();
        let mut fields: Vec<_> = fields
            .map(|(field, events)| v1::ChangedField {
                field: short(field),
                events,
            })
            .collect();
        // Stable: those as often in order of their names.
        fields.sort_by_key(|one| std::cmp::Reverse(one.events));
        fields.truncate(SHOWN_FIELDS);
        self.answer.changed_fields = fields;
        self.answer
    }
}

fn short(text: String) -> String {
    clip(&text, MAX_TEXT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_change_most_often_come_first() {
        let found = Found {
            fields: [("a", 1), ("b", 3), ("c", 3)]
                .map(|(field, events)| (field.to_owned(), events))
                .into(),
            ..Default::default()
        };
        let fields = found.into_answer().changed_fields;
        let names: Vec<_> = fields.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(names, ["b", "c", "a"]);
    }
}
