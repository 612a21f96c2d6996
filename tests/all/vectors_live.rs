//! The providers' own signatures, over real sockets into the built binary, on a day when they are fresh.
//!
//! The vectors were signed for one moment, so the binary runs with its clock set there. Twilio's and HubSpot's sign the callback URL, which
//! has a token of its own in each installation; those two are signed afresh in `providers.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use hookplane_tests::http::Connection;
use hookplane_tests::product::Dev;
use serde::Deserialize;

use hookplane_tests::catalogue::path;

/// The moment all vectors were made for: 1767225600.
const MOMENT: &str = "@2026-01-01 00:00:00";
const CONNECTORS: [&str; 8] = [
    "generic-hmac",
    "github",
    "gitlab",
    "shopify",
    "slack",
    "standard-webhooks",
    "stripe",
    "zoom",
];

#[derive(Deserialize)]
struct Case {
    name: String,
    connector: String,
    function: String,
    secrets: Vec<String>,
    method: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    expect: Option<String>,
}

impl Case {
    fn body(&self) -> Vec<u8> {
        match &self.body_base64 {
            Some(text) => base64::engine::general_purpose::STANDARD
                .decode(text)
                .unwrap(),
            None => self.body.clone().unwrap_or_default().into_bytes(),
        }
    }

    fn status_is_right(&self, status: u16) -> bool {
        match self.expect.as_deref() {
            Some("genuine" | "handshake") => (200..300).contains(&status),
            Some("signature" | "timestamp") => status == 401,
            Some("method") => status == 405,
            Some("media-type") => status == 415,
            Some("external-id") => status == 403,
            Some("handshake-refused" | "undecodable") => status == 400,
            None => (400..500).contains(&status),
            Some(other) => panic!("{}: unknown expectation {other}", self.name),
        }
    }
}

/// The library that sets a process's clock.
pub(crate) fn faketime() -> PathBuf {
    std::fs::read_dir("/usr/lib")
        .unwrap()
        .filter_map(|entry| {
            let path = entry.ok()?.path().join("faketime/libfaketimeMT.so.1");
            path.exists().then_some(path)
        })
        .next()
        .expect("faketime is installed: tests/run does it")
}

#[test]
fn what_the_providers_libraries_sign_is_taken_by_the_binary_and_what_is_tampered_with_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let preload = faketime();
    let dev = Dev::start_with(
        &folder.path().join("data"),
        &[
            ("LD_PRELOAD", preload.to_str().unwrap()),
            ("FAKETIME", MOMENT),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("TZ", "UTC"),
        ],
    );
    let cases: Vec<Case> = CONNECTORS
        .iter()
        .flat_map(|name| {
            let text = std::fs::read(path(&format!("vectors/{name}.json"))).unwrap();
            serde_json::from_slice::<Vec<Case>>(&text).unwrap()
        })
        // A group without a secret isn't admitted; that has a test of its own.
        .filter(|case| !case.secrets.is_empty())
        // The clock goes on while this runs: what is fresh by one second when it begins is stale soon.
        .filter(|case| case.name != "299 s old")
        .collect();
    let mut groups: BTreeMap<(String, String, Vec<String>), String> = BTreeMap::new();
    let mut manifest = String::new();
    for case in &cases {
        let key = (
            case.connector.clone(),
            case.function.clone(),
            case.secrets.clone(),
        );
        let next = format!("{}-{}", case.connector, groups.len());
        groups.entry(key).or_insert_with(|| {
            manifest.push_str(&group(case, &next));
            next
        });
    }
    dev.apply(&manifest);
    let urls: BTreeMap<String, String> = dev
        .items(&["groups", "acme"])
        .iter()
        .map(|group| {
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            (
                text(&group["metadata"]["name"]),
                text(&group["status"]["callbackUrl"]),
            )
        })
        .collect();
    let mut wrong = Vec::new();
    for case in &cases {
        let key = (
            case.connector.clone(),
            case.function.clone(),
            case.secrets.clone(),
        );
        let mut url = urls[&groups[&key]].clone();
        if !case.query.is_empty() {
            url = format!("{url}?{}", case.query);
        }
        let answer = Connection::open(&url)
            .and_then(|mut open| open.request(&case.method, &url, &case.headers, &case.body()));
        match answer {
            Ok(answer) if case.status_is_right(answer.status) => {}
            other => wrong.push(format!("{}: {}: {other:?}", case.connector, case.name)),
        }
    }
    assert!(cases.len() > 300, "the vectors are there: {}", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn group(case: &Case, name: &str) -> String {
    let secrets: Vec<_> = case
        .secrets
        .iter()
        .map(|secret| serde_json::json!({"value": secret}))
        .collect();
    let documents = [
        serde_json::json!({
            "apiVersion": "hookplane.dev/v1",
            "kind": "WebhookGroup",
            "metadata": {"org": "acme", "name": name},
            "spec": {
                "connector": case.connector,
                "function": case.function,
                "signatureSecrets": secrets,
                "registeredEvents": ["*"],
            },
        }),
        serde_json::json!({
            "apiVersion": "hookplane.dev/v1",
            "kind": "Webhook",
            "metadata": {"org": "acme", "group": name, "name": "all"},
            "spec": {"label": "All", "active": true, "events": ["*"]},
        }),
    ];
    documents
        .iter()
        .map(|document| format!("---\n{document}\n"))
        .collect()
}
