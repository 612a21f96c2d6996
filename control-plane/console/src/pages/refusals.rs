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
use crate::weight;
use crate::words;

/// Newest first; a row may be two kilobytes.
const SHOWN: u32 = 50;
/// Of the names of a request's headers.
const NAMES: usize = 400;
/// Of a reason, and of what to do.
const REASON: usize = 600;
/// Of all that webhooks said of one.
const VERDICTS: usize = 500;
/// Of a short text that outsiders write.
const TEXT: usize = 150;

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
    more_verdicts: usize,
}

impl Row {
    fn of(refusal: v1::Refusal) -> Self {
        let mut names = refusal.header_names;
        names.sort_unstable();
        let header_names = weight::cut(&names.join(", "), NAMES);
        // What isn't registered is the same for all webhooks.
        let verdicts = match refusal.clause.as_str() {
            "not-registered" => Vec::new(),
            _ => refusal.verdicts,
        };
        let verdicts = verdicts.into_iter().map(|verdict| {
            let reason = weight::cut(&verdict.reason, TEXT);
            (verdict.webhook, reason)
        });
        let (verdicts, more_verdicts) =
            weight::first(verdicts.collect(), VERDICTS, |(webhook, reason)| {
                10 + webhook.len() + weight::of(reason)
            });
        let bytes = words::number(refusal.body_bytes);
        Self {
            time: Moment::of(refusal.time.as_ref()),
            words: words::clause(&refusal.clause).to_owned(),
            request: format!("{}, {bytes} bytes", weight::cut(&refusal.method, TEXT)),
            verdicts,
            more_verdicts,
            header_names,
            group: refusal.group,
            status: refusal.status,
            reason: weight::cut(&refusal.reason, REASON),
            cause: refusal.cause.replace('-', " "),
            advice: match refusal.advice.as_str() {
                "" => words::advice(&refusal.clause, &refusal.reason).to_owned(),
                _ => weight::cut(&refusal.advice, REASON),
            },
            clause: refusal.clause,
            from: refusal.remote_address,
            event_type: weight::cut(&refusal.event_type, TEXT),
            delivery_id: weight::cut(&refusal.delivery_id, TEXT),
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
    fn a_page_of_refusals_is_light_whatever_outsiders_sent() {
        // Each text as long as it is remembered.
        let row = |clause: &str| {
            Row::of(v1::Refusal {
                time: Some(prost_types::Timestamp::default()),
                group: "g".repeat(63),
                clause: clause.to_owned(),
                method: "<".repeat(512),
                reason: "<".repeat(512),
                advice: "\"".repeat(512),
                event_type: "&".repeat(512),
                delivery_id: "'".repeat(512),
                cause: "a-cause".to_owned(),
                header_names: vec![">".repeat(512); 100],
                verdicts: vec![
                    v1::WebhookVerdict {
                        webhook: "w".repeat(63),
                        reason: "<".repeat(512),
                        ..Default::default()
                    };
                    50
                ],
                ..Default::default()
            })
        };
        for (clause, not_kept) in [("signature", false), ("not-matched", true)] {
            let page = Refusals {
                page: Page::for_tests(),
                selection: Selection::default(),
                faults: Faults::default(),
                groups: vec!["g".repeat(63); 100],
                not_kept,
                rows: (0..SHOWN).map(|_| row(clause)).collect(),
                full: true,
            };
            weight::assert_light(&page);
        }
        let row = row("not-matched");
        assert!(row.header_names.ends_with('…'));
        assert_eq!(row.verdicts.len() + row.more_verdicts, 50);
    }
}
