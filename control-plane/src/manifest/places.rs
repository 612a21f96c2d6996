//! What a server finds wrong with a connector is found again in its file.
//!
//! Every field that the built-in connectors use is spoilt in turn, and each error that the rules then report has to lead to a place.

use std::collections::BTreeSet;

use hookplane_proto::v1;
use hookplane_rules::Connector;
use serde_json::Value;

use super::{API_VERSION, Document, parse};
use crate::catalogue::Catalogue;

/// Of a list in a copy that is spoilt: what comes after is more of the same.
const MAX_ITEMS: usize = 3;

/// Of one copy: the rest of a long list's are all alike.
const MAX_ERRORS: usize = 20;

/// A value within a spec, as a path of keys and indexes.
type At = Vec<String>;

fn walk(at: &At, value: &Value, see: &mut dyn FnMut(&At, &Value)) {
    see(at, value);
    let child = |key: String| at.iter().cloned().chain([key]).collect::<At>();
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                walk(&child(key.clone()), value, see);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                walk(&child(index.to_string()), value, see);
            }
        }
        _ => {}
    }
}

fn shorten(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(shorten),
        Value::Array(list) => {
            list.truncate(MAX_ITEMS);
            list.iter_mut().for_each(shorten);
        }
        _ => {}
    }
}

/// The same field of any connector, whatever its place in lists.
fn shape(at: &At) -> String {
    let names = at.iter().map(|step| match step.parse::<usize>() {
        Ok(_) => "[]",
        Err(_) => step,
    });
    names.collect::<Vec<_>>().join(".")
}

fn pointer(at: &At) -> String {
    at.iter()
        .map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1")))
        .collect()
}

/// Copies with this one value spoilt.
fn spoilt(spec: &Value, at: &At, value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let mut put = |new: Value| {
        let mut copy = spec.clone();
        if let Some(place) = copy.pointer_mut(&pointer(at)) {
            *place = new;
            all.push(copy);
        }
    };
    match value {
        Value::String(_) => {
            put("".into());
            put("no such: {thing}".into());
            put("x".repeat(70_000).into());
        }
        Value::Number(_) => {
            put(0.into());
            put(u32::MAX.into());
        }
        Value::Array(list) => {
            put(Value::Array(Vec::new()));
            if let Some(first) = list.first() {
                put(vec![first.clone(); 1_100].into());
            }
        }
        Value::Object(_) => put(serde_json::json!({})),
        _ => {}
    }
    // And without it.
    let (Some(last), Some(above)) = (at.last(), at.split_last().map(|(_, rest)| rest.to_vec()))
    else {
        return all;
    };
    let mut copy = spec.clone();
    if let Some(map) = copy
        .pointer_mut(&pointer(&above))
        .and_then(Value::as_object_mut)
    {
        map.remove(last);
        all.push(copy);
    }
    all
}

/// The copy as it is in a file.
fn document(spec: &Value) -> Document {
    let text = serde_json::json!({
        "apiVersion": API_VERSION,
        "kind": "Connector",
        "metadata": {"org": "acme", "name": "own"},
        "spec": spec,
    })
    .to_string();
    let mut documents = parse(&text).unwrap_or_else(|error| panic!("{error}"));
    documents.remove(0)
}

/// What of a field's path isn't in the file.
fn missing<'a>(document: &Document, field: &'a str) -> Option<&'a str> {
    let (mut node, mut rest) = (&document.root, field);
    while let Some((_, below, left)) = node.step(rest) {
        (node, rest) = (below, left);
    }
    (!rest.is_empty()).then_some(rest)
}

// A path with a wrong index or name would point an author at a place that is right.
#[test]
fn every_error_of_a_connector_leads_to_the_field_or_to_where_it_is_missing() {
    let mut shapes = BTreeSet::new();
    let mut wrong = BTreeSet::new();
    let mut errors_seen = 0;
    for connector in Catalogue::built_in().all() {
        let mut spec = serde_json::to_value(&connector.spec).unwrap();
        shorten(&mut spec);
        let mut fresh = Vec::new();
        walk(&At::new(), &spec, &mut |at, value| {
            if shapes.insert(shape(at)) {
                fresh.push((at.clone(), value.clone()));
            }
        });
        for (at, value) in fresh {
            for spoilt in spoilt(&spec, &at, &value) {
                // What isn't read at all has its place from the reader.
                let Ok(read) = serde_json::from_value::<v1::ConnectorSpec>(spoilt.clone()) else {
                    continue;
                };
                let definition = v1::Connector {
                    metadata: connector.metadata.clone(),
                    spec: Some(read),
                };
                let Err(errors) = Connector::compile(&definition) else {
                    continue;
                };
                let document = document(&spoilt);
                for error in errors.into_iter().take(MAX_ERRORS) {
                    errors_seen += 1;
                    let Some(rest) = missing(&document, &error.field) else {
                        continue;
                    };
                    // One step that isn't there: the field that is missing.
                    let steps = rest.trim_start_matches('.').split(['.', '[']).count();
                    if steps > 2 || rest.starts_with('[') {
                        wrong.insert(format!("{}: {}", shape(&at), error));
                    }
                }
            }
        }
    }
    assert!(shapes.len() > 200, "fields are there: {}", shapes.len());
    assert!(errors_seen > 200, "they have errors: {errors_seen}");
    assert!(
        wrong.is_empty(),
        "{} errors lead nowhere:\n{}",
        wrong.len(),
        wrong.into_iter().collect::<Vec<_>>().join("\n")
    );
}
