//! An object.

use std::sync::OnceLock;

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Iterable, Iterator, Sizer};
use cel::common::types::{CelInt, CelString, MAP_TYPE, Type};
use cel::common::value::{CowVal, Val};

use super::{AsWritten, Budget, Item, Steps, collect, not_a_builtin, value};
use crate::payload::{member, members, unescape};

#[derive(Debug)]
pub(super) struct Map<'v> {
    raw: &'v str,
    budget: &'v Budget,
    keys: OnceLock<Vec<Item<'v>>>,
}

impl<'v> Map<'v> {
    pub(super) fn new(raw: &'v str, budget: &'v Budget) -> Self {
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
