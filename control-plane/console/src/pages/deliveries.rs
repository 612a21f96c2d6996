//! Deliveries: searched, chosen, and put back; and one of them from arrival to its last attempt.

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1::{self, DeliveryStatus};
use http::StatusCode;

use super::selection::{Selection, faults_of, groups};
use super::story::{self, Tried};
use super::waits::{self, Wait};
use crate::moment::Moment;
use crate::page::{Page, Visitor, html, to, with_status};
use crate::problem::{Faults, Problem};
use crate::weight;
use crate::words::Standing;

const PAGE: u32 = 50;
/// What a list shows of a reason, of an event type: outsiders write both.
const REASON: usize = 400;
const TYPE: usize = 150;

/// A delivery, as a list shows it.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) time: Option<Moment>,
    pub(super) event_type: String,
    pub(super) group: String,
    pub(super) webhook: String,
    pub(super) destination: String,
    pub(super) standing: Standing,
    pub(super) attempts: u32,
    pub(super) reason: String,
    /// Of a list of deliveries: why it isn't tried now.
    wait: Option<Wait>,
}

impl Row {
    pub(super) fn of(delivery: v1::Delivery) -> Self {
        Self {
            time: Moment::of(delivery.create_time.as_ref()),
            standing: Standing(delivery.status()),
            attempts: delivery.attempts,
            reason: weight::cut(&delivery.reason, REASON),
            id: delivery.id,
            event_type: weight::cut(&delivery.event_type, TYPE),
            group: delivery.group,
            webhook: delivery.webhook,
            destination: delivery.destination,
            wait: None,
        }
    }

    /// The badge's colour: what was tried in vain is not as what is only new.
    fn class(&self) -> &'static str {
        match self.standing.0 {
            v1::DeliveryStatus::Pending if self.attempts > 0 => "warn",
            _ => self.standing.class(),
        }
    }
}

