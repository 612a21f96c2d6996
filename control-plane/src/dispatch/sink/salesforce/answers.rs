//! Reading what Salesforce answers: what became of each row, and of the whole where there are no rows in it.
//!
//! ```text
//!   collection: [{id, success, errors: [{statusCode, message, fields}]}]         in order of the rows; HTTP 200 whatever is in it
//!   graph:      {graphs: [{graphId, graphResponse: {compositeResponse: [{referenceId, httpStatusCode, body}]}, isSuccessful}]}
//!   single:     {id, success, errors}, nothing (204), or
//!   error:      [{message, errorCode, fields}]
//! ```

use std::collections::HashMap;
use std::time::Duration;

use hookplane_rules::text::clip;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::bounded;
use super::requests::{MAX_GRAPH_ROWS, MAX_GRAPHS, MAX_ROWS, graph_name, reference};
use crate::dispatch::client::{SendError, excerpt};
use crate::dispatch::sink::unsent_pause;

/// Of one error, as an operator gets it.
const MAX_MESSAGE_BYTES: usize = 300;
/// A day's calls are used up: nothing gets through for a while.
const LIMIT_PAUSE: Duration = Duration::from_secs(15 * 60);
/// Too many long calls at a time: over as soon as they are.
const CONCURRENCY_PAUSE: Duration = Duration::from_secs(30);

/// What became of a row, or of all rows of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Written {
        id: Option<String>,
    },
    Again {
        after: Option<Duration>,
    },
    /// The whole destination waits.
    Pause {
        time: Duration,
    },
    Refused,
    /// It was fine, and went down with another of its graph or waits for one that wasn't written.
    NotTried,
}

/// With what was said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) fate: Fate,
    pub(super) status: Option<u16>,
    pub(super) said: String,
    pub(super) excerpt: String,
}

impl Told {
    pub(super) fn new(fate: Fate, said: impl Into<String>) -> Self {
        Self {
            fate,
            status: None,
            said: said.into(),
            excerpt: String::new(),
        }
    }

    /// Of a call without an answer; `of` says which.
    pub(super) fn unanswered(error: &SendError, of: &str) -> Self {
        let again = Fate::Again { after: None };
        let fate = unsent_pause(error).map_or(again, |time| Fate::Pause { time });
        Self::new(fate, format!("{of}{error}"))
    }

    pub(super) fn written(&self) -> bool {
        matches!(self.fate, Fate::Written { .. })
    }

    fn answered(mut self, status: u16, body: &str) -> Self {
        self.status = Some(status);
        self.excerpt = excerpt(body.as_bytes(), true, []);
        self
    }
}

/// `errorCode` where a call failed, `statusCode` in results.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Error {
    #[serde(alias = "errorCode", alias = "statusCode")]
    code: String,
    message: String,
    #[serde(deserialize_with = "bounded::list::<_, _, 100>")]
    fields: Vec<String>,
}

impl Error {
    /// Of the row, or of another one that a trigger wrote to: then the code is the trigger's, and the message has the lock's.
    fn is_a_lock(&self) -> bool {
        const LOCKED: &str = "UNABLE_TO_LOCK_ROW";
        let of_a_trigger = self.code == "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY";
        self.code == LOCKED || of_a_trigger && self.message.contains(LOCKED)
    }
}

/// Those of one row, or of a call.
const MAX_ERRORS: usize = 200;

