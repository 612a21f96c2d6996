//! How the rows of one group are spread over calls.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::super::answers::{Fate, Told};
use super::super::busy::record;
use super::super::plan::Row;
use super::super::requests::{self, Call, is_risky};
use super::send::sent;
use super::{Item, Place, Shape, Writer};

/// Platform events are one call each.
const PUBLISHED_AT_A_TIME: usize = 8;

impl<'a> Writer<'a> {
    pub(super) fn single(&self, (plan, _): Place, row: &Row) -> Call {
        requests::single(row, &|to| self.id((plan, to)).cloned().unwrap_or_default())
    }

    /// A call of one row.
    pub(super) async fn one(&mut self, call: Call) -> Told {
        if let Some(stop) = self.stopped() {
            return stop;
        }
        let told = sent(self.caller, call).await;
        self.heed(&told);
        told
    }

    /// Why no further call is made, if none is.
    pub(super) fn stopped(&mut self) -> Option<Told> {
        if self.stop.is_none() && Instant::now() >= self.until {
            let late = "the calls of its batch take too long: the rest of it comes again";
            self.stop = Some(Told::new(Fate::Again { after: None }, late));
        }
        self.stop.clone()
    }

    /// Whether to go on after a call that failed as a whole.
    pub(super) fn heed(&mut self, told: &Told) {
        if matches!(told.fate, Fate::Again { .. } | Fate::Pause { .. }) {
            self.stop = Some(told.clone());
        }
    }

    pub(super) async fn publish(&mut self, group: &[(Place, &Row)]) {
        for chunk in group.chunks(PUBLISHED_AT_A_TIME) {
            if let Some(stop) = self.stopped() {
                chunk
                    .iter()
                    .for_each(|(place, _)| self.tell(*place, stop.clone()));
                continue;
            }
            let caller = self.caller;
            let calls: Vec<Call> = chunk
                .iter()
                .map(|(place, row)| self.single(*place, row))
                .collect();
            let told: Vec<Told> = futures_util::stream::iter(calls)
                .map(|call| sent(caller, call))
                .buffered(PUBLISHED_AT_A_TIME)
                .collect()
                .await;
            for ((place, _), told) in chunk.iter().zip(told) {
                self.heed(&told);
                self.tell(*place, told);
            }
        }
    }

    /// Updates and deletes have no collection by external id: a graph of one row each, but for those that can't be in one.
    pub(super) async fn addressed(&mut self, group: &[(Place, &'a Row)]) {
        let base = self.caller.base();
        let mut items: Vec<Item> = Vec::new();
        let mut seen = HashSet::new();
        for (place, row) in group {
            let key = row.key.as_ref().map(|key| record(&row.object, &key.text));
            if !key.is_none_or(|key| seen.insert(key)) {
                // Which of two graphs goes first isn't said.
                self.send_items(Shape::Graphs, std::mem::take(&mut items))
                    .await;
                seen.clear();
                seen.extend(key);
            }
            if is_risky(row)
                || row
                    .links
                    .iter()
                    .any(|link| self.is_risky_id((place.0, link.to)))
            {
                // After those before it: they may be of the same record.
                self.send_items(Shape::Graphs, std::mem::take(&mut items))
                    .await;
                let call = self.single(*place, row);
                let told = self.one(call).await;
                self.tell_alone(*place, told);
                continue;
            }
            let item = {
                let ids = |to| self.id((place.0, to)).cloned().unwrap_or_default();
                Item {
                    json: requests::graph(std::slice::from_ref(*row), &ids, &base),
                    places: vec![*place],
                    instead_of: Vec::new(),
                }
            };
            items.push(item);
        }
        self.send_items(Shape::Graphs, items).await;
    }

    /// Spreads rows over collections of which none has a key twice.
    pub(super) fn collections(&self, group: &[(Place, &Row)]) -> Vec<Vec<Item>> {
        let mut chunks = vec![Vec::<Item>::new()];
        let mut there: HashMap<u64, (usize, &Row)> = HashMap::new();
        for (place, row) in group {
            let json = requests::element(row, &|to| {
                self.id((place.0, to)).cloned().unwrap_or_default()
            });
            let key = row.key.as_ref().map(|key| record(&row.object, &key.text));
            let earlier = key.and_then(|key| there.get(&key).copied());
            if let Some((at, earlier)) = earlier {
                let item = chunks.last_mut().and_then(|chunk| chunk.get_mut(at));
                if let Some(item) =
                    item.filter(|_| row.key == earlier.key && row.overwrites(earlier))
                {
                    item.json = json;
                    let left_out = std::mem::replace(&mut item.places, vec![*place]);
                    item.instead_of.extend(left_out);
                    there.extend(key.map(|key| (key, (at, *row))));
                    continue;
                }
                chunks.push(Vec::new());
                there.clear();
            }
            let at = chunks.last().map_or(0, Vec::len);
            there.extend(key.map(|key| (key, (at, *row))));
            if let Some(chunk) = chunks.last_mut() {
                chunk.push(Item {
                    json,
                    places: vec![*place],
                    instead_of: Vec::new(),
                });
            }
        }
        chunks
    }
}
