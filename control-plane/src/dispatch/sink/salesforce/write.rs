//! Writes the rows of several events, in as few calls as may be.
//!
//! ```text
//!   events of one row ───────────────────────┐
//!   events of several ─▶ one graph each ─┐   ├─▶ wave by wave, in collections ─▶ what became of each row
//!                       can't be a graph, or was refused and needn't be whole ┘
//! ```
//!
//! - Calls go one after the other: what they write may have a parent in common.
//! - Of two rows with one key the later one stands: the earlier is left out if nothing of it would be left, else it goes in a call before.
//! - A call that is refused for one of many rows is split until the one is alone: a row takes nobody down with it.
//! - Once the destination is away, wants a pause or takes too long, no further call is made.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::answers::{self, Fate, Told};
use super::busy::record;
use super::call::Caller;
use super::plan::{Action, Plan, Row};
use super::requests::{
    self, Call, MAX_BODY_BYTES, MAX_GRAPH_ROWS, MAX_GRAPHS, MAX_ROWS, graph_of, is_risky,
    not_a_graph,
};

/// Splits of refused calls in one go: enough to find two bad rows among two hundred. What is left then is tried again later.
const MAX_SPLITS: usize = 16;
/// Platform events are one call each.
const PUBLISHED_AT_A_TIME: usize = 8;

/// A row: which plan, which of its rows.
type Place = (usize, usize);

/// Part of a call that stands or falls by itself: a row of a collection, or a graph.
struct Item {
    json: String,
    places: Vec<Place>,
    /// Rows that this one overwrites.
    instead_of: Vec<Place>,
}

#[derive(Clone, Copy)]
enum Shape<'a> {
    Collection(&'a Row),
    Graphs,
}

/// What became of each row of each plan.
pub(super) async fn write(
    caller: &Caller,
    plans: &[Plan],
    all_or_none: bool,
    until: Instant,
) -> Vec<Vec<Told>> {
    let mut writer = Writer {
        caller,
        plans,
        told: plans
            .iter()
            .map(|plan| vec![None; plan.rows.len()])
            .collect(),
        stop: None,
        splits: 0,
        until,
    };
    for part in in_order(plans) {
        writer.part(&part, all_or_none).await;
    }
    let missing = || Told::new(Fate::NotTried, "");
    let each = |told: Vec<Option<Told>>| {
        told.into_iter()
            .map(|told| told.unwrap_or_else(missing))
            .collect()
    };
    writer.told.into_iter().map(each).collect()
}

/// The first call that this plan makes by itself, and whether others follow. Ids that are known only then are shown as such.
pub(super) fn preview(plan: &Plan, base: &str) -> Vec<Call> {
    if plan.rows.len() > 1 && not_a_graph(plan).is_none() {
        return vec![requests::graphs(&[&graph_of(plan, base)])];
    }
    let ids = |row: usize| {
        format!(
            "{{id of {}}}",
            plan.rows.get(row).map_or("", |row| &row.object)
        )
    };
    let mut calls = Vec::new();
    for wave in 0..plan.depth() {
        let rows = plan
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.wave == wave);
        for group in grouped(rows.map(|(place, row)| ((0, place), row))) {
            calls.extend(group.chunks(MAX_ROWS).filter_map(|chunk| {
                let (_, first) = chunk.first()?;
                Some(match first.action {
                    Action::Insert | Action::Upsert => {
                        let rows: Vec<String> = chunk
                            .iter()
                            .map(|(_, row)| requests::element(row, &ids))
                            .collect();
                        vec![requests::collection(
                            first,
                            &rows.iter().map(String::as_str).collect::<Vec<_>>(),
                        )]
                    }
                    _ => chunk
                        .iter()
                        .map(|(_, row)| requests::single(row, &ids))
                        .collect(),
                })
            }));
        }
    }
    calls.into_iter().flatten().collect()
}

/// Plans in parts that are written one after the other: within one no record is written both by an event of several rows and by another event.
fn in_order(plans: &[Plan]) -> Vec<Vec<usize>> {
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
fn grouped<'a>(rows: impl Iterator<Item = (Place, &'a Row)>) -> Vec<Vec<(Place, &'a Row)>> {
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

struct Writer<'a> {
    caller: &'a Caller,
    plans: &'a [Plan],
    told: Vec<Vec<Option<Told>>>,
    /// Why no further call is made.
    stop: Option<Told>,
    splits: usize,
    /// No call is begun after that.
    until: Instant,
}

