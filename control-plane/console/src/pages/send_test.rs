//! A test: a sample of the connector's, signed by the control plane with the group's secret and posted to the group's own callback URL; or every
//! variant of it that an attacker or a broken proxy might post, with what came back against what should have.
//!
//! ```text
//!  SignSample ─▶ requests, each with what must come of it ─▶ Poster, one after the other ─▶ refusals read ─▶ table
//! ```
//!
//! Nothing that is typed here is signed or posted, and the URL is the API's word: the poster checks it again.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;
use tokio::time::Instant;

use super::groups::definition;
use crate::page::{Page, Visitor, form_page, html};
use crate::problem::{Faults, Problem};
use crate::trial::{self, Got, Sample};

/// For all requests of one test.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long a refusal is waited for: listeners tell theirs once a second.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(3);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Refusals looked at: so many more than requests that others' hide none.
const REFUSALS: u32 = 1_000;

/// One that was posted alone.
struct Single {
    event: String,
    got: Got,
}

/// A variant and what came of it.
struct Row {
    variant: String,
    about: String,
    expected: String,
    got: String,
    /// None: not posted.
    ok: Option<bool>,
    /// Why it was refused, or not posted.
    why: String,
    event_id: String,
}

#[derive(Template)]
#[template(path = "send_test.html")]
struct SendTest {
    page: Page,
    group: String,
    url: String,
    live: bool,
    /// Those that have a sample, and that the group takes.
    events: Vec<String>,
    /// Those that have one and that it doesn't.
    others: Vec<String>,
    event: String,
    faults: Faults,
    single: Option<Single>,
    rows: Vec<Row>,
}

impl SendTest {
    /// How many came back so.
    fn count(&self, ok: Option<bool>) -> usize {
        self.rows.iter().filter(|row| row.ok == ok).count()
    }
}

