//! `tail`: reads along, and never leases.
//!
//! When the server goes away while following, it reconnects and reads the log from the start, printing only what is new: what was
//! printed is remembered (the newest [`REMEMBERED`] lines; what is more than [`OVERLAP`] older than those is known to be printed).

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::Clock as _;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::items;
use crate::args::{Tail, TailFormat};
use crate::connect::{Options, Target, Top};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, json, note, visible};
use crate::servers::clock::SystemClock;

/// Lines remembered, so that none is printed twice after a reconnect.
const REMEMBERED: usize = 100_000;
/// Listeners take callbacks at the same time: a line may be this much older than the one before it.
const OVERLAP: Duration = Duration::from_secs(60);
/// Before the first new attempt, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Prints until the end, `--max`, or a signal.
pub(crate) async fn run(
    tail: &Tail,
    top: &Top,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let name = Name::parse(tail.name.as_deref(), 3, "ORG/GROUP/WEBHOOK")?;
    if tail.max == Some(0) {
        return Ok(());
    }
    let target = Target::resolve(&Options::new(top, &tail.client))?;
    let mut printer = Printer::new(tail);
    tokio::select! {
        result = follow(tail, name.webhook(), &target, &mut printer) => result,
        () = shutdown.cancelled() => Ok(()),
    }
}

