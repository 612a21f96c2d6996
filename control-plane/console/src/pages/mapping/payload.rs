//! What a mapping sees of an event, as a tree to pick paths from.
//!
//! The tree is made by a mapping: one whose record has the whole payload, the headers, the query and the event as fields. So what is shown is
//! what a path finds, whatever the body was: JSON, a form, XML, something unpacked or redacted.

use hookplane_proto::v1;
use serde_json::value::RawValue;

use super::json::{Json, Members};
use crate::page::Visitor;
use crate::weight::{self, Room};

const ROOTS: [&str; 4] = ["payload", "event", "headers", "query"];
/// Of the tree, in a page.
const TREE: usize = 30 * 1024;
/// Of a line of it, without its texts.
const LINE: usize = 150;
const MAX_LEVELS: usize = 24;
/// Of a list: the others are like them.
const SHOWN_ITEMS: usize = 2;
const SHOWN_CHARS: usize = 60;

/// One line of the tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) path: String,
    /// Of a leaf.
    pub(super) value: String,
    /// What it has in it, in words; empty of a leaf.
    pub(super) holds: String,
    pub(super) is_list: bool,
    /// Lists that end behind it.
    pub(super) closes: usize,
}

/// The event that is looked at, with its tree. For `mapping_payload.html`, under the name `payload`.
#[derive(Default)]
pub(super) struct Payload {
    pub(super) event_id: String,
    pub(super) sample: String,
    pub(super) event_type: String,
    pub(super) nodes: Vec<Node>,
    pub(super) cut: bool,
    /// Why there is none.
    pub(super) problem: String,
}

impl Payload {
    /// As the chooser has it: an event that was asked for, or the one that was found.
    pub(super) fn choice(&self) -> String {
        match (self.event_id.as_str(), self.sample.as_str()) {
            ("", "") => String::new(),
            ("", sample) => format!("sample:{sample}"),
            (id, _) => format!("event:{id}"),
        }
    }
}

/// Which event a preview is of, by what the chooser has: `event:ID`, `sample:NAME`, or nothing for the newest that fits.
pub(super) fn request_of(choice: &str, webhook: v1::Webhook) -> v1::PreviewRequest {
    v1::PreviewRequest {
        webhook: Some(webhook),
        event_id: choice.strip_prefix("event:").unwrap_or_default().to_owned(),
        sample: choice
            .strip_prefix("sample:")
            .unwrap_or_default()
            .to_owned(),
        ..Default::default()
    }
}

/// Of the event that is chosen. `webhook` decides which one fits when none is; what it maps has no part in it.
pub(super) async fn of(
    visitor: &Visitor,
    choice: &str,
    webhook: &v1::Webhook,
) -> Result<Payload, tonic::Status> {
    let mut asked = webhook.clone();
    let spec = asked.spec.get_or_insert_default();
    spec.active = false;
    spec.destinations.clear();
    let fields = ROOTS.map(|root| {
        let field = v1::FieldMapping {
            from: root.to_owned(),
            r#type: v1::FieldType::Json.into(),
            ..Default::default()
        };
        (root.to_owned(), field)
    });
    spec.mapping = Some(v1::Mapping {
        active: true,
        base: Some(v1::RecordMapping {
            object: "Event".to_owned(),
            fields: fields.into(),
            ..Default::default()
        }),
    });
    let request = request_of(choice, asked);
    let answer = visitor.api.previews().preview(request).await?.into_inner();
    let mut payload = Payload {
        problem: answer
            .problems
            .first()
            .map_or_else(String::new, |problem| problem.reason.clone()),
        event_id: answer.event_id,
        sample: answer.sample,
        event_type: answer.event_type,
        ..Payload::default()
    };
    #[derive(serde::Deserialize)]
    struct Record<'a> {
        #[serde(borrow)]
        fields: Members<'a>,
    }
    let records: Vec<Record<'_>> = serde_json::from_str(&answer.records_json).unwrap_or_default();
    let Some(record) = records.into_iter().next() else {
        if payload.problem.is_empty() {
            payload.problem = "there is nothing to read in it".to_owned();
        }
        return Ok(payload);
    };
    (payload.nodes, payload.cut) = nodes(&record.fields);
    Ok(payload)
}

