//! Vectors, as they are in their files. What each field means is in `tests/vectors/README.md`.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde::Deserialize;

use super::path;

/// One request, and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described where the files are")]
pub struct Case {
    pub name: String,
    pub connector: String,
    #[serde(default)]
    pub function: String,
    pub secrets: Vec<String>,
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub accept_unsigned: bool,
    pub callback_url: String,
    pub method: String,
    #[serde(default)]
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub body_base64: Option<String>,
    pub now: i64,
    /// What is found at URLs, for keys that are fetched.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// None: refused, whatever the clause.
    pub expect: Option<String>,
    /// Who signed it.
    pub by: Option<String>,
    pub expect_type: Option<String>,
    pub expect_delivery_id: Option<String>,
    pub expect_external_id: Option<String>,
    pub expect_events: Option<usize>,
    pub expect_reply: Option<String>,
    pub expect_reply_json: Option<serde_json::Value>,
    pub expect_status: Option<u16>,
    #[serde(default)]
    pub expect_headers: BTreeMap<String, String>,
}

impl Case {
    /// The bytes that are posted.
    pub fn body(&self) -> Vec<u8> {
        match &self.body_base64 {
            Some(text) => base64::engine::general_purpose::STANDARD
                .decode(text)
                .expect("a vector's body is base64"),
            None => self.body.clone().unwrap_or_default().into_bytes(),
        }
    }

    /// True when it is to be taken.
    pub fn is_good(&self) -> bool {
        matches!(self.expect.as_deref(), Some("genuine" | "handshake"))
    }
}

/// All of a connector's. None when it has no file.
pub fn cases(connector: &str) -> Option<Vec<Case>> {
    let file = path(&format!("vectors/{connector}.json"));
    let text = std::fs::read(&file).ok()?;
    let read = serde_json::from_slice(&text);
    Some(read.unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}
