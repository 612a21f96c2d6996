//! Graphs that were taken back for a delete of what is gone already. Of an event that is written whole or not at all the graph goes again without it:
//! what is to be deleted and isn't there is done.

use std::collections::BTreeMap;

use super::super::answers::{Fate, Told};
use super::super::plan::Action;
use super::super::requests::graph_of;
use super::{Item, Shape, Writer};

/// Of one event. A graph ends with the first that is gone, so each costs a call.
const MAX_GONE: usize = 50;

/// What was said of rows that are gone, by the row's place in its plan.
type Gone = BTreeMap<usize, Told>;

impl Writer<'_> {
    /// Until none of these fails for such a delete.
    pub(super) async fn again_without_gone(&mut self, plans: &[usize]) {
        let mut gone: BTreeMap<usize, Gone> = BTreeMap::new();
        loop {
            let mut items = Vec::new();
            for &plan in plans {
                let found = self.gone(plan);
                if found.is_empty() {
                    continue;
                }
                // Whether they are done shows in what becomes of the others.
                for row in found.keys() {
                    self.tell((plan, *row), Told::new(Fate::NotTried, ""));
                }
                let of_plan = gone.entry(plan).or_default();
                of_plan.extend(found);
                match self.without(plan, of_plan) {
                    Ok(item) => items.extend(item),
                    Err(why) => {
                        for row in of_plan.keys() {
                            self.tell((plan, *row), Told::new(Fate::Refused, &*why));
                        }
                    }
                }
            }
            if items.is_empty() {
                break;
            }
            self.send_items(Shape::Graphs, items).await;
        }
        for (plan, rows) in gone {
            let told = self.told.get(plan).into_iter().flatten().enumerate();
            let mut others = told.filter(|(row, _)| !rows.contains_key(row));
            if others.all(|(_, told)| told.as_ref().is_some_and(Told::written)) {
                for (row, told) in rows {
                    self.tell_alone((plan, row), told);
                }
            }
        }
    }

    /// The rows of a graph that it was taken back for, where they are deletes of what isn't there and nothing else is wrong.
    fn gone(&self, plan: usize) -> Gone {
        let mut gone = Gone::new();
        let rows = self.told.get(plan).into_iter().flatten().enumerate();
        for (row, told) in rows {
            match told {
                Some(told) if told.fate == Fate::NotTried => {}
                Some(told) if self.is_gone((plan, row), told) => {
                    gone.insert(row, told.clone());
                }
                _ => return Gone::new(),
            }
        }
        gone
    }

    /// The graph of the other rows. None: there are none.
    fn without(&self, plan: usize, gone: &Gone) -> Result<Option<Item>, String> {
        if gone.len() > MAX_GONE {
            return Err(format!(
                "more than {MAX_GONE} of the records that it deletes are gone already, which shows one by one as allOrNone has it: turn that off"
            ));
        }
        let left = self.plans.get(plan).and_then(|plan| plan.without(gone));
        let Some((rest, places)) = left else {
            return Err("it is deleted, is gone already, and another record points to it".into());
        };
        let item = || Item {
            json: graph_of(&rest, &self.caller.base()),
            places: places.into_iter().map(|row| (plan, row)).collect(),
            instead_of: Vec::new(),
        };
        Ok((!rest.rows.is_empty()).then(item))
    }

    /// Whether this is what is said of a delete of what isn't there.
    pub(super) fn is_gone(&self, (plan, row): super::Place, told: &Told) -> bool {
        let row = self.plans.get(plan).and_then(|plan| plan.rows.get(row));
        told.fate == Fate::Refused
            && told.status == Some(404)
            && row.is_some_and(|row| row.action == Action::Delete)
    }
}