pub(super) async fn show(
    visitor: Visitor,
    Path((org, group)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let event = visitor.query.text("event").to_owned();
    html(&asked(&visitor, &org, &group, event).await?)
}

pub(super) async fn send(
    visitor: Visitor,
    Path((org, group)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = visitor.posted(&body)?;
    let event = form.text("event").to_owned();
    let mut page = asked(&visitor, &org, &group, event.clone()).await?;
    let request = v1::SignSampleRequest {
        name: format!("orgs/{org}/groups/{group}"),
        event: event.clone(),
        all_variants: form.text("what") == "all",
    };
    let all = request.all_variants;
    let signed = match visitor.api.events().sign_sample(request).await {
        Ok(signed) => signed.into_inner(),
        Err(status) => {
            page.faults = Faults::of(status)?;
            return form_page(&page.faults, &page);
        }
    };
    let test = Test::new(visitor, &org, &group)?;
    if all {
        page.rows = test.variants(signed.variants).await;
    } else {
        let got = test.single(signed).await;
        page.single = Some(Single { event, got });
    }
    html(&page)
}

async fn asked(
    visitor: &Visitor,
    org: &str,
    name: &str,
    event: String,
) -> Result<SendTest, Problem> {
    let request = v1::GetWebhookGroupRequest {
        name: format!("orgs/{org}/groups/{name}"),
    };
    let group = visitor.api.groups().get_webhook_group(request).await?;
    let group = group.into_inner();
    let spec = group.spec.unwrap_or_default();
    let status = group.status.unwrap_or_default();
    // A connector of the org's own may be gone; its groups go on.
    let functions = match definition(visitor, org, &spec.connector).await {
        Ok(connector) => connector.spec.unwrap_or_default().functions,
        Err(Problem::Api(status)) if status.code() == tonic::Code::NotFound => Vec::new(),
        Err(problem) => return Err(problem),
    };
    let named = functions.iter().find(|one| one.name == spec.function);
    let function = named.or(functions.first());
    let sampled = function.into_iter().flat_map(|one| &one.events);
    let sampled = sampled.filter(|event| event.sample.is_some());
    let (events, others) = sampled
        .map(|event| event.name.clone())
        .partition(|event| takes(&spec.registered_events, event));
    Ok(SendTest {
        page: visitor.page(format!("Test {name}"), org),
        group: name.to_owned(),
        url: status.callback_url,
        live: status.live.unwrap_or_default().applied,
        events,
        others,
        event,
        faults: Faults::default(),
        single: None,
        rows: Vec::new(),
    })
}

/// Whether a group takes it: a name takes all below it at a dot.
fn takes(registered: &[String], event: &str) -> bool {
    registered.iter().any(|name| {
        let below = event.strip_prefix(name.as_str());
        name == "*" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// One run.
struct Test {
    visitor: Visitor,
    org: String,
    parent: String,
    run: [u8; 8],
    deadline: Instant,
}

impl Test {
    fn new(visitor: Visitor, org: &str, group: &str) -> Result<Self, Problem> {
        let mut run = [0u8; 8];
        getrandom::fill(&mut run).map_err(|_| Problem::Internal)?;
        Ok(Self {
            visitor,
            org: org.to_owned(),
            parent: format!("orgs/{org}/groups/{group}"),
            run,
            deadline: Instant::now() + PATIENCE,
        })
    }

    async fn post(&self, sample: Sample) -> Got {
        let poster = Arc::clone(&self.visitor.console.poster);
        match tokio::time::timeout_at(self.deadline, poster.post(&self.org, sample)).await {
            Ok(got) => got,
            Err(_) => {
                let seconds = PATIENCE.as_secs();
                Got::nothing(format!("there was no answer within {seconds} s"))
            }
        }
    }

    async fn single(&self, signed: v1::SignSampleResponse) -> Got {
        let mark = trial::mark(self.run, 0);
        let mut headers: Vec<_> = signed.headers.into_iter().collect();
        headers.push((mark, "1".to_owned()));
        let sample = Sample {
            method: signed.method,
            url: signed.url,
            headers,
            body: signed.body,
            padded_to: 0,
        };
        let mut all = [Some(self.post(sample).await)];
        self.explain(&mut all).await;
        let [got] = all;
        got.unwrap_or_default()
    }

    async fn variants(&self, requests: Vec<v1::SampleRequest>) -> Vec<Row> {
        let (mut told, mut all) = (Vec::new(), Vec::new());
        let mut unreached = String::new();
        for (index, mut request) in requests.into_iter().enumerate() {
            let mut got = None;
            if request.not_made.is_empty() && unreached.is_empty() {
                let mark = trial::mark(self.run, index);
                let answer = self.post(Sample::of(&mut request, mark)).await;
                if answer.status == 0 {
                    // The next ones would wait as long, and say the same.
                    unreached.clone_from(&answer.reason);
                }
                got = Some(answer);
            } else if request.not_made.is_empty() {
                request.not_made = "the one before had no answer".to_owned();
            }
            told.push(request);
            all.push(got);
        }
        self.explain(&mut all).await;
        let told = told.into_iter().zip(all);
        told.map(|(request, got)| row(request, got)).collect()
    }

    /// Finds the clause of each refusal, as far as they are told in time.
    async fn explain(&self, all: &mut [Option<Got>]) {
        let deadline = Instant::now() + REFUSAL_PATIENCE;
        while all.iter().flatten().any(Got::lacks_clause) && Instant::now() < deadline {
            let request = v1::ListRefusalsRequest {
                parent: self.parent.clone(),
                page_size: REFUSALS,
                not_kept: false,
            };
            let mut events = self.visitor.api.events();
            // Without the clauses a row says that it isn't as it should be, which nobody could tell.
            let Ok(answer) = events.list_refusals(request).await else {
                break;
            };
            let refusals = answer.into_inner().refusals;
            for (index, got) in all.iter_mut().enumerate() {
                if let Some(got) = got.as_mut().filter(|got| got.lacks_clause()) {
                    got.explain(&trial::mark(self.run, index), &refusals);
                }
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
}

fn row(request: v1::SampleRequest, got: Option<Got>) -> Row {
    let variant = trial::variant(request.variant());
    let expected = request.expected.unwrap_or_default();
    let about = request.about;
    match got {
        Some(got) => Row {
            ok: Some(got.is(&expected)),
            expected: trial::expectation(&expected),
            got: got.shown(),
            event_id: got.event_id().to_owned(),
            why: got.reason,
            variant,
            about,
        },
        None => Row {
            ok: None,
            expected: String::new(),
            got: "not posted".to_owned(),
            event_id: String::new(),
            why: request.not_made,
            variant,
            about,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_takes_what_it_names_and_all_below_at_a_dot() {
        let registered = |name: &str| vec![name.to_owned()];
        assert!(takes(&registered("*"), "a.b"));
        assert!(takes(&registered("a"), "a.b") && takes(&registered("a.b"), "a.b"));
        assert!(!takes(&registered("a"), "ab") && !takes(&registered("a.b"), "a"));
        assert!(!takes(&[], "a"));
    }

    #[test]
    fn what_was_not_posted_is_neither_right_nor_wrong() {
        let request = v1::SampleRequest {
            variant: v1::SampleVariant::TooOld.into(),
            not_made: "it signs no time".into(),
            ..Default::default()
        };
        let told = row(request, None);
        assert_eq!((told.variant.as_str(), told.ok), ("too-old", None));
        assert_eq!(told.why, "it signs no time");
        let request = v1::SampleRequest {
            expected: Some(v1::SampleExpectation {
                status: 401,
                ..Default::default()
            }),
            ..Default::default()
        };
        let told = row(request, Some(Got::nothing("nobody there".into())));
        assert_eq!((told.ok, told.got.as_str()), (Some(false), "no answer"));
    }
}
