//! An array.

use std::sync::OnceLock;

use cel::ExecutionError;
use cel::common::traits::{Adder, Container, Indexer, Iterable, Iterator, Sizer};
use cel::common::types::{CelInt, CelList, CelString, CelUInt, LIST_TYPE, Type};
use cel::common::value::{CowVal, Val};

use super::{AsWritten, Budget, Item, MAX_ITEMS, Steps, collect, not_a_builtin, value};
use crate::payload::elements;

#[derive(Debug)]
pub(super) struct List<'v> {
    raw: &'v str,
    budget: &'v Budget,
    /// Made when the list is first gone through: the engine borrows what it iterates over.
    items: OnceLock<Vec<Item<'v>>>,
}

impl<'v> List<'v> {
    pub(super) fn new(raw: &'v str, budget: &'v Budget) -> Self {
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
