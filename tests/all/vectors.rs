//! Every vector through admit and verify: what the providers' libraries sign is genuine, and nothing tampered with is.
// Risks 33 to 40.

use base64::Engine as _;
use hookplane_proto::v1;
use hookplane_rules::{Callback, Group, Head, Proven, Refusal, RefusalKind, Timestamp};
use serde::Deserialize;

use crate::connectors::{NAMES, callback, group, path};

/// Fewer would leave a part of the request untampered.
const TAMPERED_AT_LEAST: usize = 12;

#[derive(Deserialize)]
struct Case {
    name: String,
    connector: String,
    function: String,
    secrets: Vec<String>,
    callback_url: String,
    method: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    now: i64,
    /// None: refused, whatever the clause.
    expect: Option<String>,
    expect_type: Option<String>,
    expect_delivery_id: Option<String>,
    expect_external_id: Option<String>,
    expect_events: Option<usize>,
    expect_reply: Option<String>,
    expect_reply_json: Option<serde_json::Value>,
}

fn cases(connector: &str) -> Vec<Case> {
    let text = std::fs::read(path(&format!("vectors/{connector}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn prove(group: &Group, callback: Callback, now: Timestamp) -> Result<Proven, Refusal> {
    let head = Head {
        method: &callback.method,
        path: "/c/t",
        query: &callback.query,
        headers: &callback.headers,
    };
    let most = group.admit(head, Some(callback.body.len() as u64))?;
    if callback.body.len() as u64 > most {
        return Err(Refusal::new(
            RefusalKind::BodyTooLarge,
            "more than announced",
        ));
    }
    group.verify(callback, now)
}

fn check(case: &Case) -> Result<(), String> {
    let body = match &case.body_base64 {
        Some(text) => base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap(),
        None => case.body.clone().unwrap_or_default().into_bytes(),
    };
    let group = match group(
        &case.connector,
        &case.function,
        &case.secrets,
        &case.callback_url,
    ) {
        Ok(group) => group,
        // A group without a secret may be refused before it takes anything.
        Err(_) if case.secrets.is_empty() => return Ok(()),
        Err(errors) => return Err(format!("doesn't compile: {errors:?}")),
    };
    let request = callback(&case.method, &case.query, &case.headers, body);
    let (got, reply) = match prove(&group, request, Timestamp(case.now)) {
        Ok(Proven::Genuine(verified)) => {
            let extracted = group
                .extract(verified)
                .map_err(|r| format!("extract: {}: {}", r.kind.clause(), r.reason))?;
            let events = group
                .match_events(extracted)
                .into_report([0; 16], 1, Timestamp(case.now))
                .events;
            read_as_expected(case, &events)?;
            ("genuine", None)
        }
        Ok(Proven::Handshake(shaken)) => ("handshake", Some(shaken.reply)),
        Err(refusal) if refusal.kind == RefusalKind::Handshake => ("handshake-refused", None),
        Err(refusal) => (refusal.kind.clause(), None),
    };
    match &case.expect {
        None if got == "genuine" || got == "handshake" => {
            return Err(format!("{got}, not refused"));
        }
        Some(expect) if expect != got => return Err(format!("{got}, not {expect}")),
        _ => {}
    }
    if let Some(reply) = reply {
        let json = || serde_json::from_slice::<serde_json::Value>(&reply.body).ok();
        let text_differs = case
            .expect_reply
            .as_ref()
            .is_some_and(|t| reply.body != t.as_bytes());
        if text_differs || (case.expect_reply_json.is_some() && json() != case.expect_reply_json) {
            return Err("another reply".into());
        }
    }
    Ok(())
}

fn read_as_expected(case: &Case, events: &[v1::ReportedEvent]) -> Result<(), String> {
    if case.expect_events.is_some_and(|n| n != events.len()) {
        return Err(format!("{} events", events.len()));
    }
    let first = events.first().ok_or("no event")?;
    for (what, expected, got) in [
        ("type", &case.expect_type, &first.r#type),
        ("delivery id", &case.expect_delivery_id, &first.delivery_id),
        ("external id", &case.expect_external_id, &first.external_id),
    ] {
        if expected.as_ref().is_some_and(|e| e != got) {
            return Err(format!("{what} is `{got}`, not {expected:?}"));
        }
    }
    Ok(())
}

#[test]
fn every_vector_comes_out_as_expected() {
    let mut failures = Vec::new();
    for name in NAMES {
        for case in cases(name) {
            if let Err(problem) = check(&case) {
                failures.push(format!("{name}: {}: {problem}", case.name));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} vectors failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn every_connector_is_tampered_with_in_many_ways() {
    for name in NAMES {
        let cases = cases(name);
        let good = |c: &&Case| matches!(c.expect.as_deref(), Some("genuine" | "handshake"));
        let (genuine, all) = (cases.iter().filter(good).count(), cases.len());
        assert!(genuine >= 2, "{name} has {genuine} genuine vectors");
        assert!(
            all - genuine >= TAMPERED_AT_LEAST,
            "{name} has {} tampered vectors",
            all - genuine
        );
    }
}
