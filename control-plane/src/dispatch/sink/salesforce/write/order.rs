//! What goes together, and what goes after what. Pure.

use std::collections::{HashMap, HashSet};

use super::super::busy::record;
use super::super::plan::{Action, Plan, Row};
use super::super::requests::{MAX_BODY_BYTES, MAX_GRAPH_ROWS, MAX_GRAPHS, MAX_ROWS};
use super::{Item, Place, Shape};

/// Plans in parts that are written one after the other: within one no record is written both by an event of several rows and by another event.
pub(super) fn in_order(plans: &[Plan]) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let (mut single, mut several) = (HashSet::new(), HashSet::new());
    for (place, plan) in plans.iter().enumerate() {
        let keys: HashSet<u64> = plan
            .rows
            .iter()
            .filter_map(|row| Some(record(&row.object, &row.key.as_ref()?.text)))
            .collect();
        let alone = plan.rows.len() == 1;
        if parts.is_empty() || !keys.is_disjoint(&several) || (!alone && !keys.is_disjoint(&single))
        {
            parts.push(Vec::new());
            single.clear();
            several.clear();
        }
        if alone { &mut single } else { &mut several }.extend(keys);
        if let Some(part) = parts.last_mut() {
            part.push(place);
        }
    }
    parts
}

/// Rows that may go in one call, in order of the first of each.
pub(super) fn grouped<'a>(
    rows: impl Iterator<Item = (Place, &'a Row)>,
) -> Vec<Vec<(Place, &'a Row)>> {
    let mut groups: Vec<Vec<(Place, &Row)>> = Vec::new();
    let mut known: HashMap<(&str, Action, Option<&str>), usize> = HashMap::new();
    for (place, row) in rows {
        let key = row.key.as_ref().map(|key| &*key.field);
        let group = *known
            .entry((&row.object, row.action, key))
            .or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        if let Some(group) = groups.get_mut(group) {
            group.push((place, row));
        }
    }
    groups
}

/// Cut to what one call takes.
pub(super) fn bounded(shape: Shape<'_>, items: Vec<Item>) -> Vec<Vec<Item>> {
    let (most_items, most_rows) = match shape {
        Shape::Collection(_) => (MAX_ROWS, MAX_ROWS),
        Shape::Graphs => (MAX_GRAPHS, MAX_GRAPH_ROWS),
    };
    let mut chunks: Vec<Vec<Item>> = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    for item in items {
        let fits = chunks.last().is_some_and(|chunk| {
            chunk.len() < most_items
                && rows + item.places.len() <= most_rows
                && bytes + item.json.len() < MAX_BODY_BYTES
        });
        if !fits {
            chunks.push(Vec::new());
            (rows, bytes) = (0, 0);
        }
        rows += item.places.len();
        bytes += item.json.len() + 1;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(item);
        }
    }
    chunks
}
