//! How a callback that holds several events is split.

use hookplane_proto::v1;

use super::Errors;
use crate::location::Pattern;

/// Items of a batch when the definition doesn't say.
const DEFAULT_MAX_ITEMS: usize = 1_000;
/// What a definition may allow.
pub(crate) const MOST_ITEMS: u32 = 10_000;
/// Further places of items.
const MAX_PLACES: usize = 8;

/// Where the items are, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) items: Pattern,
    /// In this order after the first.
    pub(crate) and_items: Vec<Pattern>,
    pub(crate) max_items: usize,
}

impl Batch {
    pub(crate) fn compile(batch: &v1::Batch, at: &str, errors: &mut Errors) -> Option<Self> {
        if batch.max_items > MOST_ITEMS {
            errors.add(
                format!("{at}.maxItems"),
                format!("is {}, at most {MOST_ITEMS} are taken", batch.max_items),
            );
        }
        let items = place(&batch.items, &format!("{at}.items"), errors);
        let and_at = format!("{at}.andItems");
        errors.at_most(&and_at, batch.and_items.len(), MAX_PLACES, "further places");
        let and_items = (0..MAX_PLACES)
            .zip(&batch.and_items)
            .filter_map(|(index, text)| place(text, &format!("{and_at}[{index}]"), errors))
            .collect();
        Some(Self {
            items: items?,
            and_items,
            max_items: match batch.max_items {
                0 => DEFAULT_MAX_ITEMS,
                count => count as usize,
            },
        })
    }

    /// Every place of items, in order.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Pattern> {
        std::iter::once(&self.items).chain(&self.and_items)
    }

    /// True when all items are the elements of one array, so that none is under another.
    pub(crate) fn is_plain(&self) -> bool {
        self.and_items.is_empty() && !self.items.has_wildcard()
    }
}

fn place(text: &str, at: &str, errors: &mut Errors) -> Option<Pattern> {
    match text.strip_prefix("json:").map(Pattern::parse) {
        Some(Ok(pattern)) => Some(pattern),
        Some(Err(why)) => {
            errors.add(at, why);
            None
        }
        None => {
            errors.add(
                at,
                "must be `json:` for a body that is an array, or `json:/pointer` for an array inside; `*` in it stands for each element or member",
            );
            None
        }
    }
}
