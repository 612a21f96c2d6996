//! Splitting a callback that holds several events, kept all or none.
//!
//! ```text
//!  json:/entry/*/changes     {"entry": [{"id": 7, "changes": [A, B]}, {"id": 8, "changes": [C]}]}
//!                                        └──── parent of A and B ───┘ └─── parent of C ────┘
//! ```
//!
//! Nothing that a wildcard stepped into is lost: an object that holds none of the arrays is an event itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::MAX_VERDICTS;
use crate::connector::Batch;
use crate::location::{Entered, Pattern};
use crate::payload::{Json, Kind, elements, kind};

/// One event of a batch.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) json: Json,
    /// None where no wildcard led to it.
    pub(super) of: Option<Arc<Of>>,
}

/// What the last wildcard on the way to some items stands for.
#[derive(Debug)]
pub(super) struct Of {
    pub(super) parent: Json,
    pub(super) key: Option<String>,
}

/// The items; None for a body that is one event. More than the definition allows are no items at all.
pub(super) fn split(
    batch: &Batch,
    json: &Json,
    webhooks: usize,
) -> Result<Option<Vec<Item>>, String> {
    let items = match batch.is_plain() {
        true => elements_at(&batch.items, json),
        false => Found::new(batch, json).all()?,
    };
    if items.is_empty() {
        return Ok(None);
    }
    if items.len() > batch.max_items {
        return Err(format!(
            "it holds {} items, at most {} are taken",
            items.len(),
            batch.max_items
        ));
    }
    if items.len().saturating_mul(webhooks) > MAX_VERDICTS {
        return Err(format!(
            "it holds {} items for {webhooks} webhooks, at most {MAX_VERDICTS} pairs are taken",
            items.len(),
        ));
    }
    Ok(Some(items))
}

fn elements_at(place: &Pattern, json: &Json) -> Vec<Item> {
    let items = json.items_at(place.prefix()).unwrap_or_default();
    let alone = |json| Item { json, of: None };
    items.into_iter().map(alone).collect()
}

/// What the wildcards led to so far.
struct Found<'a> {
    batch: &'a Batch,
    json: &'a Json,
    items: Vec<Item>,
    /// The objects that were stepped into, by their place in the text: and whether an array of items was there.
    entered: BTreeMap<usize, (Entered<'a>, bool)>,
}

impl<'a> Found<'a> {
    fn new(batch: &'a Batch, json: &'a Json) -> Self {
        Self {
            batch,
            json,
            items: Vec::new(),
            entered: BTreeMap::new(),
        }
    }

    fn all(mut self) -> Result<Vec<Item>, String> {
        let text = self.json.text().as_ptr() as usize;
        let offset = |raw: &str| raw.as_ptr() as usize - text;
        for place in self.batch.places() {
            if !place.has_wildcard() {
                self.items.extend(elements_at(place, self.json));
                continue;
            }
            place.visit(self.json, &mut |entered, value| {
                if let Some(entered) = entered {
                    let has_items = self.take(entered, value);
                    if kind(entered.raw) == Kind::Object {
                        let at = offset(entered.raw);
                        self.entered.entry(at).or_insert((entered, false)).1 |= has_items;
                    }
                }
                !self.is_full()
            });
        }
        if self.is_full() {
            return Err(format!("it holds more than {} items", self.batch.max_items));
        }
        let mut places: Vec<usize> = self
            .items
            .iter()
            .map(|item| item.json.bytes().as_ptr() as usize - text)
            .collect();
        places.sort_unstable();
        for (at, (entered, has_items)) in std::mem::take(&mut self.entered) {
            let next = places.partition_point(|place| *place < at);
            let holds_one = places
                .get(next)
                .is_some_and(|place| *place < at + entered.raw.len());
            if !has_items && !holds_one {
                self.push(entered.raw, &self.of(entered));
            }
        }
        Ok(self.items)
    }

    /// True where there is an array of items, or an item itself.
    fn take(&mut self, entered: Entered<'a>, value: Option<&'a str>) -> bool {
        let Some(value) = value else {
            return false;
        };
        match kind(value) {
            Kind::Array => {
                let of = self.of(entered);
                for raw in elements(value) {
                    if self.is_full() {
                        break;
                    }
                    self.push(raw, &of);
                }
                true
            }
            // The wildcard is the last part: it stands for each.
            Kind::Object if value.as_ptr() == entered.raw.as_ptr() => {
                self.push(value, &self.of(entered));
                true
            }
            _ => false,
        }
    }

    fn of(&self, entered: Entered<'a>) -> Arc<Of> {
        Arc::new(Of {
            parent: self.json.part(entered.raw),
            key: entered.name(),
        })
    }

    fn push(&mut self, raw: &str, of: &Arc<Of>) {
        self.items.push(Item {
            json: self.json.part(raw),
            of: Some(Arc::clone(of)),
        });
    }

    /// True when there are more than the definition allows: of items, or of objects that may turn out to be some.
    fn is_full(&self) -> bool {
        self.items.len().max(self.entered.len()) > self.batch.max_items
    }
}
