//! The tree of a draft as the template writes it: one object after the other, each saying how many end behind it.

use super::form::{BASE, Kind, Object, SPEC, link_name};
use super::row::Row;
use crate::problem::Faults;

/// Levels each way.
const MAX_LEVELS: usize = 5;

/// What there is to choose from, with what people read.
pub(super) const OPERATIONS: [(&str, &str); 5] = [
    ("", "upsert with a key, else insert"),
    ("insert", "insert"),
    ("update", "update"),
    ("upsert", "upsert"),
    ("delete", "delete"),
];
pub(super) const HOWS: [(&str, &str); 3] = [
    ("path", "path"),
    ("cel", "CEL"),
    ("fixed", "always the default"),
];
pub(super) const TYPES: [(&str, &str); 10] = [
    ("", "as it is"),
    ("string", "text"),
    ("integer", "integer"),
    ("decimal", "decimal"),
    ("boolean", "boolean"),
    ("date", "date"),
    ("datetime", "date-time"),
    ("picklist", "picklist"),
    ("reference", "reference"),
    ("json", "JSON text"),
];
pub(super) const MISSINGS: [(&str, &str); 6] = [
    ("", "default, else leave out"),
    ("omit", "leave out"),
    ("null", "empty the field"),
    ("default", "default"),
    ("empty", "an empty text"),
    ("fail", "hold the delivery"),
];
pub(super) const CONVERTERS: [&str; 14] = [
    "trim",
    "lower",
    "upper",
    "unix-seconds",
    "unix-milliseconds",
    "cents",
    "first",
    "last",
    "join-semicolon",
    "join-comma",
    "phone",
    "before-separator",
    "after-separator",
    "trim, lower",
];

/// One object.
pub(super) struct Shown<'d> {
    /// Its place in the form.
    pub(super) at: String,
    pub(super) object: &'d Object,
    pub(super) title: String,
    pub(super) rows: Vec<Line<'d>>,
    pub(super) errors: Errors,
    pub(super) takes_parents: bool,
    pub(super) takes_children: bool,
    /// Field sets that end behind it.
    pub(super) closes: usize,
}

/// What is wrong with an object's own fields.
#[derive(Default)]
pub(super) struct Errors {
    pub(super) object: String,
    pub(super) key: String,
    pub(super) link: String,
    pub(super) for_each: String,
    /// Of all of it.
    pub(super) whole: String,
}

pub(super) struct Line<'d> {
    pub(super) at: String,
    /// As the summary above the form names it: by its field, or by its place where that has no name, or another row's.
    pub(super) anchor: String,
    pub(super) row: &'d Row,
    pub(super) error: String,
}

impl Shown<'_> {
    pub(super) fn is_base(&self) -> bool {
        self.object.kind == Kind::Base
    }

    pub(super) fn is_child(&self) -> bool {
        self.object.kind == Kind::Child
    }

    pub(super) fn has_operation(&self) -> bool {
        self.object.kind != Kind::Parent
    }

    pub(super) fn link_name(&self) -> &'static str {
        link_name(self.object.kind)
    }

    /// With the object itself, its rows apart.
    pub(super) fn is_wrong(&self) -> bool {
        !self.errors.whole.is_empty() || !self.problems().is_empty()
    }

    /// What is wrong, with what it is wrong with.
    pub(super) fn problems(&self) -> Vec<(&'static str, &str)> {
        let errors = &self.errors;
        let all = [
            ("The object's name", &errors.object),
            ("The key", &errors.key),
            ("The field that points", &errors.link),
            ("For each", &errors.for_each),
        ];
        let there = all.into_iter().filter(|(_, text)| !text.is_empty());
        there.map(|(what, text)| (what, text.as_str())).collect()
    }

    pub(super) fn keys(&self) -> Vec<&str> {
        super::form::names(self.object)
    }
}

pub(super) fn of<'d>(base: &'d Object, faults: &Faults) -> Vec<Shown<'d>> {
    let mut shown = Vec::new();
    let place = Place {
        at: BASE.to_owned(),
        title: "Base object".to_owned(),
        up: 0,
        down: 0,
    };
    walk(base, place, faults, &mut shown);
    shown
}

struct Place {
    at: String,
    title: String,
    up: usize,
    down: usize,
}

fn walk<'d>(object: &'d Object, place: Place, faults: &Faults, into: &mut Vec<Shown<'d>>) {
    let Place {
        at,
        title,
        up,
        down,
    } = place;
    let spec = format!("{SPEC}.{at}");
    let fault = |field: &str| faults.at(&format!("{spec}.{field}")).to_owned();
    let whole = ["", ".operation", ".fields", ".parents", ".children"];
    let whole = whole.map(|part| faults.at(&format!("{spec}{part}")));
    let errors = Errors {
        object: fault("object"),
        key: fault("key"),
        link: fault(link_name(object.kind)),
        for_each: fault("forEach"),
        whole: whole
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("; "),
    };
    let rows = object.rows.iter().enumerate().map(|(index, row)| {
        let at = format!("{at}.fields[{index}]");
        let mut error = faults.at(&format!("{SPEC}.{at}")).to_owned();
        let by_place = !error.is_empty();
        let named = format!(
            "{}.fields.{}",
            spec.trim_start_matches("spec.mapping."),
            row.name
        );
        let of_api = match row.name.is_empty() {
            true => String::new(),
            false => faults.below(&format!("{SPEC}.{named}")),
        };
        if !error.is_empty() && !of_api.is_empty() {
            error.push_str("; ");
        }
        error.push_str(&of_api);
        Line {
            anchor: if by_place { at.clone() } else { named },
            at,
            row,
            error,
        }
    });
    let name = match object.object.as_str() {
        "" => title.clone(),
        name => name.to_owned(),
    };
    into.push(Shown {
        rows: rows.collect(),
        object,
        title,
        errors,
        takes_parents: up < MAX_LEVELS,
        takes_children: object.kind != Kind::Parent && down < MAX_LEVELS,
        closes: 0,
        at: at.clone(),
    });
    for (index, parent) in object.parents.iter().enumerate() {
        let place = Place {
            at: format!("{at}.parents[{index}]"),
            title: format!("Parent of {name}"),
            up: up + 1,
            down,
        };
        walk(parent, place, faults, into);
    }
    for (index, child) in object.children.iter().enumerate() {
        let place = Place {
            at: format!("{at}.children[{index}]"),
            title: format!("Children of {name}"),
            up: 0,
            down: down + 1,
        };
        walk(child, place, faults, into);
    }
    if let Some(last) = into.last_mut() {
        last.closes += 1;
    }
}
