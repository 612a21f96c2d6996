//! What a mapping reads of an event, as paths from the top.

use std::collections::BTreeSet;

use super::{Source, Table};
use crate::mapping::path::Root;

/// What the rows of a table and of those around it read.
pub(in crate::mapping) fn paths(
    table: &Table,
    lists: &mut Vec<String>,
    into: &mut BTreeSet<String>,
) {
    for row in &table.rows {
        match &row.source {
            Source::Path(path) => drop(into.insert(path.absolute(lists))),
            Source::Cel(expression) => {
                into.extend(expression.paths().iter().map(|path| absolute(path, lists)));
            }
            Source::Nothing => {}
        }
    }
    for up in &table.parents {
        paths(&up.table, lists, into);
    }
    for down in &table.children {
        let Some(list) = &down.list else {
            paths(&down.table, lists, into);
            continue;
        };
        let list = list.absolute(lists);
        into.insert(list.clone());
        lists.push(format!("{list}[*]"));
        paths(&down.table, lists, into);
        lists.pop();
    }
}

/// Of an expression's path.
fn absolute(path: &str, lists: &[String]) -> String {
    for (root, up) in [(Root::Item(0), 0), (Root::Item(1), 1)] {
        if let (Some(rest), Some(list)) =
            (path.strip_prefix(root.name()), lists.iter().rev().nth(up))
            && (rest.is_empty() || rest.starts_with(['.', '[']))
        {
            return format!("{list}{rest}");
        }
    }
    path.to_owned()
}
