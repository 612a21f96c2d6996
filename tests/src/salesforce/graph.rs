//! `composite/graph`: each graph is done whole or not at all.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::org::Org;
use super::rest::{Path, Reply, errors};

const MAX_GRAPHS: usize = 75;
const MAX_NODES: usize = 500;
const MAX_DEPTH: usize = 15;

#[derive(Deserialize)]
struct Graphs {
    graphs: Vec<Graph>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Graph {
    graph_id: String,
    composite_request: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    method: String,
    url: String,
    reference_id: String,
    body: Option<Box<RawValue>>,
}

impl Node {
    fn text(&self) -> &str {
        self.body.as_ref().map_or("{}", |body| body.get())
    }

    /// The nodes that it takes values of.
    fn needs(&self) -> Vec<&str> {
        let both = [self.text(), self.url.as_str()];
        both.into_iter()
            .flat_map(|text| text.split("@{").skip(1))
            .filter_map(|rest| rest.split_once('}')?.0.split_once('.'))
            .map(|(name, _)| name)
            .collect()
    }
}

impl Org {
    pub(super) fn graphs(&mut self, body: &str) -> Reply {
        let read: Graphs = match serde_json::from_str(body) {
            Ok(read) => read,
            Err(error) => return (400, errors("JSON_PARSER_ERROR", &error.to_string())),
        };
        let nodes: usize = read
            .graphs
            .iter()
            .map(|graph| graph.composite_request.len())
            .sum();
        if read.graphs.len() > MAX_GRAPHS || nodes > MAX_NODES {
            return (
                400,
                errors(
                    "LIMIT_EXCEEDED",
                    &format!("{} graphs of {nodes} nodes are too many", read.graphs.len()),
                ),
            );
        }
        let names: HashSet<&str> = read.graphs.iter().map(|graph| &*graph.graph_id).collect();
        if names.len() < read.graphs.len() {
            return (400, errors("INVALID_INPUT", "graphIds have to be unique"));
        }
        let done: Vec<Value> = read.graphs.iter().map(|graph| self.graph(graph)).collect();
        (200, json!({"graphs": done}))
    }

    fn graph(&mut self, graph: &Graph) -> Value {
        let before = self.objects.clone();
        let replies = self.nodes(&graph.composite_request);
        let good = replies
            .iter()
            .all(|(status, _)| (200..300).contains(status));
        if !good {
            self.objects = before;
        }
        let halted = errors(
            "PROCESSING_HALTED",
            "The transaction was rolled back since another operation in the same transaction failed.",
        );
        let each = replies.into_iter().zip(&graph.composite_request).map(|((status, body), node)| {
            let fell = !good && (200..300).contains(&status);
            let (status, body) = if fell { (400, halted.clone()) } else { (status, body) };
            json!({"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": node.reference_id})
        });
        json!({"graphId": graph.graph_id, "graphResponse": {"compositeResponse": each.collect::<Vec<_>>()}, "isSuccessful": good})
    }

    /// In order; after the first that fails nothing is done.
    fn nodes(&mut self, nodes: &[Node]) -> Vec<Reply> {
        let mut ids: BTreeMap<&str, (String, usize)> = BTreeMap::new();
        let mut replies: Vec<Reply> = Vec::new();
        for node in nodes {
            if replies
                .iter()
                .any(|(status, _)| !(200..300).contains(status))
            {
                replies.push((200, Value::Null));
                continue;
            }
            let needs = node.needs();
            let (mut text, mut depth, mut missing) = (node.text().to_owned(), 1, None);
            for need in needs {
                match ids.get(need) {
                    Some((id, above)) => {
                        text = text.replace(&format!("@{{{need}.id}}"), id);
                        depth = depth.max(above + 1);
                    }
                    None => missing = Some(need),
                }
            }
            let reply = if let Some(need) = missing {
                (
                    400,
                    errors(
                        "PROCESSING_HALTED",
                        &format!("Invalid reference specified. No value for {need}.id found"),
                    ),
                )
            } else if depth > MAX_DEPTH {
                (400, errors("LIMIT_EXCEEDED", "the graph is too deep"))
            } else {
                let path = node.url.splitn(5, '/').nth(4).unwrap_or_default();
                self.row(&node.method, &Path::parse(path), &text)
            };
            if let Some(id) = reply.1["id"].as_str() {
                ids.insert(&node.reference_id, (id.to_owned(), depth));
            }
            replies.push(reply);
        }
        replies
    }
}