async fn follow(
    tail: &Tail,
    parent: String,
    target: &Target,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let mut backoff = BACKOFF.0;
    let mut connected_before = false;
    loop {
        match read(
            tail,
            &parent,
            target,
            printer,
            &mut connected_before,
            &mut backoff,
        )
        .await
        {
            Ok(()) => return Ok(()),
            Err(Lost::For(failure)) => return Err(failure),
            Err(Lost::Now(reason)) if connected_before && !tail.no_follow => {
                // Once for an outage, however long.
                if backoff == BACKOFF.0 {
                    note(&format!("connection lost ({reason}); trying again"));
                }
            }
            Err(Lost::Now(reason)) => {
                return Err(Failure::new(format!("can't read the log: {reason}"))
                    .hint("is it running? `hookplane dev` starts one here; --api names another"));
            }
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}

enum Lost {
    /// A new attempt may help.
    Now(String),
    /// None will.
    For(Failure),
}

async fn read(
    tail: &Tail,
    parent: &str,
    target: &Target,
    printer: &mut Printer,
    connected: &mut bool,
    backoff: &mut Duration,
) -> Result<(), Lost> {
    let again = *connected;
    let api = target.connect().await.map_err(|failure| match failure {
        Failure::Failed { message, .. } if again => Lost::Now(message),
        other => Lost::For(other),
    })?;
    let request = v1::TailRequest {
        parent: parent.to_owned(),
        from_start: tail.from_start || again,
        no_follow: tail.no_follow,
        events: tail.events,
        changes: tail.changes,
        brief: false,
        // Whoever reads along with a command wants them all, and pipes them on.
        max_per_second: 0,
    };
    let mut lines = api.events().tail(request).await.map_err(lost)?.into_inner();
    *connected = true;
    printer.resuming = again;
    loop {
        match lines.message().await.map_err(lost)? {
            Some(line) => {
                *backoff = BACKOFF.0;
                if printer.print(&line).map_err(Lost::For)? {
                    return Ok(());
                }
            }
            None if tail.no_follow => return Ok(()),
            None => return Err(Lost::Now("the server ended the stream".to_owned())),
        }
    }
}

fn lost(status: tonic::Status) -> Lost {
    match status.code() {
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Aborted | Code::Internal => {
            Lost::Now(status.message().to_owned())
        }
        _ => Lost::For(status.into()),
    }
}

struct Printer {
    json: bool,
    left: Option<u64>,
    /// A delivery has a line for each change besides its first.
    changes: bool,
    /// Reading again what may have been printed.
    resuming: bool,
    /// When the tail began, in milliseconds. None when everything kept is wanted, however old.
    began: Option<i64>,
    seen: HashSet<String>,
    order: VecDeque<String>,
    /// Receive time of the newest line, in milliseconds.
    newest: i64,
}

impl Printer {
    fn new(tail: &Tail) -> Self {
        Self {
            json: tail.output == TailFormat::Json,
            left: tail.max,
            changes: tail.changes,
            resuming: false,
            began: (!tail.from_start).then(|| SystemClock.now().0),
            seen: HashSet::new(),
            order: VecDeque::new(),
            newest: 0,
        }
    }

    /// Prints a line unless it was; true when it was the last one wanted.
    fn print(&mut self, line: &v1::TailResponse) -> Result<bool, Failure> {
        if !self.is_new(line) {
            return Ok(false);
        }
        output::line(&if self.json {
            as_json(line)?
        } else {
            as_text(line)
        })?;
        if let Some(left) = &mut self.left {
            *left -= 1;
            return Ok(*left == 0);
        }
        Ok(false)
    }

    /// Told by time alone, for what is no longer remembered or was there before the tail began.
    fn is_known_to_be_old(&self, received: i64) -> bool {
        let overlap = i64::try_from(OVERLAP.as_millis()).unwrap_or(i64::MAX);
        let forgotten = self.order.len() >= REMEMBERED && received < self.newest - overlap;
        forgotten || self.began.is_some_and(|began| received < began)
    }

    fn is_new(&mut self, line: &v1::TailResponse) -> bool {
        let key = key(line, self.changes);
        // Read once, nothing repeats: a first line shows where its delivery stands by now, which a later change may say again.
        if self.resuming && self.seen.contains(&key) {
            return false;
        }
        let event = line.event.as_ref();
        let received = event
            .and_then(|event| event.receive_time)
            .map_or(0, |time| {
                time.seconds * 1000 + i64::from(time.nanos) / 1_000_000
            });
        if self.resuming && self.is_known_to_be_old(received) {
            return false;
        }
        self.newest = self.newest.max(received);
        self.seen.insert(key.clone());
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(old) = self.order.pop_front()
        {
            self.seen.remove(&old);
        }
        true
    }
}

/// What makes a line another line: the event and the delivery, and with `changes` where that stands.
fn key(line: &v1::TailResponse, changes: bool) -> String {
    let event = line.event.as_ref().map_or("", |event| event.id.as_str());
    match &line.delivery {
        Some(delivery) if !changes => format!("{event} {}", delivery.id),
        Some(delivery) => {
            let updated = delivery.update_time.unwrap_or_default();
            format!(
                "{event} {} {} {} {updated}",
                delivery.id, delivery.status, delivery.attempts
            )
        }
        None => event.to_owned(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    event: EventPart<'a>,
    webhook: Option<&'a str>,
    delivery: Option<DeliveryPart<'a>>,
    payload: Option<Box<RawValue>>,
    /// What its mapping makes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventPart<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    received_at: Option<String>,
    group: String,
    delivery_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    duplicate_of: &'a str,
    flags: Vec<String>,
}

#[derive(Serialize)]
struct DeliveryPart<'a> {
    id: &'a str,
    status: String,
    attempts: u32,
}

fn as_json(line: &v1::TailResponse) -> Result<String, Failure> {
    let empty = v1::Event::default();
    let event = line.event.as_ref().unwrap_or(&empty);
    json::line(&Line {
        event: EventPart {
            id: &event.id,
            event_type: &event.r#type,
            received_at: items::time(&event.receive_time),
            group: format!("{}/{}", event.org, event.group),
            delivery_id: &event.delivery_id,
            duplicate_of: &event.duplicate_of,
            flags: items::flags(event),
        },
        webhook: line
            .delivery
            .as_ref()
            .map(|delivery| delivery.webhook.as_str()),
        delivery: line.delivery.as_ref().map(|delivery| DeliveryPart {
            id: &delivery.id,
            status: items::delivery_status(delivery),
            attempts: delivery.attempts,
        }),
        payload: json::raw(&line.payload_json),
        records: json::raw(&line.records_json),
    })
}

fn as_text(line: &v1::TailResponse) -> String {
    let empty = v1::Event::default();
    let event = line.event.as_ref().unwrap_or(&empty);
    let (webhook, status) = match &line.delivery {
        Some(delivery) => (delivery.webhook.as_str(), items::delivery_status(delivery)),
        None => ("-", "unmatched".to_owned()),
    };
    let mut text = format!(
        "{}  {}/{}/{webhook}  {}  {status}  {}",
        items::time(&event.receive_time).unwrap_or_default(),
        event.org,
        event.group,
        event.r#type,
        event.id,
    );
    for flag in items::flags(event) {
        text.push_str(&format!("  [{flag}]"));
    }
    visible(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, seconds: i64) -> v1::TailResponse {
        v1::TailResponse {
            event: Some(v1::Event {
                id: id.into(),
                org: "acme".into(),
                group: "shop".into(),
                r#type: "orders/paid".into(),
                delivery_id: "d-1".into(),
                receive_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
                flags: vec![v1::EventFlag::IdReused.into()],
                ..Default::default()
            }),
            delivery: Some(v1::Delivery {
                id: format!("delivery-{id}"),
                webhook: "paid".into(),
                status: v1::DeliveryStatus::Pending.into(),
                ..Default::default()
            }),
            payload_json: "{\n  \"total\": 12.50\n}".into(),
            ..Default::default()
        }
    }

    fn printer() -> Printer {
        Printer {
            json: true,
            left: None,
            changes: false,
            resuming: false,
            began: Some(1_000_000),
            seen: HashSet::new(),
            order: VecDeque::new(),
            newest: 0,
        }
    }

    #[test]
    fn a_json_line_is_the_contracts() {
        assert_eq!(
            as_json(&line("e-1", 0)).unwrap(),
            r#"{"event":{"id":"e-1","type":"orders/paid","receivedAt":"1970-01-01T00:00:00Z","group":"acme/shop","deliveryId":"d-1","flags":["id-reused"]},"webhook":"paid","delivery":{"id":"delivery-e-1","status":"pending","attempts":0},"payload":{"total":12.50}}"#
        );
    }

    #[test]
    fn records_follow_the_payload_where_there_is_a_mapping() {
        let mut line = line("e-1", 0);
        line.records_json = r#"[{"object": "Order__c"}]"#.into();
        let text = as_json(&line).unwrap();
        assert!(
            text.ends_with(r#""payload":{"total":12.50},"records":[{"object":"Order__c"}]}"#),
            "{text}"
        );
    }

    #[test]
    fn what_is_missing_is_null() {
        let mut line = line("e-1", 0);
        line.delivery = None;
        line.payload_json.clear();
        let text = as_json(&line).unwrap();
        assert!(
            text.contains(r#""webhook":null,"delivery":null,"payload":null"#),
            "{text}"
        );
    }

    #[test]
    fn after_a_reconnect_nothing_is_lost_or_repeated() {
        let mut printer = printer();
        assert!(printer.is_new(&line("a", 1000)));
        assert!(printer.is_new(&line("b", 1001)));
        printer.resuming = true;
        assert!(!printer.is_new(&line("older than the tail", 999)));
        assert!(!printer.is_new(&line("a", 1000)));
        assert!(!printer.is_new(&line("b", 1001)));
        assert!(printer.is_new(&line("came while away", 1001)));
    }

    #[test]
    fn a_delivery_that_moved_on_while_away_is_not_printed_again() {
        let mut printer = printer();
        assert!(printer.is_new(&line("a", 1000)));
        printer.resuming = true;
        let mut moved = line("a", 1000);
        let delivery = moved.delivery.as_mut().unwrap();
        delivery.status = v1::DeliveryStatus::Delivered.into();
        delivery.attempts = 1;
        assert!(!printer.is_new(&moved));
    }

    #[test]
    fn the_last_change_is_printed_though_the_first_line_stood_there_already() {
        let mut printer = printer();
        printer.changes = true;
        assert!(printer.is_new(&line("a", 1000)));
        assert!(printer.is_new(&line("a", 1000)));
    }

    #[test]
    fn text_is_one_line_whatever_the_provider_sent() {
        let mut line = line("e-1", 0);
        line.event.as_mut().unwrap().r#type = "a\nb\u{1b}[2J".into();
        assert_eq!(as_text(&line).lines().count(), 1);
        assert!(!as_text(&line).contains('\u{1b}'));
    }
}
