//! Which deliveries of a webhook go one after the other: those whose events have the same key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookplane_proto::v1;
use hookplane_rules::filter::{BASE_UNITS, Expression, VARIABLES};
use sha2::{Digest as _, Sha256};

use crate::aside::Here;
use crate::log::NewDelivery;
use crate::mapping::seen::{Reads, Seen};

/// The same of all events of one callback, for all their webhooks: some 80 ms.
const CALLBACK_UNITS: u64 = 8_000_000;
/// Making a payload ready to be read.
const BYTES_PER_UNIT: u64 = 16;
/// A longer key is told from others by its digest.
const MAX_KEY_BYTES: usize = 128;
/// Sources kept compiled, and their patterns, of 256 KiB at most. A fleet has a few; past it some are forgotten.
const KEPT: usize = 1_024;
const KEPT_PATTERNS: usize = 256;

/// A webhook's `order_by`, compiled: a path is an expression, too.
#[derive(Debug)]
pub(crate) struct OrderBy {
    expression: Expression,
    reads: Reads,
}

impl OrderBy {
    /// The error says what is wrong, at which place, or which bound it passes.
    pub(crate) fn compile(_: &Here, source: &str) -> Result<Self, String> {
        let expression = Expression::compile(source, &VARIABLES)?;
        let mut reads = Reads::default();
        for variable in expression.variables() {
            reads.note(variable);
        }
        Ok(Self { expression, reads })
    }

    /// The event's key. The error says why it has none.
    pub(crate) fn key(&self, _: &Here, event: &v1::Event) -> Result<String, String> {
        let mut seen = Seen::payload_of(event).map_err(said)?;
        let mut units = u64::MAX;
        self.key_of(event, &mut seen, &mut units)
    }

    /// The same of an event that others have looked at. What is done is taken from `left`.
    fn key_of(&self, event: &v1::Event, seen: &mut Seen, left: &mut u64) -> Result<String, String> {
        seen.add(event, &self.reads).map_err(said)?;
        let texts: Vec<(&'static str, &str)> = self
            .expression
            .variables()
            .iter()
            .map(|name| {
                let text = match *name {
                    "payload" => seen.payload.text(),
                    "headers" => &seen.headers,
                    "query" => &seen.query,
                    _ => &seen.event,
                };
                (*name, text)
            })
            .collect();
        let given = (*left).min(BASE_UNITS + 2 * seen.payload.text().len() as u64);
        let mut units = given;
        let found = self.expression.evaluate(&texts, &mut units);
        *left -= given - units;
        let found = found?;
        let value = match found.as_deref().map(serde_json::from_str) {
            None => return Err("is missing".to_owned()),
            Some(Err(error)) => return Err(format!("is no value: {error}")),
            Some(Ok(value)) => value,
        };
        let text = match value {
            serde_json::Value::Null => return Err("is null".to_owned()),
            serde_json::Value::String(text) if text.is_empty() => {
                return Err("is empty".to_owned());
            }
            serde_json::Value::String(text) => text,
            // As it is written: 1.0 and 1 are two keys.
            serde_json::Value::Number(_) | serde_json::Value::Bool(_) => {
                found.unwrap_or_default().trim().to_owned()
            }
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                return Err(
                    "is a list or an object, and a key is text, a number or a boolean".to_owned(),
                );
            }
        };
        if text.len() <= MAX_KEY_BYTES {
            return Ok(text);
        }
        Ok(format!("sha256:{}", hex::encode(Sha256::digest(text))))
    }
}

fn said((of, why): (&'static str, String)) -> String {
    format!("{of} {why}")
}

/// The sources that were needed, compiled.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    kept: Mutex<HashMap<String, Arc<OrderBy>>>,
}

