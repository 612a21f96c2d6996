//! "What would change": the last recorded events through a webhook as it is and as a form has it, before anything is saved.

use hookplane_proto::v1;
use v1::DifferenceKind as Kind;

use crate::form::Form;
use crate::page::Visitor;
use crate::weight;

/// How many recorded events may be looked at.
pub(super) const LASTS: [u32; 3] = [100, 1_000, 10_000];
/// Fields that change.
const SHOWN: usize = 40;
/// Of all examples, in a page.
const EXAMPLES: usize = 24 * 1024;
/// Of an example's reason.
const REASON: usize = 300;
/// Of one event's fields.
const SHOWN_FIELDS: usize = 8;
/// Of a value.
const SHOWN_CHARS: usize = 120;

/// For `changes.html`, under the name `changes`.
pub(super) struct Changes {
    pub(super) looked_at: u32,
    pub(super) cut_short: String,
    pub(super) parts: Vec<Part>,
    pub(super) fields: Vec<v1::ChangedField>,
}

/// The examples of one kind.
pub(super) struct Part {
    pub(super) title: &'static str,
    pub(super) count: u32,
    pub(super) examples: Vec<Example>,
}

pub(super) struct Example {
    pub(super) event: String,
    pub(super) event_type: String,
    pub(super) reason: String,
    pub(super) fields: Vec<v1::FieldDifference>,
    pub(super) more: usize,
}

impl Changes {
    pub(super) fn is_none(&self) -> bool {
        self.parts.is_empty()
    }
}

/// Of a form: the number that was chosen.
pub(super) fn last(form: &Form) -> u32 {
    let typed = form.text("last").parse().unwrap_or(0);
    if LASTS.contains(&typed) {
        typed
    } else {
        LASTS[1]
    }
}

pub(super) async fn compare(
    visitor: &Visitor,
    mut webhook: v1::Webhook,
    last: u32,
) -> Result<Changes, tonic::Status> {
    // Looking needs no etag: only saving would overwrite.
    webhook.metadata.get_or_insert_default().etag.clear();
    let request = v1::CompareRequest {
        webhook: Some(webhook),
        last,
        ..Default::default()
    };
    let answer = visitor.api.previews().compare(request).await?.into_inner();
    let parts = [
        (
            Kind::NewlyDelivered,
            "Newly delivered",
            answer.newly_delivered,
        ),
        (
            Kind::NoLongerDelivered,
            "No longer delivered",
            answer.no_longer_delivered,
        ),
        (Kind::NewlyHeld, "Newly held", answer.newly_held),
        (Kind::Changed, "Delivered with other fields", answer.changed),
    ];
    let parts = parts.into_iter().filter(|(_, _, count)| *count > 0);
    let parts: Vec<_> = parts.collect();
    // Each kind has some.
    let room = EXAMPLES / parts.len().max(1);
    let parts = parts.into_iter().map(|(kind, title, count)| {
        let of_kind = answer.differences.iter().filter(|one| one.kind() == kind);
        let (examples, _) = weight::first(of_kind.map(example).collect(), room, Example::weight);
        Part {
            title,
            count,
            examples,
        }
    });
    Ok(Changes {
        looked_at: answer.looked_at,
        parts: parts.collect(),
        cut_short: answer.cut_short,
        fields: answer.changed_fields.into_iter().take(SHOWN).collect(),
    })
}

impl Example {
    fn weight(&self) -> usize {
        let fields = self.fields.iter().map(|field| {
            60 + weight::of(&field.field) + weight::of(&field.old) + weight::of(&field.new)
        });
        let texts = weight::of(&self.event_type) + weight::of(&self.reason);
        200 + 2 * self.event.len() + texts + fields.sum::<usize>()
    }
}

fn example(difference: &v1::Difference) -> Example {
    let value = |json: &str| match json {
        "" => "(none)".to_owned(),
        json => weight::cut(json, SHOWN_CHARS),
    };
    let fields = difference.fields.iter().take(SHOWN_FIELDS);
    let fields = fields.map(|field| v1::FieldDifference {
        field: field.field.clone(),
        old: value(&field.old),
        new: value(&field.new),
    });
    Example {
        event: difference.event_id.clone(),
        event_type: weight::cut(&difference.event_type, SHOWN_CHARS),
        reason: weight::cut(&difference.reason, REASON),
        fields: fields.collect(),
        more: difference.fields.len().saturating_sub(SHOWN_FIELDS),
    }
}
