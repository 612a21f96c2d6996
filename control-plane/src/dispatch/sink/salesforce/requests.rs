//! From rows to calls: which path, and the exact bytes of the body.
//!
//! | rows | call |
//! | --- | --- |
//! | upserts of one object and key | `PATCH composite/sobjects/{object}/{field}`, at most 200 |
//! | inserts of one object | `POST composite/sobjects`, at most 200 |
//! | one platform event | `POST sobjects/{object}` |
//! | one update or delete | `PATCH sobjects/{object}/{field}/{value}?updateOnly=true`, `DELETE …` |
//! | several of them without `@{` in a value, or an event's rows that point to one another | `POST composite/graph`, at most 75 graphs of 500 rows in all |
//!
//! Numbers keep the digits that they came with, and nothing that came with an event is written anywhere but into JSON text or, encoded, into one
//! segment of a path.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::names::segment;
use super::plan::{Action, Key, Lookup, Plan, Row, by_id};
use crate::mapping::Value;

/// Rows of one collection.
pub(super) const MAX_ROWS: usize = 200;
/// Rows of one request of graphs.
pub(super) const MAX_GRAPH_ROWS: usize = 500;
/// Graphs of one request.
pub(super) const MAX_GRAPHS: usize = 75;
/// Rows on the longest way through a graph.
pub(super) const MAX_GRAPH_DEPTH: usize = 15;
/// Salesforce takes 6 MB; a larger body is spread over several calls.
pub(super) const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// One call, without what goes with all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) method: http::Method,
    /// Below `/services/data/v65.0/`, with its query.
    pub(super) path: String,
    pub(super) body: Option<String>,
}

/// Gives the id that a link is filled with.
pub(super) type Ids<'a> = &'a dyn Fn(usize) -> String;

/// How a row is written into a body.
struct Body<'a> {
    row: &'a Row,
    /// In collections each row says what it is, and has its key with it.
    in_collection: bool,
    ids: Ids<'a>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.in_collection {
            map.serialize_entry("attributes", &Attributes(&self.row.object))?;
            if let Some(Key { field, value, .. }) = &self.row.key {
                map.serialize_entry(field, value)?;
            }
        }
        for (name, value) in &self.row.fields {
            map.serialize_entry(name, value)?;
        }
        for lookup in &self.row.lookups {
            map.serialize_entry(&lookup.relationship, &Nested(lookup))?;
        }
        for link in &self.row.links {
            map.serialize_entry(&link.field, &(self.ids)(link.to))?;
        }
        map.end()
    }
}

struct Attributes<'a>(&'a str);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([("type", self.0)])
    }
}

/// A lookup by an external id.
struct Nested<'a>(&'a Lookup);

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // A standard relationship may lead to objects of several kinds; a custom one leads to one.
        if !self.0.relationship.ends_with("__r") {
            map.serialize_entry("attributes", &Attributes(&self.0.object))?;
        }
        map.serialize_entry(&self.0.key.field, &self.0.key.value)?;
        map.end()
    }
}

/// Texts, and numbers that are valid JSON: there is nothing in it that can't be written.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The rows of a collection as JSON, to be measured before they are put together.
pub(super) fn element(row: &Row, ids: Ids<'_>) -> String {
    json(&Body {
        row,
        in_collection: true,
        ids,
    })
}

/// Upserts of one object and key, or inserts of one object. Rows of several events: none of them falls with another.
pub(super) fn collection(row: &Row, elements: &[&str]) -> Call {
    let body = format!(
        r#"{{"allOrNone":false,"records":[{}]}}"#,
        elements.join(",")
    );
    let (method, path) = match (&row.action, &row.key) {
        (Action::Upsert, Some(key)) => (
            http::Method::PATCH,
            format!("composite/sobjects/{}/{}", row.object, key.field),
        ),
        _ => (http::Method::POST, "composite/sobjects".to_owned()),
    };
    Call {
        method,
        path,
        body: Some(body),
    }
}

/// A row by itself.
pub(super) fn single(row: &Row, ids: Ids<'_>) -> Call {
    let (method, path) = address(row);
    let has_body = method != http::Method::DELETE;
    Call {
        method,
        path,
        body: has_body.then(|| {
            json(&Body {
                row,
                in_collection: false,
                ids,
            })
        }),
    }
}

