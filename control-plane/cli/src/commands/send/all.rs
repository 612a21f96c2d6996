//! The hostile provider: a sample in every right and wrong way, and what came back against what should have.
//!
//! ```text
//!  control plane ─▶ requests, each with what must come of it ─▶ posted in order ─▶ refusals read ─▶ table
//! ```
//!
//! What is expected is the server's word, by the rules that the listener runs. Each request has a header of its own name: among refusals,
//! which show the names of a request's headers, it is known by that, however many others there are.

use std::collections::BTreeMap;

use hookplane_proto::v1;
use serde::Serialize;
use tokio::time::Instant;

use super::post::{Sample, post};
use super::{INTERVAL, REFUSAL_DEADLINE, sign};
use crate::args::{Send, SendFormat};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;
use crate::output::table::Table;
use crate::output::{self, json, note, visible};

/// How a listener refuses what it has to fetch a key for, and can't.
const KEY_UNAVAILABLE: (u16, &str) = (503, "key-unavailable");
/// Refusals looked at: so many more than requests that others' hide none.
const REFUSALS: u32 = 1_000;

/// What came back.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Got {
    /// 0: no answer.
    status: u16,
    receipt: String,
    event_id: String,
    /// Of a refusal.
    clause: String,
    /// For people: why it was refused, or why there is no answer.
    reason: String,
    #[serde(skip)]
    body: Vec<u8>,
    #[serde(skip)]
    headers: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    status: u32,
    clause: String,
    receipts: Vec<String>,
    or_key_unavailable: bool,
}

/// A request and what came of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    variant: String,
    about: String,
    /// None: not posted.
    ok: Option<bool>,
    not_posted: String,
    expected: Option<Expected>,
    got: Option<Got>,
}

#[derive(Serialize)]
struct Rows {
    items: Vec<Row>,
}

pub(super) async fn run(api: &Api, send: &Send, group: &Name) -> Result<(), Failure> {
    let event = send.event.as_deref().unwrap_or_default();
    let requests = match &send.secret_file {
        Some(path) => sign::variants_here(api, group, event, path).await?,
        None => sign::variants_there(api, group, event).await?,
    };
    if let Some(first) = requests.first().filter(|_| event.is_empty()) {
        note(&format!("as {}", visible(&first.event)));
    }
    let run = mark()?;
    let mut all = Vec::new();
    for (index, mut request) in requests.into_iter().enumerate() {
        let got = match request.not_made.is_empty() {
            true => Some(posted(api, &mut request, &format!("{run}-{index}")).await),
            false => None,
        };
        all.push((request, got));
    }
    explain(api, group, &run, &mut all).await;
    let rows: Vec<Row> = all
        .into_iter()
        .map(|(request, got)| row(request, got))
        .collect();
    let count = |ok| rows.iter().filter(|row| row.ok == ok).count();
    let (right, wrong, left) = (count(Some(true)), count(Some(false)), count(None));
    match send.output {
        SendFormat::Json => output::line(&json::line(&Rows { items: rows })?)?,
        SendFormat::Table => output::text(&table(&rows))?,
    }
    note(&format!(
        "{right} as they should be, {wrong} not, {left} not posted"
    ));
    if wrong == 0 {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{wrong} answered otherwise than they should have been"
    ))
    .hint(format!(
        "`hookplane get refusals {}` says why each was refused",
        send.group
    )))
}

/// The beginning of this run's headers' names.
fn mark() -> Result<String, Failure> {
    let bytes: [u8; 8] = sign::random()?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("hookplane-sample-{hex}"))
}

async fn posted(api: &Api, request: &mut v1::SampleRequest, mark: &str) -> Got {
    let mut headers: Vec<(String, String)> =
        std::mem::take(&mut request.headers).into_iter().collect();
    headers.push((mark.to_owned(), "1".to_owned()));
    let sample = Sample {
        method: request.method.clone(),
        url: request.url.clone(),
        headers,
        body: std::mem::take(&mut request.body),
        padded_to: request.padded_to,
    };
    match post(sample, api.ca_file.as_deref()).await {
        Err(failure) => Got {
            reason: failure.message(),
            ..Got::default()
        },
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            let headers: BTreeMap<String, String> = head
                .headers
                .iter()
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    (name.as_str().to_owned(), value)
                })
                .collect();
            let header = |name: &str| visible(headers.get(name).map_or("", String::as_str));
            Got {
                status: head.status.as_u16(),
                receipt: header("hookplane-receipt"),
                event_id: header("hookplane-event-id"),
                body: body.to_vec(),
                headers,
                ..Got::default()
            }
        }
    }
}