#[derive(Debug, Default, Deserialize)]
struct Errors(#[serde(deserialize_with = "bounded::list::<_, _, MAX_ERRORS>")] Vec<Error>);

#[derive(Debug, Deserialize)]
struct Saved {
    id: Option<String>,
    success: bool,
    #[serde(default)]
    errors: Errors,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Graphs<'a> {
    #[serde(borrow, deserialize_with = "bounded::list::<_, _, MAX_GRAPHS>")]
    graphs: Vec<Graph<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Graph<'a> {
    graph_id: String,
    #[serde(borrow)]
    graph_response: GraphResponse<'a>,
    is_successful: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GraphResponse<'a> {
    #[serde(borrow, deserialize_with = "bounded::list::<_, _, MAX_GRAPH_ROWS>")]
    composite_response: Vec<Node<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node<'a> {
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    http_status_code: u16,
    reference_id: String,
}

fn text_of(errors: &[Error]) -> String {
    let each: Vec<String> = errors
        .iter()
        .map(|error| {
            let fields = if error.fields.is_empty() {
                String::new()
            } else {
                format!(" ({})", error.fields.join(", "))
            };
            clip(
                &format!("{}: {}{fields}", error.code, error.message),
                MAX_MESSAGE_BYTES,
            )
        })
        .collect();
    clip(&each.join("; "), 2 * MAX_MESSAGE_BYTES)
}

/// What errors mean, whatever they came with.
fn fate_of(errors: &[Error]) -> Fate {
    let has = |code: &str| errors.iter().find(|error| error.code == code);
    if let Some(error) = has("REQUEST_LIMIT_EXCEEDED") {
        let concurrent = error.message.contains("Concurrent");
        Fate::Pause {
            time: if concurrent {
                CONCURRENCY_PAUSE
            } else {
                LIMIT_PAUSE
            },
        }
    } else if has("SERVER_UNAVAILABLE").is_some() || errors.iter().any(Error::is_a_lock) {
        Fate::Again { after: None }
    } else if has("PROCESSING_HALTED").is_some() {
        Fate::NotTried
    } else {
        Fate::Refused
    }
}

/// A call that failed as a whole. None: it didn't.
pub(super) fn failure(status: u16, retry_after: Option<Duration>, body: &str) -> Option<Told> {
    if (200..300).contains(&status) {
        return None;
    }
    let Errors(errors) = serde_json::from_str(body).unwrap_or_default();
    let said = if errors.is_empty() {
        format!("HTTP {status}")
    } else {
        format!("HTTP {status}: {}", text_of(&errors))
    };
    let told = match (fate_of(&errors), status) {
        (pause @ Fate::Pause { .. }, _) => Told::new(pause, said),
        (_, 408 | 429 | 500..) => Told::new(Fate::Again { after: retry_after }, said),
        (_, 300) => Told::new(
            Fate::Refused,
            "HTTP 300: several records have this key, and none was written: make the field unique, or remove the others",
        ),
        // An org that moves or is closed for a while: it is the address that is wrong, and no record.
        (_, 301..400) => Told::new(
            Fate::Again { after: retry_after },
            format!("{said}: a redirect, which isn't followed: check the destination's url"),
        ),
        // Salesforce says why: it is something else that answers.
        (_, 403 | 404) if errors.is_empty() => Told::new(
            Fate::Again { after: retry_after },
            format!("{said}, without an error of Salesforce's: check the destination's url"),
        ),
        (fate, _) => Told::new(fate, said),
    };
    Some(told.answered(status, body))
}

/// Each row of a collection, in order.
pub(super) fn collection(status: u16, body: &str, rows: usize) -> Vec<Told> {
    // One more, to be seen.
    #[derive(Deserialize)]
    struct Rows<'a>(
        #[serde(borrow, deserialize_with = "bounded::list::<_, _, {MAX_ROWS + 1}>")]
        Vec<&'a RawValue>,
    );
    match serde_json::from_str(body).map(|Rows(raw)| raw) {
        Ok(raw) if raw.len() == rows => raw
            .into_iter()
            .map(|raw| saved(status, raw.get()))
            .collect(),
        Ok(raw) => vec![
            unreadable(
                status,
                body,
                &format!("{} results for {rows} records", raw.len())
            );
            rows
        ],
        Err(error) => vec![unreadable(status, body, &error.to_string()); rows],
    }
}

/// A row by itself.
pub(super) fn single(status: u16, body: &str) -> Told {
    if body.trim().is_empty() {
        return Told::new(Fate::Written { id: None }, "").answered(status, body);
    }
    saved(status, body)
}

/// Sent again it does no harm where there is a key, and without one it may be there twice: at least once.
fn unreadable(status: u16, body: &str, why: &str) -> Told {
    Told::new(
        Fate::Again { after: None },
        format!("HTTP {status}, and its answer can't be read: {why}"),
    )
    .answered(status, body)
}

fn saved(status: u16, raw: &str) -> Told {
    let told = match serde_json::from_str::<Saved>(raw) {
        // What a platform event has under `errors` says that it was taken.
        Ok(Saved {
            id, success: true, ..
        }) => Told::new(Fate::Written { id }, ""),
        Ok(Saved { errors, .. }) => Told::new(fate_of(&errors.0), text_of(&errors.0)),
        Err(error) => return unreadable(status, raw, &error.to_string()),
    };
    told.answered(status, raw)
}

/// Each row of each graph, in order of the plans; `rows` has how many each has.
pub(super) fn graphs(status: u16, body: &str, rows: &[usize]) -> Vec<Vec<Told>> {
    let missing = |rows: usize, why: &str| vec![unreadable(status, body, why); rows];
    let read: Graphs<'_> = match serde_json::from_str(body) {
        Ok(read) => read,
        Err(error) => {
            return rows
                .iter()
                .map(|rows| missing(*rows, &error.to_string()))
                .collect();
        }
    };
    let by_name: HashMap<&str, &Graph<'_>> = read
        .graphs
        .iter()
        .map(|graph| (&*graph.graph_id, graph))
        .collect();
    let of = |(place, rows): (usize, &usize)| match by_name.get(&*graph_name(place)) {
        Some(graph) => one_graph(status, graph, *rows),
        None => missing(*rows, "a graph is missing"),
    };
    rows.iter().enumerate().map(of).collect()
}

fn one_graph(status: u16, graph: &Graph<'_>, rows: usize) -> Vec<Told> {
    let nodes: HashMap<&str, &Node<'_>> = graph
        .graph_response
        .composite_response
        .iter()
        .map(|node| (&*node.reference_id, node))
        .collect();
    let told = |row| match nodes.get(&*reference(row)) {
        Some(node) => {
            let body = node.body.map_or("", RawValue::get);
            let body = if body == "null" { "" } else { body };
            match failure(node.http_status_code, None, body) {
                Some(told) => told,
                // The graph was taken back, and this with it.
                None if !graph.is_successful => {
                    Told::new(Fate::NotTried, "").answered(node.http_status_code, body)
                }
                None => single(node.http_status_code, body),
            }
        }
        None => unreadable(status, "", "a row is missing"),
    };
    (0..rows).map(told).collect()
}

/// Calls used and allowed a day: `api-usage=25/5000`, perhaps among others.
pub(super) fn usage(header: &str) -> Option<(u32, u32)> {
    let (used, allowed) = header
        .split([';', ','])
        .find_map(|part| part.trim().strip_prefix("api-usage="))?
        .split_once('/')?;
    Some((used.trim().parse().ok()?, allowed.trim().parse().ok()?))
}
