//! Salesforce, over its REST API: upserts by external id in collections, parents and children in graphs.
//!
//! ```text
//!   jobs ─ plan (rows, keys, links) ─▶ write (graphs, then waves of collections) ─▶ answers (row by row) ─▶ one outcome per job
//!              refused: give up            │ call: headers, limit, 401 once more ─▶ auth: one token, asked for by one at a time
//!                                          └ busy: a record, or a parent, is in one request at a time
//! ```
//!
//! | answer | what follows |
//! | --- | --- |
//! | a row is written; a platform event is enqueued; what is to be deleted isn't there | done |
//! | no answer, 408, 429, 5xx; a redirect, and a 403 or 404 without an error of Salesforce's; `UNABLE_TO_LOCK_ROW` of a row, or of what its trigger wrote to | again, after the engine's back-off or what the answer says |
//! | 403 `REQUEST_LIMIT_EXCEEDED` | the destination pauses for 15 minutes |
//! | credentials refused | the destination pauses for ten: trying harder locks the user out |
//! | 401 | a new token and once more; then a pause |
//! | 300 (several records have the key), and all else | dead, with object, key and message of each row |
//!
//! Guarantees:
//! - A row that is wrong takes nobody down with it, but for its own graph where all or none is asked for.
//! - What an event holds gets into JSON text and, encoded, into one segment of a path; into no header, and never a reference to another row.
//! - Numbers keep their digits. The token goes to the configured host, or to Salesforce's own.
//! - At least once: an insert whose answer is lost is made twice. An upsert isn't.
//!
//! Built from the documented shapes, and never run against an org: `tests/src/salesforce/` is what it is tested with.

mod answers;
mod auth;
mod bounded;
mod busy;
mod call;
mod check;
mod describe;
mod names;
mod plan;
mod requests;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::Clock;
use hookplane_rules::text::clip;
use tokio::time::Instant;

use super::{Job, Outcome, Sink, Verdict};
use crate::dispatch::client::HttpClient;
use answers::{Fate, Told};
use auth::Tokens;
use busy::{Busy, record};
use call::Caller;
pub use check::{check, check_against, objects};
use describe::Descriptions;
use plan::Plan;

/// Deliveries that one request carries.
const BATCH: usize = requests::MAX_ROWS;
/// Times the timeout of one request. The engine allows six for a batch.
const PATIENCE: u32 = 4;
/// Rows that a reason names.
const MAX_NAMED: usize = 10;
const MAX_REASON_BYTES: usize = 2_048;
const DEFAULT_VERSION: &str = "v65.0";

/// See the module.
#[derive(Clone)]
pub struct SalesforceSink {
    caller: Caller,
    all_or_none: bool,
    busy: Arc<Busy>,
    /// How long others of the same records are waited for and new calls are begun: what is done by then isn't lost to the engine's own bound.
    patience: Duration,
    descriptions: Arc<Descriptions>,
}

/// What is wrong with a target as it is given, by field: each message begins with a verb. Secrets that are left out aren't looked at.
pub(crate) fn shape(target: &v1::SalesforceTarget) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    if !target.url.is_empty()
        && let Err(why) = auth::Origin::parse(&target.url)
    {
        wrong.push(("url", why));
    }
    if !target.api_version.is_empty() && !names::is_version(&target.api_version) {
        wrong.push(("apiVersion", format!("has to be like {DEFAULT_VERSION}")));
    }
    let pem = target.private_key.as_ref().map_or("", |key| &key.value);
    if !pem.is_empty()
        && let Err(why) = auth::private_key(pem)
    {
        wrong.push(("privateKey", why));
    }
    wrong
}

impl SalesforceSink {
    /// Of a target whose secrets are opened; `timeout` is of one request. The error names the target's field and what is wrong with it.
    pub fn new(
        target: &v1::SalesforceTarget,
        timeout: Duration,
        client: HttpClient,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let version = if target.api_version.is_empty() {
            DEFAULT_VERSION
        } else {
            &target.api_version
        };
        if !names::is_version(version) {
            return Err(format!(
                "apiVersion `{}` has to be like {DEFAULT_VERSION}",
                clip(version, 40)
            ));
        }
        let tokens = Tokens::new(target, client.clone(), clock)?;
        Ok(Self {
            caller: Caller::new(target, client, tokens, timeout, version),
            all_or_none: target.all_or_none,
            busy: Arc::default(),
            patience: timeout * PATIENCE,
            descriptions: Arc::default(),
        })
    }
}

fn planned(job: &Job) -> Result<Plan, String> {
    let record = job
        .record
        .as_ref()
        .ok_or("Salesforce needs records: give the webhook a mapping, and replay")?;
    Plan::of(record)
}

fn give_up(reason: &str) -> Outcome {
    Outcome {
        verdict: Verdict::GiveUp,
        status: None,
        reason: clip(reason, MAX_REASON_BYTES),
        excerpt: String::new(),
    }
}

#[async_trait::async_trait]
impl Sink for SalesforceSink {
    fn batch(&self) -> usize {
        BATCH
    }

    fn with_timeout(&self, timeout: Duration) -> Arc<dyn Sink> {
        let same = self.clone();
        Arc::new(Self {
            caller: same.caller.with_timeout(timeout),
            patience: timeout * PATIENCE,
            ..same
        })
    }

