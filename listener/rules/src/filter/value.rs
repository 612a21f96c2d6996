//! JSON as the engine sees it: each value is the text it was written as, and is read when it is asked for.
//!
//! Every look at a text, and every step of a loop, is paid from a [`Budget`]. What a step costs grows with the filter's size and with
//! the strings its loops hold, since a term may look at each of them again.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use cel::ExecutionError;
use cel::common::traits::{Adder, Container, Indexer, Iterable, Iterator, Sizer};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelNull, CelString, CelUInt, LIST_TYPE, MAP_TYPE, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};

use crate::payload::{Kind, elements, kind, member, members, unescape};

/// Elements of one list, or keys of one map, that a filter goes through.
pub(super) const MAX_ITEMS: usize = 10_000;

/// Bytes of text that cost one unit; reading them takes some 10 ns.
const BYTES_PER_UNIT: u64 = 16;

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

    fn step(&self) -> bool {
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

/// An array.
#[derive(Debug)]
struct List<'v> {
    raw: &'v str,
    budget: &'v Budget,
    /// Made when the list is first gone through: the engine borrows what it iterates over.
    items: OnceLock<Vec<Item<'v>>>,
}

/// An object.
#[derive(Debug)]
struct Map<'v> {
    raw: &'v str,
    budget: &'v Budget,
    keys: OnceLock<Vec<Item<'v>>>,
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

impl<'v> List<'v> {
    fn new(raw: &'v str, budget: &'v Budget) -> Self {
        Self {
            raw,
            budget,
            items: OnceLock::new(),
        }
    }

    fn items(&self) -> &[Item<'v>] {
        self.items
            .get_or_init(|| collect(elements(self.raw), self.raw, self.budget))
    }

    fn boxed(&self) -> Vec<Box<dyn Val + 'v>> {
        elements(self.raw)
            .take(MAX_ITEMS)
            .map(|raw| value(raw, self.budget))
            .collect()
    }
}

impl<'v> Map<'v> {
    fn new(raw: &'v str, budget: &'v Budget) -> Self {
        Self {
            raw,
            budget,
            keys: OnceLock::new(),
        }
    }

    fn keys(&self) -> &[Item<'v>] {
        self.keys
            .get_or_init(|| collect(members(self.raw).map(|(key, _)| key), self.raw, self.budget))
    }

    fn find(&self, key: &dyn Val) -> Result<Option<&'v str>, ExecutionError> {
        self.budget.read(self.raw)?;
        Ok(key
            .downcast_ref::<CelString>()
            .and_then(|key| member(self.raw, key.inner())))
    }
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

impl<'v> Val for List<'v> {
    fn get_type(&self) -> &Type {
        &LIST_TYPE
    }

    fn cel_type() -> &'static Type {
        &LIST_TYPE
    }

    fn as_adder<'b, 'w>(&'b self) -> Option<&'b (dyn Adder + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        let Some(other) = other
            .as_iterable()
            .filter(|_| other.get_type() == &LIST_TYPE)
        else {
            return false;
        };
        let mut other = other.iter();
        self.budget.read(self.raw).is_ok()
            && elements(self.raw).all(|raw| {
                other
                    .next()
                    .is_some_and(|other| value(raw, self.budget).equals(other))
            })
            && other.next().is_none()
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(List::new(self.raw, self.budget))
    }
}

impl Adder for List<'_> {
    fn add<'b, 'w>(&'b self, rhs: &(dyn Val + 'w)) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let mut more = rhs
            .as_iterable()
            .filter(|_| rhs.get_type() == &LIST_TYPE)
            .ok_or_else(|| {
                ExecutionError::no_such_overload(
                    "_+_",
                    vec!["list".to_owned(), rhs.get_type().name().to_owned()],
                )
            })?
            .iter();
        self.budget.read(self.raw)?;
        let mut sum: Vec<Box<dyn Val + 'w>> = self.boxed();
        while let Some(item) = more.next() {
            sum.push(item.clone_as_boxed());
        }
        Ok(CowVal::owned(CelList::from(sum)))
    }
}

impl Container for List<'_> {
    fn contains(&self, wanted: &dyn Val) -> Result<bool, ExecutionError> {
        self.budget.read(self.raw)?;
        Ok(elements(self.raw).any(|raw| value(raw, self.budget).equals(wanted)))
    }
}

impl Indexer for List<'_> {
    fn get<'b, 'w>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        if index.downcast_ref::<AsWritten>().is_some() {
            return Ok(CowVal::owned(CelString::from(self.raw.to_owned())));
        }
        let place = if let Some(int) = index.downcast_ref::<CelInt>() {
            usize::try_from(*int.inner()).ok()
        } else if let Some(uint) = index.downcast_ref::<CelUInt>() {
            usize::try_from(*uint.inner()).ok()
        } else {
            return Err(ExecutionError::UnexpectedType {
                got: index.get_type().name().to_owned(),
                want: "int".to_owned(),
            });
        };
        self.budget.read(self.raw)?;
        place
            .and_then(|place| elements(self.raw).nth(place))
            .map(|raw| CowVal::Owned(value(raw, self.budget)))
            .ok_or_else(|| {
                ExecutionError::IndexOutOfBounds(index.try_into().unwrap_or(cel::Value::Null))
            })
    }

    fn steal<'w>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        Err(not_a_builtin(index))
    }
}

impl Iterable for List<'_> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn Iterator<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        Box::new(Steps {
            items: self.items(),
            budget: self.budget,
            held: 0,
        })
    }
}

impl Sizer for List<'_> {
    fn size(&self) -> CelInt {
        match self.budget.read(self.raw) {
            Ok(()) => CelInt::from(elements(self.raw).count() as i64),
            Err(_) => CelInt::from(0),
        }
    }
}

impl<'v> Val for Map<'v> {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        let same_size = |size: CelInt| size == self.size();
        if other.get_type() != &MAP_TYPE
            || !other
                .as_sizer()
                .is_some_and(|sizer| same_size(sizer.size()))
        {
            return false;
        }
        members(self.raw).all(|(key, mine)| {
            let key = CelString::from(unescape(key));
            let theirs = other
                .as_indexer()
                .and_then(|indexer| indexer.get(&key).ok());
            theirs.is_some_and(|theirs| value(mine, self.budget).equals(theirs.as_ref()))
        })
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(Map::new(self.raw, self.budget))
    }
}

impl Container for Map<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.find(key)?.is_some())
    }
}

impl Indexer for Map<'_> {
    fn get<'b, 'w>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        if key.downcast_ref::<AsWritten>().is_some() {
            return Ok(CowVal::owned(CelString::from(self.raw.to_owned())));
        }
        match self.find(key)? {
            Some(raw) => Ok(CowVal::Owned(value(raw, self.budget))),
            None => Err(ExecutionError::no_such_key(
                key.downcast_ref::<CelString>()
                    .map_or("", |key| key.inner()),
            )),
        }
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        Err(not_a_builtin(key))
    }
}

impl Iterable for Map<'_> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn Iterator<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        Box::new(Steps {
            items: self.keys(),
            budget: self.budget,
            held: 0,
        })
    }
}

impl Sizer for Map<'_> {
    fn size(&self) -> CelInt {
        match self.budget.read(self.raw) {
            Ok(()) => CelInt::from(members(self.raw).count() as i64),
            Err(_) => CelInt::from(0),
        }
    }
}

/// The engine moves elements only out of containers of its own.
fn not_a_builtin(_index: &dyn Val) -> ExecutionError {
    ExecutionError::function_error("filter", "a borrowed value was indexed as an owned one")
}