/// Finds the clause of each refusal, as far as they are told in time.
async fn explain(api: &Api, group: &Name, run: &str, all: &mut [(v1::SampleRequest, Option<Got>)]) {
    let deadline = Instant::now() + REFUSAL_DEADLINE;
    let lacks = |got: &Got| got.status >= 300 && got.clause.is_empty();
    loop {
        let mut answers = all.iter().filter_map(|(_, got)| got.as_ref());
        if !answers.any(lacks) {
            return;
        }
        let request = v1::ListRefusalsRequest {
            parent: group.group(),
            page_size: REFUSALS,
            not_kept: false,
        };
        let refusals = match api.events().list_refusals(request).await {
            Ok(answer) => answer.into_inner().refusals,
            Err(status) => {
                note(&format!("the reasons can't be read: {}", status.message()));
                return;
            }
        };
        for (index, (_, got)) in all.iter_mut().enumerate() {
            let Some(got) = got.as_mut().filter(|got| lacks(got)) else {
                continue;
            };
            let mark = format!("{run}-{index}");
            let found = refusals
                .iter()
                .find(|refusal| refusal.header_names.contains(&mark));
            if let Some(refusal) = found {
                got.clause.clone_from(&refusal.clause);
                got.reason.clone_from(&refusal.reason);
            }
        }
        if Instant::now() >= deadline {
            return;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn row(request: v1::SampleRequest, got: Option<Got>) -> Row {
    let name = request.variant().as_str_name();
    let name = name.strip_prefix("SAMPLE_VARIANT_").unwrap_or(name);
    let expected = request.expected.unwrap_or_default();
    let ok = got.as_ref().map(|got| is_as_expected(&expected, got));
    Row {
        variant: name.to_lowercase().replace('_', "-"),
        about: request.about,
        ok,
        not_posted: request.not_made,
        expected: got.is_some().then_some(Expected {
            status: expected.status,
            clause: expected.clause,
            receipts: expected.receipts,
            or_key_unavailable: expected.or_key_unavailable,
        }),
        got,
    }
}

fn is_as_expected(expected: &v1::SampleExpectation, got: &Got) -> bool {
    if expected.or_key_unavailable && (got.status, got.clause.as_str()) == KEY_UNAVAILABLE {
        return true;
    }
    let receipt_fits = match expected.receipts.as_slice() {
        [] => got.receipt.is_empty(),
        receipts => receipts.contains(&got.receipt),
    };
    let body_fits = expected
        .body
        .as_ref()
        .is_none_or(|body| **body == *got.body);
    let mut headers = expected.headers.iter();
    u32::from(got.status) == expected.status
        && got.clause == expected.clause
        && receipt_fits
        && body_fits
        && headers.all(|(name, value)| got.headers.get(name) == Some(value))
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new(&["VARIANT", "EXPECTED", "GOT", "OK", "WHAT IT IS"]);
    for row in rows {
        let (expected, got) = match (&row.expected, &row.got) {
            (Some(expected), Some(got)) => {
                let receipts = expected.receipts.join("|");
                let mut right = shown(expected.status, &expected.clause, &receipts);
                if expected.or_key_unavailable {
                    let (status, clause) = KEY_UNAVAILABLE;
                    right.push_str(&format!(" or {}", shown(status.into(), clause, "")));
                }
                (right, shown(got.status.into(), &got.clause, &got.receipt))
            }
            _ => ("-".to_owned(), "not posted".to_owned()),
        };
        let (ok, about) = match row.ok {
            Some(true) => ("ok", row.about.clone()),
            Some(false) => {
                let reason = row.got.as_ref().map_or("", |got| got.reason.as_str());
                ("NOT", format!("{}: {}", row.about, otherwise(reason)))
            }
            None => ("-", format!("{}: {}", row.about, row.not_posted)),
        };
        table.row([row.variant.clone(), expected, got, ok.to_owned(), about]);
    }
    table.render()
}

fn otherwise(reason: &str) -> &str {
    match reason {
        "" => "answered otherwise",
        reason => reason,
    }
}

fn shown(status: u32, clause: &str, receipt: &str) -> String {
    let status = match status {
        0 => "no answer".to_owned(),
        status => status.to_string(),
    };
    let rest = [clause, receipt].join(" ");
    format!("{status} {}", rest.trim()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> (v1::SampleExpectation, Got) {
        let expected = v1::SampleExpectation {
            status: 401,
            clause: "signature".into(),
            ..Default::default()
        };
        let got = Got {
            status: 401,
            clause: "signature".into(),
            ..Default::default()
        };
        (expected, got)
    }

    #[test]
    fn another_status_clause_receipt_body_or_header_is_not_what_was_expected() {
        let (expected, got) = refused();
        assert!(is_as_expected(&expected, &got));
        for change in [
            |got: &mut Got| got.status = 200,
            |got: &mut Got| got.clause = "timestamp".into(),
            |got: &mut Got| got.clause.clear(),
            |got: &mut Got| got.receipt = "synced".into(),
        ] {
            let (_, mut other) = refused();
            change(&mut other);
            assert!(!is_as_expected(&expected, &other), "{other:?}");
        }
        let (mut expected, _) = refused();
        let unavailable = Got {
            status: 503,
            clause: "key-unavailable".into(),
            ..Default::default()
        };
        assert!(!is_as_expected(&expected, &unavailable));
        expected.or_key_unavailable = true;
        assert!(is_as_expected(&expected, &unavailable));
        assert!(is_as_expected(&expected, &refused().1));
        let expected = v1::SampleExpectation {
            status: 200,
            body: Some("pong".into()),
            headers: [("x-echo".to_owned(), "abc".to_owned())].into(),
            ..Default::default()
        };
        let mut got = Got {
            status: 200,
            body: b"pong".to_vec(),
            headers: expected.headers.clone(),
            ..Default::default()
        };
        assert!(is_as_expected(&expected, &got));
        got.body.push(b'!');
        assert!(!is_as_expected(&expected, &got));
        got.body.pop();
        got.headers.clear();
        assert!(!is_as_expected(&expected, &got));
    }
}
