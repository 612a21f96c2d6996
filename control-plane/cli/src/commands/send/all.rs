//! The hostile provider: a sample in every right and wrong way, and what came back against what should have.
//!
//! ```text
//!  control plane ─▶ requests, each with what must come of it ─▶ posted in order ─▶ refusals read ─▶ table
//! ```
//!
//! Whether it fits is decided as in the console: see `hookplane_console::trial`.

use hookplane_console::trial::{self, Got, Sample};
use hookplane_proto::v1;
use serde::Serialize;
use tokio::time::Instant;

use super::{INTERVAL, REFUSAL_DEADLINE, sign};
use crate::args::{Send, SendFormat};
use crate::connect::{Api, tls};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::table::Table;
use crate::output::{self, json, note, visible};
use crate::post::post;

/// Refusals looked at: so many more than requests that others' hide none.
const REFUSALS: u32 = 1_000;

/// What came back, as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// 0: no answer.
    status: u16,
    receipt: String,
    event_id: String,
    /// Of a refusal.
    clause: String,
    /// For people: why it was refused, or why there is no answer.
    reason: String,
}

impl From<&Got> for Answer {
    fn from(got: &Got) -> Self {
        Self {
            status: got.status,
            receipt: visible(got.receipt()),
            event_id: visible(got.event_id()),
            clause: got.clause.clone(),
            reason: got.reason.clone(),
        }
    }
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
    got: Option<Answer>,
    /// What of both the table shows.
    #[serde(skip)]
    shown: (String, String),
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
    let run: [u8; 8] = sign::random()?;
    let mut all = Vec::new();
    for (index, mut request) in requests.into_iter().enumerate() {
        let got = match request.not_made.is_empty() {
            true => Some(posted(api, &mut request, trial::mark(run, index)).await),
            false => None,
        };
        all.push((request, got));
    }
    explain(api, group, run, &mut all).await;
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

async fn posted(api: &Api, request: &mut v1::SampleRequest, mark: String) -> Got {
    let tls = || tls::client(api.ca_file.as_deref(), None);
    match post(Sample::of(request, mark), tls).await {
        Err(failure) => Got::nothing(failure.message()),
        Ok(answer) => Got::of(answer),
    }
}

/// Finds the clause of each refusal, as far as they are told in time.
async fn explain(
    api: &Api,
    group: &Name,
    run: [u8; 8],
    all: &mut [(v1::SampleRequest, Option<Got>)],
) {
    let deadline = Instant::now() + REFUSAL_DEADLINE;
    loop {
        let mut answers = all.iter().filter_map(|(_, got)| got.as_ref());
        if !answers.any(Got::lacks_clause) {
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
            if let Some(got) = got.as_mut().filter(|got| got.lacks_clause()) {
                got.explain(&trial::mark(run, index), &refusals);
            }
        }
        if Instant::now() >= deadline {
            return;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn row(request: v1::SampleRequest, got: Option<Got>) -> Row {
    let variant = trial::variant(request.variant());
    let expected = request.expected.unwrap_or_default();
    let shown = match &got {
        Some(got) => (trial::expectation(&expected), got.shown()),
        None => ("-".to_owned(), "not posted".to_owned()),
    };
    Row {
        variant,
        about: request.about,
        ok: got.as_ref().map(|got| got.is(&expected)),
        not_posted: request.not_made,
        expected: got.is_some().then_some(Expected {
            status: expected.status,
            clause: expected.clause,
            receipts: expected.receipts,
            or_key_unavailable: expected.or_key_unavailable,
        }),
        got: got.as_ref().map(Answer::from),
        shown,
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new(&["VARIANT", "EXPECTED", "GOT", "OK", "WHAT IT IS"]);
    for row in rows {
        let (expected, got) = row.shown.clone();
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