impl Deliveries {
    /// There is one to choose.
    fn any_replays(&self) -> bool {
        self.rows.iter().any(|row| row.standing.replays())
    }
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct Deliveries {
    page: Page,
    selection: Selection,
    faults: Faults,
    groups: Vec<String>,
    rows: Vec<Row>,
    next: Option<String>,
    /// Not the first page.
    later: bool,
}

pub(super) async fn list(visitor: Visitor, Path(org): Path<String>) -> Result<Response, Problem> {
    let selection = Selection::of(&visitor.query);
    let mut faults = Faults::default();
    selection.check(&mut faults);
    let span = selection.span((visitor.console.now)(), &mut faults);
    let mut answer = v1::ListDeliveriesResponse::default();
    if faults.is_empty() {
        let request = v1::ListDeliveriesRequest {
            parent: selection.webhooks(&org),
            page_size: PAGE,
            page_token: visitor.query.text("page").to_owned(),
            status: selection.status().into(),
            event_id: String::new(),
            r#type: selection.event_type.clone(),
            since: span.since,
            until: span.until,
            text: selection.text.clone(),
            destination: selection.destination.clone(),
        };
        match visitor.api.events().list_deliveries(request).await {
            Ok(found) => answer = found.into_inner(),
            Err(status) => faults = faults_of(status)?,
        }
    }
    let waits = waits::of_all(&visitor, &answer.deliveries).await?;
    let rows = answer.deliveries.into_iter().zip(waits);
    let rows = rows.map(|(delivery, wait)| Row {
        wait,
        ..Row::of(delivery)
    });
    let next = Some(answer.next_page_token).filter(|token| !token.is_empty());
    let page = Deliveries {
        groups: groups(&visitor, &org).await?,
        page: visitor.page("Deliveries", &org),
        next: next.map(|token| selection.query_with("page", &token)),
        later: !visitor.query.text("page").is_empty(),
        rows: rows.collect(),
        selection,
        faults,
    };
    let status = match page.faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    with_status(status, &page)
}

/// Which version of a mapping a form means.
pub(super) fn mapping(word: &str) -> v1::ReplayMapping {
    match word {
        "then" => v1::ReplayMapping::Then,
        _ => v1::ReplayMapping::Now,
    }
}

/// Those that were chosen, back to pending.
pub(super) async fn replay(
    visitor: Visitor,
    Path(org): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = visitor.posted(&body)?;
    let delivery_ids: Vec<String> = form.all("id").map(str::to_owned).collect();
    let only = delivery_ids.first().filter(|_| form.ticked("one")).cloned();
    let selection = Selection::of(&form);
    let done = if delivery_ids.is_empty() {
        "none-chosen".to_owned()
    } else {
        let request = v1::ReplayDeliveriesRequest {
            delivery_ids,
            mapping: mapping(form.text("mapping")).into(),
        };
        let answer = visitor.api.events().replay_deliveries(request).await?;
        format!("replayed&count={}", answer.into_inner().replayed)
    };
    Ok(match only {
        Some(id) => {
            let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
            to(&format!("/orgs/{org}/deliveries/{id}?done={done}"))
        }
        None => {
            let query = selection.query();
            let and = if query.is_empty() { "" } else { "&" };
            to(&format!("/orgs/{org}/deliveries?{query}{and}done={done}"))
        }
    })
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    page: Page,
    row: Row,
    reason: String,
    event: String,
    arrived: Option<Moment>,
    updated: Option<Moment>,
    next_attempt: Option<Moment>,
    idempotency_key: String,
    order_key: String,
    mapping_version: u32,
    webhook_uid: String,
    tries: Vec<Tried>,
    /// It was replayed, and nothing was tried since.
    put_back: bool,
    /// Its webhook was deleted: there is nothing to look at, nor to replay it to.
    gone: bool,
    wait: Option<Wait>,
    /// An earlier one of the same order key.
    behind: Option<String>,
}

pub(super) async fn show(
    visitor: Visitor,
    Path((org, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let request = v1::GetDeliveryRequest {
        name: format!("deliveries/{id}"),
    };
    let delivery = visitor.api.events().get_delivery(request).await?;
    let mut delivery = delivery.into_inner();
    if delivery.org != org {
        return Err(Problem::NoPage);
    }
    let request = v1::GetEventRequest {
        name: format!("events/{}", delivery.event_id),
        // Nothing of it is shown.
        body_max_bytes: 1,
        ..Default::default()
    };
    // Retention may have taken it.
    let arrived = match visitor.api.events().get_event(request).await {
        Ok(event) => event.into_inner().receive_time,
        Err(status) if status.code() == tonic::Code::NotFound => None,
        Err(status) => return Err(status.into()),
    };
    let history = std::mem::take(&mut delivery.history);
    let pending = delivery.status() == v1::DeliveryStatus::Pending;
    let (gone, wait) = match waits::webhook(&visitor, &delivery).await? {
        waits::Of::Gone => (true, None),
        waits::Of::There(webhook) if pending => (false, Wait::of(&webhook, &delivery)),
        _ => (false, None),
    };
    let behind = waits::behind(&visitor, &delivery, arrived).await?;
    // What is past is no time to wait for.
    let now = (visitor.console.now)();
    let next_attempt = delivery.next_attempt_time.filter(|next| next.seconds > now);
    html(&DeliveryPage {
        page: visitor.page(format!("Delivery of {}", delivery.event_type), &org),
        reason: delivery.reason.clone(),
        event: delivery.event_id.clone(),
        arrived: Moment::of(arrived.as_ref()),
        updated: Moment::of(delivery.update_time.as_ref()),
        next_attempt: Moment::of(next_attempt.as_ref()),
        idempotency_key: delivery.idempotency_key.clone(),
        order_key: delivery.order_key.clone(),
        mapping_version: delivery.mapping_version,
        webhook_uid: delivery.webhook_uid.clone(),
        put_back: story::is_put_back(delivery.status(), &history),
        tries: story::tries(history),
        gone,
        wait,
        behind,
        row: Row::of(delivery),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_deliveries_is_light_whatever_outsiders_wrote() {
        let delivery = |_| {
            Row::of(v1::Delivery {
                id: "i".repeat(45),
                event_type: "<".repeat(512),
                group: "g".repeat(63),
                webhook: "w".repeat(63),
                destination: "d".repeat(63),
                reason: "\"".repeat(4_000),
                create_time: Some(prost_types::Timestamp::default()),
                ..Default::default()
            })
        };
        let waiting = |row| Row {
            wait: Some(Wait {
                why: "<".repeat(300),
                since: Moment::of(Some(&prost_types::Timestamp::default())),
                retry: Moment::of(Some(&prost_types::Timestamp::default())),
            }),
            ..delivery(row)
        };
        let page = Deliveries {
            page: Page::for_tests(),
            selection: Selection::default(),
            faults: Faults::default(),
            groups: vec!["g".repeat(63); 100],
            rows: (0..PAGE).map(waiting).collect(),
            next: Some("f".repeat(100)),
            later: true,
        };
        weight::assert_light(&page);
    }
}
