//! Which deliveries of a webhook go one after the other: those whose events have the same key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hookplane_proto::v1;
use hookplane_rules::filter::Expression;
use sha2::{Digest as _, Sha256};

use crate::log::NewDelivery;
use crate::mapping::seen::{Reads, Seen};

/// What a source can name.
const VARIABLES: [&str; 4] = ["payload", "headers", "query", "event"];
/// As in filters: the work that one evaluation may do besides reading its payload a few times.
const BASE_UNITS: u64 = 4_000_000;
/// A longer key is told from others by its digest.
const MAX_KEY_BYTES: usize = 128;
/// Sources kept compiled. Past it all are forgotten: a fleet has a few.
const KEPT: usize = 1_024;

/// A webhook's `order_by`, compiled: a path is an expression, too.
#[derive(Debug)]
pub(crate) struct OrderBy {
    expression: Expression,
    reads: Reads,
}

impl OrderBy {
    /// The error says what is wrong, at which place, or which bound it passes.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        let expression = Expression::compile(source, &VARIABLES)?;
        let mut reads = Reads::default();
        for variable in expression.variables() {
            reads.note(variable);
        }
        Ok(Self { expression, reads })
    }

    /// The event's key. The error says why it has none.
    pub(crate) fn key(&self, event: &v1::Event) -> Result<String, String> {
        let seen = Seen::of(event, &self.reads).map_err(|(of, why)| format!("{of} {why}"))?;
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
        let mut units = BASE_UNITS + 2 * seen.payload.text().len() as u64;
        let found = self.expression.evaluate(&texts, &mut units)?;
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

/// The sources that were needed, compiled.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    kept: Mutex<HashMap<String, Arc<OrderBy>>>,
}

impl Orders {
    pub(super) fn get(&self, source: &str) -> Result<Arc<OrderBy>, String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.get(source) {
            return Ok(Arc::clone(found));
        }
        let compiled = Arc::new(OrderBy::compile(source)?);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(source.to_owned(), Arc::clone(&compiled));
        Ok(compiled)
    }

    /// Gives an event's deliveries to one webhook their key. Without one they wait for none, and the webhook's verdict says why.
    pub(super) fn of_webhook(
        &self,
        source: &str,
        event: &mut v1::Event,
        deliveries: &mut [NewDelivery],
    ) {
        let key = self.get(source).and_then(|order| order.key(event));
        match key {
            Ok(key) => {
                for delivery in deliveries {
                    delivery.order_key.clone_from(&key);
                }
            }
            Err(why) => {
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
        }
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
        OrderBy::compile(source).unwrap().key(&event(body))
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
        assert!(OrderBy::compile("payload.").is_err());
    }

    #[test]
    fn a_long_key_is_its_digest() {
        let key = |c: &str| {
            let mut event = event("");
            event.body = format!(r#"{{"k": "{}"}}"#, c.repeat(1000)).into();
            OrderBy::compile("payload.k").unwrap().key(&event).unwrap()
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
        Orders::default().of_webhook("payload.id", &mut event, &mut deliveries);
        assert_eq!(deliveries[0].order_key, "");
        assert_eq!(
            event.verdicts[0].reason,
            "delivered without order: `payload.id` is missing"
        );
    }
}