impl<'a> Writer<'a> {
    async fn part(&mut self, part: &[usize], all_or_none: bool) {
        let plans = self.plans;
        let mut items = Vec::new();
        let mut waves = Vec::new();
        let base = self.caller.base();
        for &place in part {
            let Some(plan) = plans.get(place) else {
                continue;
            };
            match not_a_graph(plan) {
                _ if plan.rows.len() == 1 => waves.push(place),
                None => items.push(Item {
                    json: graph_of(plan, &base),
                    places: (0..plan.rows.len()).map(|row| (place, row)).collect(),
                    instead_of: Vec::new(),
                }),
                Some(why) if all_or_none => {
                    for row in 0..plan.rows.len() {
                        let why = format!(
                            "{why}, as allOrNone has it: turn that off, or make fewer records of an event"
                        );
                        self.tell((place, row), Told::new(Fate::Refused, why));
                    }
                }
                Some(_) => waves.push(place),
            }
        }
        let graphs: Vec<usize> = items
            .iter()
            .filter_map(|item| Some(item.places.first()?.0))
            .collect();
        self.send_items(Shape::Graphs, items).await;
        if !all_or_none {
            // A graph is written whole or not at all; here those that can be written are.
            waves.extend(graphs.into_iter().filter(|plan| self.was_refused(*plan)));
        }
        self.waves(&waves).await;
    }

    fn was_refused(&self, plan: usize) -> bool {
        let Some(told) = self.told.get(plan) else {
            return false;
        };
        let fates = || told.iter().flatten().map(|told| &told.fate);
        fates().any(|fate| *fate == Fate::Refused)
            && fates().all(|fate| matches!(fate, Fate::Refused | Fate::NotTried))
    }

    fn tell(&mut self, (plan, row): Place, mut told: Told) {
        let it = self.plans.get(plan).and_then(|plan| plan.rows.get(row));
        if let (Fate::Written { id: id @ None }, Some(own)) =
            (&mut told.fate, it.and_then(Row::own_id))
        {
            *id = Some(own.to_owned());
        }
        if told.status == Some(404) && it.is_some_and(|row| row.action == Action::Delete) {
            told.said = format!("there was nothing to delete: {}", told.said);
            told.fate = Fate::Written { id: None };
        }
        if let Some(slot) = self.told.get_mut(plan).and_then(|plan| plan.get_mut(row)) {
            *slot = Some(told);
        }
    }

    /// Parents before children, whatever event they are of.
    async fn waves(&mut self, plans: &[usize]) {
        let all = self.plans;
        let depth = plans
            .iter()
            .filter_map(|plan| Some(all.get(*plan)?.depth()))
            .max()
            .unwrap_or(0);
        for wave in 0..depth {
            let mut rows = Vec::new();
            for &place in plans {
                for (row, it) in all
                    .get(place)
                    .into_iter()
                    .flat_map(|plan| plan.rows.iter().enumerate())
                {
                    if it.wave != wave {
                        continue;
                    }
                    if it
                        .links
                        .iter()
                        .all(|link| self.id((place, link.to)).is_some())
                    {
                        rows.push(((place, row), it));
                    } else {
                        self.tell((place, row), Told::new(Fate::NotTried, ""));
                    }
                }
            }
            for group in grouped(rows.into_iter()) {
                self.group(&group).await;
            }
        }
    }

    fn id(&self, (plan, row): Place) -> Option<&String> {
        match &self.told.get(plan)?.get(row)?.as_ref()?.fate {
            Fate::Written { id } => id.as_ref(),
            _ => None,
        }
    }

    fn is_risky_id(&self, place: Place) -> bool {
        self.id(place).is_some_and(|id| id.contains("@{"))
    }