/// Where a row by itself is written.
fn address(row: &Row) -> (http::Method, String) {
    let object = &row.object;
    let Some(key) = &row.key else {
        return (http::Method::POST, format!("sobjects/{object}"));
    };
    let own_id = by_id(Some(&key.field));
    let value = segment(&key.text);
    let path = if own_id {
        format!("sobjects/{object}/{value}")
    } else {
        format!("sobjects/{object}/{}/{value}", key.field)
    };
    match row.action {
        Action::Delete => (http::Method::DELETE, path),
        Action::Update if !own_id => (http::Method::PATCH, format!("{path}?updateOnly=true")),
        _ => (http::Method::PATCH, path),
    }
}

/// What a row is called in a graph.
pub(super) fn reference(row: usize) -> String {
    format!("r{row}")
}

/// What a plan is called in a request of graphs.
pub(super) fn graph_name(plan: usize) -> String {
    format!("g{plan}")
}

/// Whether something in it would be taken for a reference to another row in a graph, and what an outsider asked for filled in.
pub(super) fn is_risky(row: &Row) -> bool {
    let has = |text: &str| text.contains("@{");
    let in_value =
        |value: &Value| matches!(value, Value::Text(text) | Value::Json(text) if has(text));
    row.fields.iter().any(|(_, value)| in_value(value))
        || row.lookups.iter().any(|lookup| has(&lookup.key.text))
        // It is written into the rows that point to this one.
        || row.own_id().is_some_and(has)
}

/// Why a plan can't be one graph. None: it can.
pub(super) fn not_a_graph(plan: &Plan) -> Option<String> {
    if plan.rows.len() > MAX_GRAPH_ROWS {
        return Some(format!(
            "it makes {} records, and at most {MAX_GRAPH_ROWS} can be written at once",
            plan.rows.len()
        ));
    }
    if plan.depth() > MAX_GRAPH_DEPTH {
        return Some(format!(
            "its records are {} levels deep, and at most {MAX_GRAPH_DEPTH} can be written at once",
            plan.depth()
        ));
    }
    let ordered_without_links = plan
        .rows
        .iter()
        .any(|row| row.action == Action::Delete && row.wave > 0);
    if ordered_without_links {
        return Some("what points to a record has to be deleted before it".to_owned());
    }
    if plan.rows.iter().any(|row| row.action == Action::Publish) && plan.rows.len() > 1 {
        return Some("platform events are published by themselves".to_owned());
    }
    if plan.rows.iter().any(is_risky) {
        return Some("a value has `@{` in it, which means a reference there".to_owned());
    }
    None
}

/// The rows of one graph as JSON; links among them are filled by `ids`.
pub(super) fn graph(rows: &[Row], ids: Ids<'_>, base: &str) -> String {
    let rows: Vec<String> = rows
        .iter()
        .enumerate()
        .map(|(place, row)| {
            let Call { method, path, body } = single(row, ids);
            let body = body
                .map(|body| format!(r#","body":{body}"#))
                .unwrap_or_default();
            format!(
                r#"{{"method":"{method}","url":"{base}{path}","referenceId":"{}"{body}}}"#,
                reference(place)
            )
        })
        .collect();
    rows.join(",")
}

/// A plan as one graph.
pub(super) fn graph_of(plan: &Plan, base: &str) -> String {
    let ids = |to: usize| match plan.rows.get(to).and_then(Row::own_id) {
        // An update by the own id answers nothing that could be referred to.
        Some(id) => id.to_owned(),
        None => format!("@{{{}.id}}", reference(to)),
    };
    graph(&plan.rows, &ids, base)
}

/// Graphs in one call; each is written whole or not at all, whatever becomes of the others.
pub(super) fn graphs(graphs: &[&str]) -> Call {
    let each = |(place, rows): (usize, &&str)| {
        format!(
            r#"{{"graphId":"{}","compositeRequest":[{rows}]}}"#,
            graph_name(place)
        )
    };
    let graphs: Vec<String> = graphs.iter().enumerate().map(each).collect();
    Call {
        method: http::Method::POST,
        path: "composite/graph".to_owned(),
        body: Some(format!(r#"{{"graphs":[{}]}}"#, graphs.join(","))),
    }
}