impl Orders {
    pub(super) fn get(&self, here: &Here, source: &str) -> Result<Arc<OrderBy>, String> {
        if let Some(found) = self.locked().get(source) {
            return Ok(Arc::clone(found));
        }
        // Aside: two who need the same at once both compile it, and nobody waits.
        let compiled = Arc::new(OrderBy::compile(here, source)?);
        let mut kept = self.locked();
        let mut patterns: usize = kept.values().map(|one| one.expression.patterns()).sum();
        while kept.len() >= KEPT || patterns + compiled.expression.patterns() > KEPT_PATTERNS {
            // Any of them: which is needed next isn't known.
            let Some(one) = kept.keys().next().cloned() else {
                break;
            };
            patterns -= kept.remove(&one).map_or(0, |one| one.expression.patterns());
        }
        kept.insert(source.to_owned(), Arc::clone(&compiled));
        Ok(compiled)
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Arc<OrderBy>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys of one callback's events. What they may cost is one for all.
pub(super) struct Ordering<'o> {
    here: &'o Here,
    orders: &'o Orders,
    left: u64,
}

impl<'o> Ordering<'o> {
    pub(super) fn new(here: &'o Here, orders: &'o Orders) -> Self {
        Self {
            here,
            orders,
            left: CALLBACK_UNITS,
        }
    }

    /// One event's: its payload is read once, and a source evaluated once, whatever the number of webhooks.
    pub(super) fn keys(&mut self) -> Keys<'_, 'o> {
        Keys {
            ordering: self,
            seen: None,
            known: HashMap::new(),
        }
    }
}

/// A webhook's deliveries of an event have no key: its verdict says why.
pub(super) fn without_order(
    source: &str,
    why: &str,
    event: &mut v1::Event,
    deliveries: &[NewDelivery],
) {
    let uid = deliveries.first().map_or("", |d| &d.webhook_uid);
    let verdict = event.verdicts.iter_mut().find(|v| v.webhook_uid == uid);
    if let Some(verdict) = verdict {
        if !verdict.reason.is_empty() {
            verdict.reason.push_str("; ");
        }
        verdict
            .reason
            .push_str(&format!("delivered without order: `{source}` {why}"));
    }
}

/// The keys of one event.
pub(super) struct Keys<'k, 'o> {
    ordering: &'k mut Ordering<'o>,
    seen: Option<Result<Seen, String>>,
    known: HashMap<String, Result<String, String>>,
}

impl Keys<'_, '_> {
    /// Gives the event's deliveries to one webhook their key. Without one they wait for none, and the webhook's verdict says why.
    pub(super) fn of_webhook(
        &mut self,
        source: &str,
        event: &mut v1::Event,
        deliveries: &mut [NewDelivery],
    ) {
        if !self.known.contains_key(source) {
            let key = self.key(source, event);
            self.known.insert(source.to_owned(), key);
        }
        match &self.known[source] {
            Ok(key) => {
                for delivery in deliveries {
                    delivery.order_key.clone_from(key);
                }
            }
            Err(why) => without_order(source, why, event, deliveries),
        }
    }