    async fn group(&mut self, group: &[(Place, &'a Row)]) {
        let Some((_, first)) = group.first() else {
            return;
        };
        match first.action {
            Action::Insert | Action::Upsert => {
                for chunk in self.collections(group) {
                    self.send_items(Shape::Collection(first), chunk).await;
                }
            }
            Action::Publish => self.publish(group).await,
            Action::Update | Action::Delete => match group {
                [(place, row)] => {
                    let call = self.single(*place, row);
                    let told = self.one(call).await;
                    self.tell(*place, told);
                }
                several => self.addressed(several).await,
            },
        }
    }

    fn single(&self, (plan, _): Place, row: &Row) -> Call {
        requests::single(row, &|to| self.id((plan, to)).cloned().unwrap_or_default())
    }

    /// A call of one row.
    async fn one(&mut self, call: Call) -> Told {
        if let Some(stop) = self.stopped() {
            return stop;
        }
        let told = sent(self.caller, call).await;
        self.heed(&told);
        told
    }

    /// Why no further call is made, if none is.
    fn stopped(&mut self) -> Option<Told> {
        if self.stop.is_none() && Instant::now() >= self.until {
            let late = "the calls of its batch take too long: the rest of it comes again";
            self.stop = Some(Told::new(Fate::Again { after: None }, late));
        }
        self.stop.clone()
    }

    /// Whether to go on after a call that failed as a whole.
    fn heed(&mut self, told: &Told) {
        if matches!(told.fate, Fate::Again { .. } | Fate::Pause { .. }) {
            self.stop = Some(told.clone());
        }
    }

    async fn publish(&mut self, group: &[(Place, &Row)]) {
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
    async fn addressed(&mut self, group: &[(Place, &'a Row)]) {
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
                self.tell(*place, told);
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
    fn collections(&self, group: &[(Place, &Row)]) -> Vec<Vec<Item>> {
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

    async fn send_items(&mut self, shape: Shape<'_>, items: Vec<Item>) {
        // The next one is at the end.
        let mut waiting = bounded(shape, items);
        waiting.reverse();
        while let Some(items) = waiting.pop() {
            if let Some(stop) = self.stopped() {
                self.tell_all(&items, &stop);
                continue;
            }
            let parts: Vec<&str> = items.iter().map(|item| &*item.json).collect();
            let call = match shape {
                Shape::Collection(row) => requests::collection(row, &parts),
                Shape::Graphs => requests::graphs(&parts),
            };
            match self.caller.send(&call).await {
                Ok(answer) => {
                    let told = match shape {
                        Shape::Collection(_) => {
                            let rows =
                                answers::collection(answer.status, &answer.body, items.len());
                            rows.into_iter().map(|told| vec![told]).collect()
                        }
                        Shape::Graphs => {
                            let rows: Vec<usize> =
                                items.iter().map(|item| item.places.len()).collect();
                            answers::graphs(answer.status, &answer.body, &rows)
                        }
                    };
                    for (item, told) in items.iter().zip(told) {
                        self.tell_item(item, told);
                    }
                }
                // Of one row the whole falls where it can't be read: find it.
                Err(told)
                    if told.fate == Fate::Refused
                        && told.status == Some(400)
                        && items.len() > 1 =>
                {
                    if self.splits == MAX_SPLITS {
                        let later = Told {
                            fate: Fate::Again { after: None },
                            said: format!("refused with others: {}", told.said),
                            ..told
                        };
                        self.tell_all(&items, &later);
                        continue;
                    }
                    self.splits += 1;
                    let mut first = items;
                    let second = first.split_off(first.len() / 2);
                    waiting.push(second);
                    waiting.push(first);
                }
                Err(told) => {
                    self.heed(&told);
                    self.tell_all(&items, &told);
                }
            }
        }
    }

    fn tell_all(&mut self, items: &[Item], told: &Told) {
        for item in items {
            self.tell_item(item, vec![told.clone(); item.places.len()]);
        }
    }

    fn tell_item(&mut self, item: &Item, told: Vec<Told>) {
        for told in &told {
            if let Fate::Pause { .. } = told.fate {
                self.stop = Some(told.clone());
            }
        }
        if let Some(newer) = told.first() {
            let told = if newer.written() {
                Told {
                    said: "overwritten by a newer record with its key in the same request"
                        .to_owned(),
                    ..newer.clone()
                }
            } else if let Fate::Pause { .. } = newer.fate {
                newer.clone()
            } else {
                let said = format!(
                    "a newer record with its key, sent instead of it, wasn't written: {}",
                    newer.said
                );
                Told {
                    fate: Fate::Again { after: None },
                    said,
                    ..newer.clone()
                }
            };
            for place in &item.instead_of {
                self.tell(*place, told.clone());
            }
        }
        for (place, told) in item.places.iter().zip(told) {
            self.tell(*place, told);
        }
    }
}

async fn sent(caller: &Caller, call: Call) -> Told {
    match caller.send(&call).await {
        Ok(answer) => answers::single(answer.status, &answer.body),
        Err(told) => told,
    }
}

/// Cut to what one call takes.
fn bounded(shape: Shape<'_>, items: Vec<Item>) -> Vec<Vec<Item>> {
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
