//! Which events can be looked at while mapping: the last ones of the webhook, the last ones of its group, and the connector's samples.

use hookplane_proto::v1;

use crate::moment::Moment;
use crate::page::Visitor;
use crate::pages::activity::known;
use crate::pages::groups::definition;
use crate::pages::webhooks::Place;
use crate::problem::Problem;
use crate::weight;

/// Of deliveries, and of events: those come with their bodies.
const DELIVERIES: u32 = 30;
const EVENTS: u32 = 10;
const MAX_SHOWN: usize = 20;
/// Of an event type.
const TYPE: usize = 100;
/// Of the names of samples, in the page.
const SAMPLES: usize = 10 * 1024;

pub(super) struct Choice {
    /// As `payload::request_of` reads it.
    pub(super) value: String,
    pub(super) text: String,
    /// What the text ends in, for the machine; empty: no time.
    pub(super) time: String,
}

/// For the chooser, newest first.
#[derive(Default)]
pub(super) struct Choices {
    pub(super) recorded: Vec<Choice>,
    pub(super) samples: Vec<Choice>,
    /// The event log doesn't answer: what is recorded isn't known now.
    pub(super) unknown: bool,
}

impl Choices {
    fn add(&mut self, id: &str, event_type: &str, at: Option<&prost_types::Timestamp>) {
        let value = format!("event:{id}");
        let known = self.recorded.iter().any(|choice| choice.value == value);
        if known || self.recorded.len() == MAX_SHOWN {
            return;
        }
        let at = Moment::of(at);
        let said = at.map_or_else(String::new, |at| format!(", {}", at.short()));
        self.recorded.push(Choice {
            value,
            text: format!("{}{said}", weight::cut(event_type, TYPE)),
            time: at.map_or_else(String::new, Moment::exact),
        });
    }
}

pub(super) async fn of(
    visitor: &Visitor,
    place: &Place,
    group: &v1::WebhookGroupSpec,
    webhook: &v1::WebhookSpec,
) -> Result<Choices, Problem> {
    let mut choices = Choices::default();
    let wants = |event: &str| {
        webhook.events.is_empty() || webhook.events.iter().any(|name| takes(name, event))
    };
    let recorded = recorded(visitor, place, webhook, wants, &mut choices).await?;
    choices.unknown = recorded.is_none();
    // A connector that was deleted since has no samples.
    let connector = definition(visitor, &place.org, &group.connector).await;
    let functions = connector.ok().and_then(|connector| connector.spec);
    let functions = functions.map_or_else(Vec::new, |spec| spec.functions);
    let function = functions.iter().find(|one| one.name == group.function);
    let samples = function.map_or(&[][..], |function| &function.events);
    let samples = samples
        .iter()
        .filter(|event| event.sample.is_some() && wants(&event.name));
    let samples = samples.map(|event| Choice {
        value: format!("sample:{}", event.name),
        text: event.name.clone(),
        time: String::new(),
    });
    (choices.samples, _) = weight::first(samples.collect(), SAMPLES, |choice| {
        30 + 2 * weight::of(&choice.text)
    });
    Ok(choices)
}

/// None where the event log doesn't answer.
async fn recorded(
    visitor: &Visitor,
    place: &Place,
    webhook: &v1::WebhookSpec,
    wants: impl Fn(&str) -> bool,
    choices: &mut Choices,
) -> Result<Option<()>, Problem> {
    let request = v1::ListDeliveriesRequest {
        parent: place.name(),
        page_size: DELIVERIES,
        ..Default::default()
    };
    let mut events = visitor.api.events();
    let Some(answer) = known(events.list_deliveries(request)).await? else {
        return Ok(None);
    };
    for delivery in answer.into_inner().deliveries {
        choices.add(
            &delivery.event_id,
            &delivery.event_type,
            delivery.create_time.as_ref(),
        );
    }
    if choices.recorded.len() < EVENTS as usize {
        let request = v1::ListEventsRequest {
            parent: place.parent(),
            page_size: EVENTS,
            // With one name the newest of it are found, however many others came since.
            r#type: match webhook.events.as_slice() {
                [one] if one != "*" => one.clone(),
                _ => String::new(),
            },
            ..Default::default()
        };
        let Some(answer) = known(events.list_events(request)).await? else {
            return Ok(None);
        };
        for event in answer.into_inner().events {
            if wants(&event.r#type) {
                choices.add(&event.id, &event.r#type, event.receive_time.as_ref());
            }
        }
    }
    Ok(Some(()))
}

/// A name takes all below it at a dot.
fn takes(name: &str, event: &str) -> bool {
    let below = event.strip_prefix(name);
    name == "*" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
