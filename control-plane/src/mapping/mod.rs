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

mod record;

use hookplane_proto::v1;
use hookplane_rules::FieldError;

pub use record::{Child, Parent, Record, Value};

/// A compiled one.
#[derive(Debug)]
pub struct Mapping {}

impl Mapping {
    /// What can't be applied is refused here, with the field as the manifest writes it: `spec.mapping.base.fields.Total__c.from`.
    pub fn compile(_mapping: &v1::Mapping) -> Result<Self, Vec<FieldError>> {
        Err(vec![FieldError::new("spec.mapping", "is not built yet")])
    }

    /// The record of one event with those above and below it.
    pub fn apply(&self, _event: &v1::Event) -> Result<Record, Vec<v1::FieldProblem>> {
        Err(Vec::new())
    }

    /// The paths that it reads, for an operator who is told when one is gone: `payload.customer.id`, `payload.lines[*].sku`.
    pub fn paths(&self) -> Vec<String> {
        Vec::new()
    }
}