    async fn deliver(&self, jobs: &[Job]) -> Vec<Outcome> {
        let mut plans = Vec::with_capacity(jobs.len());
        // Of each job: the outcome, or which plan is its.
        let mut each = Vec::with_capacity(jobs.len());
        for job in jobs {
            match planned(job) {
                Ok(plan) => {
                    each.push(Ok(plans.len()));
                    plans.push(plan);
                }
                Err(why) => each.push(Err(give_up(&why))),
            }
        }
        let touched: HashSet<u64> = plans
            .iter()
            .flat_map(Plan::touched)
            .map(|(object, key)| record(object, key))
            .collect();
        let until = Instant::now() + self.patience;
        let told = match tokio::time::timeout_at(until, self.busy.take(touched)).await {
            Ok(_taken) => write::write(&self.caller, &plans, self.all_or_none, until).await,
            Err(_) => {
                let again = Fate::Again { after: None };
                let busy = Told::new(again, "other requests are writing to the same records");
                let each = |plan: &Plan| vec![busy.clone(); plan.rows.len()];
                plans.iter().map(each).collect()
            }
        };
        let near_limit = self.caller.near_limit();
        let outcome = |plan: usize| match (plans.get(plan), told.get(plan)) {
            (Some(plan), Some(told)) => outcome(plan, told, near_limit.as_deref()),
            // There is one for each plan.
            _ => give_up("it wasn't tried"),
        };
        each.into_iter()
            .map(|each| each.map_or_else(|refused| refused, outcome))
            .collect()
    }

    fn preview(&self, job: &Job) -> Vec<v1::OutboundRequest> {
        // What can't be planned isn't sent: delivering it says why.
        let Ok(plan) = planned(job) else {
            return Vec::new();
        };
        let calls = write::preview(&plan, &self.caller.base());
        calls.iter().map(|call| self.caller.shown(call)).collect()
    }

    fn describes(&self) -> bool {
        true
    }

    async fn describe(&self, object: &str) -> Option<Result<Vec<v1::ObjectDescription>, String>> {
        Some(self.descriptions.get(&self.caller, object).await)
    }
}

/// From what became of the rows to what becomes of the delivery.
fn outcome(plan: &Plan, told: &[Told], near_limit: Option<&str>) -> Outcome {
    let written = told.iter().filter(|told| told.written()).count();
    let pause = told.iter().filter_map(|told| match told.fate {
        Fate::Pause { time } => Some(time),
        _ => None,
    });
    let mut again = told.iter().filter_map(|told| match told.fate {
        Fate::Again { after } => Some(after),
        _ => None,
    });
    let verdict = if let Some(time) = pause.max() {
        Verdict::Pause { time }
    } else if let Some(first) = again.next() {
        Verdict::Retry {
            after: again.fold(first, Option::max),
        }
    } else if written < told.len() {
        Verdict::GiveUp
    } else {
        Verdict::Done
    };
    // The one that says why: a row that fell with another says nothing.
    let telling = told
        .iter()
        .find(|told| !told.written() && told.fate != Fate::NotTried)
        .or_else(|| told.iter().find(|told| !told.written()))
        .or(told.first());
    let mut reason = if verdict == Verdict::Done {
        let said: Vec<&str> = told
            .iter()
            .map(|told| &*told.said)
            .filter(|said| !said.is_empty())
            .take(MAX_NAMED)
            .collect();
        said.join("; ")
    } else {
        named(plan, told, written)
    };
    if let Some(usage) = near_limit {
        reason = if reason.is_empty() {
            usage.to_owned()
        } else {
            format!("{reason}; {usage}")
        };
    }
    Outcome {
        verdict,
        status: telling.and_then(|told| told.status),
        reason: clip(&reason, MAX_REASON_BYTES),
        excerpt: telling.map(|told| told.excerpt.clone()).unwrap_or_default(),
    }
}

/// Each row that wasn't written, by object and key, and why. What is said of all of them is said once.
fn named(plan: &Plan, told: &[Told], written: usize) -> String {
    let failed = || {
        plan.rows
            .iter()
            .zip(told)
            .filter(|(_, told)| !told.written() && told.fate != Fate::NotTried)
    };
    let mut said: Vec<String> = Vec::new();
    let same = failed().all(|(_, told)| {
        failed()
            .next()
            .is_some_and(|(_, first)| first.said == told.said)
    });
    if same && failed().count() > 1 {
        said.extend(failed().next().map(|(_, told)| told.said.clone()));
    } else {
        said.extend(
            failed()
                .take(MAX_NAMED)
                .map(|(row, told)| format!("{}: {}", row.name(), told.said)),
        );
        let more = failed().count().saturating_sub(MAX_NAMED);
        if more > 0 {
            said.push(format!("and {more} more"));
        }
    }
    let waiting = told
        .iter()
        .filter(|told| told.fate == Fate::NotTried)
        .count();
    if waiting > 0 {
        said.push(format!("{waiting} not written because of others"));
    }
    if told.len() > 1 {
        said.insert(0, format!("{written} of {} records written", told.len()));
    }
    said.join("; ")
}
