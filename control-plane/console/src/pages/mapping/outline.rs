//! A mapping to read: its objects in order, each with its rows. For who may not write, and beside a webhook's other facts.

use hookplane_proto::v1;

use super::form::{Kind, Object as Draft};
use super::row::Row as Typed;

/// More isn't read on a page of facts.
const MAX_ROWS: usize = 300;

pub(in crate::pages) struct Object {
    pub(in crate::pages) level: usize,
    pub(in crate::pages) title: String,
    pub(in crate::pages) rows: Vec<Row>,
    /// Rows that aren't shown.
    pub(in crate::pages) more: usize,
}

pub(in crate::pages) struct Row {
    pub(in crate::pages) name: String,
    pub(in crate::pages) from: String,
    /// Type, converters, values, what when it is missing.
    pub(in crate::pages) how: String,
}

/// For `mapping_outline.html`, under the name `objects`.
pub(in crate::pages) fn of(mapping: Option<&v1::Mapping>) -> Vec<Object> {
    let mut objects = Vec::new();
    let mut room = MAX_ROWS;
    if let Some(base) = mapping.and_then(|mapping| mapping.base.as_ref()) {
        walk(&Draft::of(base), 0, &mut room, &mut objects);
    }
    objects
}

fn walk(draft: &Draft, level: usize, room: &mut usize, into: &mut Vec<Object>) {
    let shown = draft.rows.len().min(*room);
    *room -= shown;
    into.push(Object {
        level: level.min(5),
        title: title(draft),
        rows: draft.rows[..shown].iter().map(row).collect(),
        more: draft.rows.len() - shown,
    });
    for object in draft.parents.iter().chain(&draft.children) {
        walk(object, level + 1, room, into);
    }
}

fn title(draft: &Draft) -> String {
    let mut title = match draft.kind {
        Kind::Base => draft.object.clone(),
        Kind::Parent => format!("{} by {}", draft.object, draft.link),
        Kind::Child if draft.for_each.is_empty() => {
            format!("{} that points back by {}", draft.object, draft.link)
        }
        Kind::Child => format!(
            "{} for each of {}, pointing back by {}",
            draft.object, draft.for_each, draft.link
        ),
    };
    if !draft.operation.is_empty() {
        title.push_str(&format!(": {}", draft.operation));
    }
    if !draft.key.is_empty() {
        title.push_str(&format!(", key {}", draft.key));
    }
    title
}

fn row(row: &Typed) -> Row {
    let mut how = Vec::new();
    for text in [&row.kind, &row.convert] {
        if !text.is_empty() {
            how.push(text.clone());
        }
    }
    if !row.values.is_empty() {
        how.push(row.values.replace('\n', ", "));
    }
    if row.how != "fixed" && !row.default.is_empty() {
        how.push(format!("else {}", row.default));
    } else if !matches!(row.missing.as_str(), "" | "default") {
        how.push(format!("if missing: {}", row.missing));
    }
    Row {
        name: row.name.clone(),
        from: source(row),
        how: how.join("; "),
    }
}

/// Where a value comes from, in a line.
pub(super) fn source(row: &Typed) -> String {
    match row.how.as_str() {
        "fixed" => format!("“{}”", row.default),
        "cel" => format!("= {}", row.from),
        _ => row.from.clone(),
    }
}
