//! A mapping to read: its objects in order, each with its rows. For who may not write, and beside a webhook's other facts.

use hookplane_proto::v1;

use super::form::{Kind, Object as Draft};
use super::row::Row as Typed;
use crate::weight::{self, Room};

/// More isn't read on a page of facts: of all of it, and of one text.
const OUTLINE: usize = 60 * 1024;
const TEXT: usize = 300;
/// Of a row, and of an object, without its texts.
const ROW: usize = 100;
const OBJECT: usize = 400;

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
    let mut room = Room::of(OUTLINE);
    if let Some(base) = mapping.and_then(|mapping| mapping.base.as_ref()) {
        walk(&Draft::of(base), 0, &mut room, &mut objects);
    }
    objects
}

fn walk(draft: &Draft, level: usize, room: &mut Room, into: &mut Vec<Object>) {
    let title = weight::cut(&title(draft), TEXT);
    if !room.takes(OBJECT + 2 * weight::of(&title)) {
        // What has no room is a number at the last that has.
        if let Some(last) = into.last_mut() {
            last.more += draft.count();
        }
        return;
    }
    let mut rows = Vec::new();
    for typed in &draft.rows {
        let row = row(typed);
        let texts = [&row.name, &row.from, &row.how];
        let texts: usize = texts.map(|text| weight::of(text)).iter().sum();
        if !room.takes(ROW + texts) {
            break;
        }
        rows.push(row);
    }
    into.push(Object {
        level: level.min(5),
        title,
        more: draft.rows.len() - rows.len(),
        rows,
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
        from: weight::cut(&source(row), TEXT),
        how: weight::cut(&how.join("; "), TEXT),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_large_mapping_the_outline_says_how_many_rows_it_leaves_out() {
        let field = |from: &str| v1::FieldMapping {
            from: from.to_owned(),
            ..Default::default()
        };
        let child = |index: usize| v1::ChildMapping {
            object: format!("Object_{index}__c"),
            fields: (0..400)
                .map(|row| (format!("Field_{row}__c"), field("payload.some.value")))
                .collect(),
            ..Default::default()
        };
        let mapping = v1::Mapping {
            active: true,
            base: Some(v1::RecordMapping {
                object: "Order__c".to_owned(),
                children: (0..5).map(child).collect(),
                ..Default::default()
            }),
        };
        let objects = of(Some(&mapping));
        let shown: usize = objects.iter().map(|one| one.rows.len()).sum();
        let more: usize = objects.iter().map(|one| one.more).sum();
        assert!((300..600).contains(&shown), "{shown}");
        assert_eq!(shown + more, 2_000);
    }
}
