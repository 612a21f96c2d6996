//! From an event to the records of a target: pure, and the same for subscribers, HTTP, Salesforce, previews and comparisons.
//!
//! ```text
//!   v1::Mapping ─ compile (at admission) ─▶ Mapping ─ apply(event) ─▶ Record: base, parents above it, children below it
//!                                                       └──────────▶ Problems: which field has no value, and why
//! ```
//!
//! Guarantees:
//! - What compiles can be applied to any event: nothing panics, and work, depth and output are bounded.
//! - All of it or nothing: an event with a problem makes no record.
//! - Numbers keep the digits they came with; none goes through a binary fraction.

mod apply;
mod compile;
mod found;
mod number;
mod path;
mod record;
pub(crate) mod seen;
mod time;
mod typed;
mod versions;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use hookplane_proto::v1;
use hookplane_rules::FieldError;
use hookplane_rules::text::cut;

pub use apply::{MAX_PROBLEMS, MAX_RECORDS, MAX_VALUES_BYTES, Tried};
pub use compile::MAX_MAPPING_BYTES;
pub use record::{Child, Parent, Record, Value};
pub use versions::{MappingVersions, NoRecord, VersionError};

/// Why a delivery is held, as in "mapping v3: base.fields.Total__c: `payload.total` is missing": the first few, at most 1,024 bytes.
pub fn reason(version: u32, problems: &[v1::FieldProblem]) -> String {
    format!("mapping v{version}: {}", in_a_line(problems))
}

/// The first few problems, at most 1,000 bytes.
pub(crate) fn in_a_line(problems: &[v1::FieldProblem]) -> String {
    const SHOWN: usize = 5;
    const BYTES: usize = 970;
    let shown: Vec<String> = problems
        .iter()
        .take(SHOWN)
        .map(|problem| format!("{}: {}", problem.field, problem.reason))
        .collect();
    let mut text = cut(&shown.join("; "), BYTES).to_owned();
    if problems.len() > SHOWN {
        text.push_str(&format!("; and {} more", problems.len() - SHOWN));
    }
    text
}

/// A compiled one.
#[derive(Debug)]
pub struct Mapping {
    base: compile::Table,
    reads: seen::Reads,
    patterns: usize,
}

impl Mapping {
    /// What can't be applied is refused here, with the field as the manifest writes it: `spec.mapping.base.fields.Total__c.from`.
    pub fn compile(mapping: &v1::Mapping) -> Result<Self, Vec<FieldError>> {
        let (base, reads, patterns) = compile::compile(mapping)?;
        Ok(Self {
            base,
            reads,
            patterns,
        })
    }

    /// Regular expressions in it.
    pub(crate) fn patterns(&self) -> usize {
        self.patterns
    }

    /// The record of one event with those above and below it.
    pub fn apply(&self, event: &v1::Event) -> Result<Record, Vec<v1::FieldProblem>> {
        apply::apply(&self.base, &self.seen(event)?)
    }

    /// The same for who tries it: what there is of a record beside the problems, and which fields go without a value.
    pub fn attempt(&self, event: &v1::Event) -> Tried {
        match self.seen(event) {
            Ok(seen) => apply::attempt(&self.base, &seen),
            Err(problems) => Tried {
                problems,
                ..Tried::default()
            },
        }
    }

    fn seen(&self, event: &v1::Event) -> Result<seen::Seen, Vec<v1::FieldProblem>> {
        seen::Seen::of(event, &self.reads).map_err(|(field, reason)| {
            let field = field.to_owned();
            vec![v1::FieldProblem { field, reason }]
        })
    }

    /// The paths that it reads, for an operator who is told when one is gone: `payload.customer.id`, `payload.lines[*].sku`.
    pub fn paths(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        compile::paths(&self.base, &mut Vec::new(), &mut found);
        found.into_iter().collect()
    }
}
