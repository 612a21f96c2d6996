//! The calls that one event would make, not sent.

use super::super::plan::{Action, Plan};
use super::super::requests::{self, Call, MAX_ROWS, graph_of, not_a_graph};
use super::order::grouped;

/// The first call that this plan makes by itself, and whether others follow. Ids that are known only then are shown as such.
pub(in super::super) fn preview(plan: &Plan, base: &str) -> Vec<Call> {
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