fn nodes(fields: &Members<'_>) -> (Vec<Node>, bool) {
    let mut walk = Walk {
        nodes: Vec::new(),
        cut: false,
        room: Room::of(TREE),
    };
    for root in ROOTS {
        if let Some((_, value)) = fields.0.iter().find(|(name, _)| name == root) {
            // A text that holds JSON is what the field's type made of it.
            walk.value(root, root.to_owned(), value, 0);
        }
    }
    (walk.nodes, walk.cut)
}

struct Walk {
    nodes: Vec<Node>,
    cut: bool,
    room: Room,
}

impl Walk {
    fn value(&mut self, name: &str, path: String, raw: &RawValue, level: usize) {
        // The path stands there three times.
        let weight = LINE + 3 * weight::of(&path) + weight::of(name) + SHOWN_CHARS;
        if level > MAX_LEVELS || !self.room.takes(weight) {
            self.cut = true;
            return;
        }
        let mut node = Node {
            name: name.to_owned(),
            path: path.clone(),
            value: String::new(),
            holds: String::new(),
            is_list: false,
            closes: 0,
        };
        match Json::of(raw) {
            Json::Leaf(text) => {
                node.value = weight::cut(&text, SHOWN_CHARS);
                self.nodes.push(node);
            }
            Json::Object(members) => {
                node.holds = match members.len() {
                    1 => "1 field".to_owned(),
                    count => format!("{count} fields"),
                };
                self.nodes.push(node);
                for (name, value) in &members {
                    self.value(name, format!("{path}{}", step(name)), value, level + 1);
                }
                self.close();
            }
            Json::List(items) => {
                node.is_list = true;
                node.holds = match items.len() {
                    1 => "a list of 1".to_owned(),
                    count => format!("a list of {count}"),
                };
                self.nodes.push(node);
                for (index, item) in items.iter().take(SHOWN_ITEMS).enumerate() {
                    let step = format!("[{index}]");
                    self.value(&step, format!("{path}{step}"), item, level + 1);
                }
                self.close();
            }
        }
    }

    /// Behind whatever came last.
    fn close(&mut self) {
        if let Some(last) = self.nodes.last_mut() {
            last.closes += 1;
        }
    }
}

/// How a path goes on to a member.
fn step(name: &str) -> String {
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    match (plain, name.contains('\'')) {
        (true, _) => format!(".{name}"),
        (false, false) => format!("['{name}']"),
        (false, true) => format!("[\"{name}\"]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(payload: &str) -> (Vec<Node>, bool) {
        let fields = format!(r#"{{"payload":{payload}}}"#);
        nodes(&serde_json::from_str(&fields).unwrap())
    }

    #[test]
    fn a_tree_has_the_paths_that_a_row_takes() {
        let (tree, cut) = walked(
            r#"{"id":12345678901234567890.10,"a.b":{"it's":null},"lines":[{"sku":"x"},{},{}]}"#,
        );
        let lines: Vec<_> = tree
            .iter()
            .map(|node| (node.path.as_str(), node.value.as_str(), node.holds.as_str()))
            .collect();
        assert_eq!(
            lines,
            [
                ("payload", "", "3 fields"),
                ("payload.id", "12345678901234567890.10", ""),
                ("payload['a.b']", "", "1 field"),
                ("payload['a.b'][\"it's\"]", "null", ""),
                ("payload.lines", "", "a list of 3"),
                ("payload.lines[0]", "", "1 field"),
                ("payload.lines[0].sku", "x", ""),
                ("payload.lines[1]", "", "0 fields"),
            ]
        );
        let opened = tree.iter().filter(|node| !node.holds.is_empty()).count();
        assert_eq!(tree.iter().map(|node| node.closes).sum::<usize>(), opened);
        assert!(!cut);
    }

    #[test]
    fn a_large_or_deep_payload_is_cut() {
        let wide: Vec<_> = (0..1_000).map(|n| format!("\"f{n}\":{n}")).collect();
        let (tree, cut) = walked(&format!("{{{}}}", wide.join(",")));
        assert!(cut);
        let weight = tree.iter().map(|node| LINE + 3 * weight::of(&node.path));
        assert!(weight.sum::<usize>() < TREE);
        let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
        let (tree, cut) = walked(&deep);
        assert!(cut && tree.len() < 60);
    }
}
