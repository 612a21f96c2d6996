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
//! - What is to be deleted and is gone is done: a graph that it takes back goes again without it, or row by row.
//! - Once the destination is away, wants a pause or takes too long, no further call is made.

mod calls;
mod gone;
mod order;
mod preview;
mod send;

use tokio::time::Instant;

use super::answers::{Fate, Told};
use super::call::Caller;
use super::plan::{Action, Plan, Row};
use super::requests::{graph_of, not_a_graph};
use order::{grouped, in_order};
pub(super) use preview::preview;

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
        if all_or_none {
            self.again_without_gone(&graphs).await;
        } else {
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

    /// Of a row that stood by itself: what a graph says that was taken back is done in none of its rows.
    fn tell_alone(&mut self, place: Place, mut told: Told) {
        if self.is_gone(place, &told) {
            told.said = format!("there was nothing to delete: {}", told.said);
            told.fate = Fate::Written { id: None };
        }
        self.tell(place, told);
    }

    fn tell(&mut self, (plan, row): Place, mut told: Told) {
        let it = self.plans.get(plan).and_then(|plan| plan.rows.get(row));
        if let (Fate::Written { id: id @ None }, Some(own)) =
            (&mut told.fate, it.and_then(Row::own_id))
        {
            *id = Some(own.to_owned());
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
                    self.tell_alone(*place, told);
                }
                several => self.addressed(several).await,
            },
        }
    }
}