    fn key(&mut self, source: &str, event: &v1::Event) -> Result<String, String> {
        let order = self.ordering.orders.get(self.ordering.here, source)?;
        let left = &mut self.ordering.left;
        if *left == 0 {
            return Err(
                "comes after others that did as much work on this callback as is allowed"
                    .to_owned(),
            );
        }
        let seen = self.seen.get_or_insert_with(|| {
            let seen = Seen::payload_of(event).map_err(said)?;
            *left = left.saturating_sub(seen.payload.text().len() as u64 / BYTES_PER_UNIT);
            Ok(seen)
        });
        order.key_of(event, seen.as_mut().map_err(|why| why.clone())?, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(body: &'static str) -> v1::Event {
        v1::Event {
            format: v1::PayloadFormat::Json.into(),
            content_type: "application/json".to_owned(),
            r#type: "orders/paid".to_owned(),
            body: body.into(),
            ..Default::default()
        }
    }

    fn key(source: &str, body: &'static str) -> Result<String, String> {
        let here = Here::of_test();
        OrderBy::compile(&here, source)
            .unwrap()
            .key(&here, &event(body))
    }

    #[test]
    fn a_path_or_an_expression_gives_the_key_as_it_is_written() {
        let body =
            r#"{"customer": {"id": 12.50, "name": "Ada"}, "on": true, "none": null, "list": [1]}"#;
        for (source, expected) in [
            ("payload.customer.name", Ok("Ada")),
            ("payload.customer.id", Ok("12.50")),
            ("payload.on", Ok("true")),
            (
                "event.type + '/' + payload.customer.name",
                Ok("orders/paid/Ada"),
            ),
            ("payload.list[0]", Ok("1")),
            ("payload.customer.email", Err("is missing")),
            ("payload.none", Err("is null")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(key(source, body), expected, "{source}");
        }
        assert!(key("payload.list", body).is_err());
        assert!(key("payload.a", "not json").is_err());
        assert!(OrderBy::compile(&Here::of_test(), "payload.").is_err());
    }

    #[test]
    fn a_long_key_is_its_digest() {
        let key = |c: &str| {
            let mut event = event("");
            event.body = format!(r#"{{"k": "{}"}}"#, c.repeat(1000)).into();
            let here = Here::of_test();
            OrderBy::compile(&here, "payload.k")
                .unwrap()
                .key(&here, &event)
                .unwrap()
        };
        assert_eq!(key("a").len(), "sha256:".len() + 64);
        assert_ne!(key("a"), key("b"));
    }

    #[test]
    fn a_verdict_says_why_there_is_no_order() {
        let mut event = event("{}");
        event.verdicts.push(v1::WebhookVerdict {
            webhook_uid: "w".to_owned(),
            matched: true,
            ..Default::default()
        });
        let mut deliveries = [NewDelivery {
            webhook_uid: "w".to_owned(),
            ..Default::default()
        }];
        let (here, orders) = (Here::of_test(), Orders::default());
        let mut ordering = Ordering::new(&here, &orders);
        let mut keys = ordering.keys();
        keys.of_webhook("payload.id", &mut event, &mut deliveries);
        assert_eq!(deliveries[0].order_key, "");
        assert_eq!(
            event.verdicts[0].reason,
            "delivered without order: `payload.id` is missing"
        );
    }

    // Risk 9: what a callback's orders may cost is one for all its events and webhooks.
    #[test]
    fn orders_of_one_callback_share_what_they_may_cost() {
        let list = (0..2_000).map(|n| n.to_string()).collect::<Vec<_>>();
        let body = format!(r#"{{"id": 7, "a": [{}]}}"#, list.join(","));
        let (here, orders) = (Here::of_test(), Orders::default());
        let mut ordering = Ordering::new(&here, &orders);
        let mut ordered = 0;
        let mut last = String::new();
        for n in 0..200 {
            let mut event = event("");
            event.body = body.clone().into();
            event.verdicts.push(v1::WebhookVerdict {
                webhook_uid: "w".to_owned(),
                matched: true,
                ..Default::default()
            });
            let mut deliveries = [NewDelivery {
                webhook_uid: "w".to_owned(),
                ..Default::default()
            }];
            let source = format!("payload.a.exists(x, x == -{n}) ? 'a' : 'b'");
            let mut keys = ordering.keys();
            keys.of_webhook(&source, &mut event, &mut deliveries);
            ordered += usize::from(!deliveries[0].order_key.is_empty());
            last.clone_from(&event.verdicts[0].reason);
        }
        assert!(ordered > 0 && ordered < 200, "{ordered}");
        assert!(last.starts_with("delivered without order: "), "{last}");
    }

    #[test]
    fn sources_that_are_kept_compiled_are_bounded_and_not_forgotten_at_once() {
        let (here, orders) = (Here::of_test(), Orders::default());
        for n in 0..KEPT_PATTERNS + 10 {
            let source = format!("payload.a.matches('^a{n}$') ? 'a' : 'b'");
            orders.get(&here, &source).unwrap();
        }
        assert_eq!(orders.locked().len(), KEPT_PATTERNS);
    }
}
