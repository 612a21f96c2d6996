//! What was turned away and why, with the likely cause and what to do; and what was genuine and, as the groups say, not kept.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;
use http::StatusCode;

use super::selection::{Selection, faults_of, groups};
use crate::moment::Moment;
use crate::page::{Page, Visitor, with_status};
use crate::problem::{Faults, Problem};
use crate::words;

/// Newest first; a row may be two kilobytes.
const SHOWN: u32 = 60;
/// Of the names of a request's headers, in characters.
const NAMES: usize = 600;

struct Row {
    time: Option<Moment>,
    group: String,
    status: u32,
    clause: String,
    words: String,
    reason: String,
    cause: String,
    advice: String,
    from: String,
    request: String,
    header_names: String,
    event_type: String,
    delivery_id: String,
    /// Of what was not kept: each webhook with its clause.
    verdicts: Vec<(String, String)>,
}

impl Row {
    fn of(refusal: v1::Refusal) -> Self {
        let mut names = refusal.header_names;
        names.sort_unstable();
        let mut header_names = names.join(", ");
        if let Some((end, _)) = header_names.char_indices().nth(NAMES) {
            header_names.truncate(end);
            header_names.push('…');
        }
        // What isn't registered is the same for all webhooks.
        let verdicts = match refusal.clause.as_str() {
            "not-registered" => Vec::new(),
            _ => refusal.verdicts,
        };
        let bytes = words::number(refusal.body_bytes);
        Self {
            time: Moment::of(refusal.time.as_ref()),
            words: words::clause(&refusal.clause).to_owned(),
            request: format!("{}, {bytes} bytes", refusal.method),
            verdicts: verdicts
                .into_iter()
                .map(|verdict| (verdict.webhook, verdict.reason))
                .collect(),
            header_names,
            group: refusal.group,
            status: refusal.status,
            reason: refusal.reason,
            cause: refusal.cause.replace('-', " "),
            advice: match refusal.advice.as_str() {
                "" => words::advice(&refusal.clause).to_owned(),
                _ => refusal.advice,
            },
            clause: refusal.clause,
            from: refusal.remote_address,
            event_type: refusal.event_type,
            delivery_id: refusal.delivery_id,
        }
    }
}

#[derive(Template)]
#[template(path = "refusals.html")]
struct Refusals {
    page: Page,
    selection: Selection,
    faults: Faults,
    groups: Vec<String>,
    not_kept: bool,
    rows: Vec<Row>,
    /// There may be more than are shown.
    full: bool,
}

pub(super) async fn list(visitor: Visitor, Path(org): Path<String>) -> Result<Response, Problem> {
    let selection = Selection {
        group: visitor.query.text("group").to_owned(),
        ..Default::default()
    };
    let not_kept = visitor.query.ticked("not-kept");
    let mut faults = Faults::default();
    selection.check(&mut faults);
    let mut refusals = Vec::new();
    if faults.is_empty() {
        let request = v1::ListRefusalsRequest {
            parent: selection.groups(&org),
            page_size: SHOWN,
            not_kept,
        };
        match visitor.api.events().list_refusals(request).await {
            Ok(found) => refusals = found.into_inner().refusals,
            Err(status) => faults = faults_of(status)?,
        }
    }
    let page = Refusals {
        groups: groups(&visitor, &org).await?,
        page: visitor.page("Refusals", &org),
        selection,
        not_kept,
        full: refusals.len() == SHOWN as usize,
        rows: refusals.into_iter().map(Row::of).collect(),
        faults,
    };
    let status = match page.faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    with_status(status, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_bounded_however_many_headers_a_request_had() {
        let row = Row::of(v1::Refusal {
            header_names: (0..100).map(|n| format!("x-header-ä-{n}")).collect(),
            clause: "signature".into(),
            ..Default::default()
        });
        assert_eq!(row.header_names.chars().count(), NAMES + 1);
        assert_eq!(row.words, "the signature is missing or wrong");
    }
}
