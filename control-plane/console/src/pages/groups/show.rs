//! A group: its Callback URL and whether it is live, its secrets, what was counted, how it is set up, and its webhooks.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use hookplane_proto::v1;
use http::StatusCode;

use super::asks::Asks;
use super::{Live, Place, definition, events, secrets, title};
use crate::chart::Chart;
use crate::moment::Moment;
use crate::page::{Page, Visitor, html};
use crate::pages::connectors::Confidence;
use crate::pages::{activity, webhooks};
use crate::problem::Problem;
use crate::weight;

/// Of a list of settings, in the page.
const ROOM: usize = 12 * 1024;

struct Secret {
    name: String,
    /// None: not known now.
    uses: Option<u64>,
}

#[derive(Template)]
#[template(path = "groups/show.html")]
struct Show {
    page: Page,
    name: String,
    title: String,
    spec: v1::WebhookGroupSpec,
    events: String,
    connector_name: String,
    function_name: String,
    steps: Vec<String>,
    /// A moment ago: what comes next is at hand.
    made: bool,
    callback: Callback,
    secrets: Vec<Secret>,
    /// As far as it is known: a connector of the org's own may be gone.
    checks_secret: bool,
    /// None: not known now.
    counts: Option<v1::GroupCounts>,
    /// None: not known now.
    chart: Option<Chart>,
    /// When it was typed in at the provider, and the code itself.
    code: Option<(String, Moment)>,
    receipt: &'static str,
    weaker: Vec<String>,
    update: bool,
    confidence: Confidence,
    sources: Vec<String>,
    limitations: Vec<String>,
    redact: Vec<v1::Redaction>,
    more_redact: usize,
    registered: Vec<String>,
    more_registered: usize,
    retention: Option<v1::Retention>,
    created: Option<Moment>,
    updated: Option<Moment>,
    webhooks: webhooks::rows::Rows,
}

/// The part of the page that asks again until the URL is live.
#[derive(Template)]
#[template(path = "groups/callback.html")]
struct Callback {
    path: String,
    url: String,
    live: Live,
    disabled: bool,
    pool: String,
    retiring: Vec<(String, Option<Moment>)>,
}

impl Callback {
    fn of(place: &Place, group: &v1::WebhookGroup) -> Self {
        let spec = group.spec.clone().unwrap_or_default();
        let status = group.status.clone().unwrap_or_default();
        let retiring = status.retiring_urls.into_iter();
        Self {
            path: place.path(),
            live: Live::of(group),
            url: status.callback_url,
            disabled: spec.disabled,
            pool: spec.pool,
            retiring: retiring
                .map(|old| (old.url, Moment::of(old.expire_time.as_ref())))
                .collect(),
        }
    }

    fn waits(&self) -> bool {
        !self.live.applied
    }
}

pub(in crate::pages) async fn show(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let group = place.get(&visitor).await?;
    let callback = Callback::of(&place, &group);
    let metadata = group.metadata.unwrap_or_default();
    let mut spec = group.spec.unwrap_or_default();
    let status = group.status.unwrap_or_default();
    // A connector of the org's own may be gone; its groups go on.
    let asks = match definition(&visitor, &place.org, &spec.connector).await {
        Ok(connector) => Asks::of(&connector, &spec.function),
        Err(Problem::Api(status)) if status.code() == tonic::Code::NotFound => None,
        Err(problem) => return Err(problem),
    };
    let counts = status.counts;
    let secrets = spec.signature_secrets.iter().map(|secret| Secret {
        uses: secrets::uses(counts.as_ref(), &secret.name),
        name: secret.name.clone(),
    });
    let code = status.handshake_code.and_then(|code| {
        let time = Moment::of(code.time.as_ref())?;
        Some((code.code, time))
    });
    let durability = status.durability.unwrap_or_default();
    let confidence = v1::ConnectorSpec {
        confidence: status.connector_confidence,
        ..Default::default()
    };
    let named = |asks: &Option<Asks>, name: fn(&Asks) -> &str, else_: &str| {
        asks.as_ref().map_or(else_, name).to_owned()
    };
    let of_a_day = format!("The last day of {}", title(&metadata, &spec));
    let parent = format!("orgs/{}/groups/{}", place.org, place.group);
    let shown_events = events(&spec.registered_events);
    let (redact, more_redact) = weight::first(std::mem::take(&mut spec.redact), ROOM, |one| {
        40 + weight::of(&one.path)
    });
    let (registered, more_registered) =
        weight::first(std::mem::take(&mut spec.registered_events), ROOM, |event| {
            15 + weight::of(event)
        });
    html(&Show {
        page: visitor.page(title(&metadata, &spec), &place.org),
        chart: activity::chart(&visitor, parent, &of_a_day).await?,
        title: title(&metadata, &spec),
        connector_name: named(&asks, |asks| &asks.connector_name, &spec.connector),
        function_name: named(&asks, |asks| &asks.function_name, &spec.function),
        checks_secret: asks.as_ref().is_none_or(|asks| asks.secret),
        steps: asks.map(|asks| asks.steps).unwrap_or_default(),
        made: visitor.query.text("done") == "group-created",
        callback,
        secrets: secrets.collect(),
        code,
        receipt: receipt(durability.receipt()),
        weaker: durability.reasons,
        update: status.connector_update_available,
        confidence: Confidence::of(&confidence),
        sources: status.connector_sources,
        limitations: status.connector_limitations,
        events: shown_events,
        redact,
        more_redact,
        registered,
        more_registered,
        retention: spec.retention.take(),
        created: Moment::of(metadata.create_time.as_ref()),
        updated: Moment::of(metadata.update_time.as_ref()),
        webhooks: webhooks::rows::rows(&visitor, &place.org, &place.group).await?,
        name: metadata.name,
        counts,
        spec,
    })
}

/// Only the part that changes by itself; nothing at all while it says what it said.
pub(in crate::pages) async fn callback(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let callback = Callback::of(&place, &place.get(&visitor).await?);
    if visitor.query.text("was") == callback.live.text {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    html(&callback)
}

fn receipt(receipt: v1::Receipt) -> &'static str {
    match receipt {
        v1::Receipt::Synced => "synced to disk before the provider is answered",
        v1::Receipt::Replicated => "replicated to a standby before the provider is answered",
        v1::Receipt::Degraded => "degraded: weaker than promised, as the operator allowed",
        v1::Receipt::Unspecified => "not known now",
    }
}
