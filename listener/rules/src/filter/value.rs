//! JSON as the engine sees it: each value is the text it was written as, and is read when it is asked for.
//!
//! Every look at a text, and every step of a loop, is paid from a [`Budget`]. What a step costs grows with the filter's size and with
//! the strings its loops hold, since a term may look at each of them again.

mod list;
mod map;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use cel::ExecutionError;
use cel::common::traits::Iterator;
use cel::common::types::{CelBool, CelDouble, CelInt, CelNull, CelString, Type};
use cel::common::value::{StaticVal, Val};

use crate::payload::{Kind, kind, unescape};
use list::List;
use map::Map;

/// Elements of one list, or keys of one map, that a filter goes through.
pub(super) const MAX_ITEMS: usize = 10_000;

/// Bytes of text that cost one unit; reading them takes some 10 ns.
pub(super) const BYTES_PER_UNIT: u64 = 16;

/// Units that evaluating one node of an expression costs.
const UNITS_PER_NODE: u64 = 4;

/// What one evaluation may still do.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicU64,
    /// Nodes of the filter.
    nodes: u64,
    /// Bytes of the strings that running loops hold.
    held: AtomicU64,
}

impl Budget {
    pub(super) fn new(units: u64, nodes: u64) -> Self {
        Self {
            left: AtomicU64::new(units),
            nodes,
            held: AtomicU64::new(0),
        }
    }

    /// What is left of it.
    pub(super) fn left(&self) -> u64 {
        self.left.load(Relaxed)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.load(Relaxed) == 0
    }

    /// Takes units; false when there weren't enough, and from then on.
    pub(super) fn spend(&self, units: u64) -> bool {
        let left = self.left.load(Relaxed).saturating_sub(units);
        self.left.store(left, Relaxed);
        left > 0
    }

    fn read(&self, text: &str) -> Result<(), ExecutionError> {
        match self.spend(1 + text.len() as u64 / BYTES_PER_UNIT) {
            true => Ok(()),
            false => Err(spent()),
        }
    }

    /// All nodes once, with what running loops hold.
    pub(super) fn step(&self) -> bool {
        self.spend(self.nodes * (UNITS_PER_NODE + self.held.load(Relaxed) / BYTES_PER_UNIT))
    }
}

fn spent() -> ExecutionError {
    ExecutionError::function_error("filter", "it does more work than is allowed")
}

/// Asked for under this key, an array or an object says the text that it is written as. No source can name it.
#[derive(Debug, Clone)]
pub(super) struct AsWritten;

static AS_WRITTEN_TYPE: Type = Type::new_unspecified_type("hookplane.as_written");

impl Val for AsWritten {
    fn get_type(&self) -> &Type {
        &AS_WRITTEN_TYPE
    }

    fn cel_type() -> &'static Type {
        &AS_WRITTEN_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn std::any::Any> {
        Some(self)
    }
}

impl StaticVal for AsWritten {}

/// A JSON text as a value.
pub(super) fn value<'v>(raw: &'v str, budget: &'v Budget) -> Box<dyn Val + 'v> {
    match kind(raw) {
        Kind::Null => Box::new(CelNull),
        Kind::Bool => Box::new(CelBool::from(raw == "true")),
        Kind::Number => number(raw),
        Kind::String => Box::new(CelString::from(unescape(raw))),
        Kind::Array => Box::new(List::new(raw, budget)),
        Kind::Object => Box::new(Map::new(raw, budget)),
    }
}

/// An int where it is written without point and exponent and fits, else a double.
fn number<'v>(raw: &str) -> Box<dyn Val + 'v> {
    match raw.parse::<i64>() {
        Ok(int) => Box::new(CelInt::from(int)),
        // Validated JSON numbers always parse, and are finite.
        Err(_) => Box::new(CelDouble::from(raw.parse::<f64>().unwrap_or(f64::NAN))),
    }
}

#[derive(Debug)]
struct Item<'v> {
    value: Box<dyn Val + 'v>,
    /// Bytes of the string it is; containers pay on their own.
    held: u64,
}

impl<'v> Item<'v> {
    fn new(raw: &'v str, budget: &'v Budget) -> Self {
        Self {
            value: value(raw, budget),
            held: if kind(raw) == Kind::String {
                raw.len() as u64
            } else {
                0
            },
        }
    }
}

/// Items of a text, at most [`MAX_ITEMS`]: with more the budget is spent at once.
fn collect<'v>(
    raws: impl std::iter::Iterator<Item = &'v str>,
    raw: &str,
    budget: &'v Budget,
) -> Vec<Item<'v>> {
    let mut items = Vec::new();
    if budget.read(raw).is_ok() {
        for raw in raws {
            if items.len() == MAX_ITEMS {
                budget.spend(u64::MAX);
                break;
            }
            items.push(Item::new(raw, budget));
        }
    }
    items
}

/// Lends items out, and pays for each.
struct Steps<'b, 'v> {
    items: &'b [Item<'v>],
    budget: &'b Budget,
    held: u64,
}

impl<'b, 'v: 'w, 'w> Iterator<'b, 'w> for Steps<'b, 'v> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'w)> {
        let (item, rest) = self.items.split_first()?;
        self.items = rest;
        self.budget.held.fetch_sub(self.held, Relaxed);
        self.budget.held.fetch_add(item.held, Relaxed);
        self.held = item.held;
        self.budget.step().then(|| item.value.as_ref() as _)
    }
}

impl Drop for Steps<'_, '_> {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.held, Relaxed);
    }
}

/// The engine moves elements only out of containers of its own.
fn not_a_builtin(_index: &dyn Val) -> ExecutionError {
    ExecutionError::function_error("filter", "a borrowed value was indexed as an owned one")
}
