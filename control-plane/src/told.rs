//! What readers of a stream are told of an event besides its bytes: its payload, and the records made of it, as JSON text.
//!
//! ```text
//!   event, records ─┬ light ─▶ written here
//!                   └ heavy ─▶ written aside, when it is its org's turn
//! ```
//!
//! - Most are light, and cost less than asking for a turn does. A heavy one costs what the largest body does, and none of that is a worker's.
//! - A stream tells one event after the other, each when the reader has room for it: it has one turn at most, and what it tells stays in order.

use hookplane_proto::v1;
use hookplane_rules::payload;

use crate::aside::Aside;
use crate::mapping::Record;

/// Of a body as it came, and of records: up to here it is light. A body that came packed is heavy, as it says nothing of what it holds.
const LIGHT_BYTES: usize = 64 * 1024;

/// Both are empty where there is nothing.
pub(crate) struct Told {
    pub(crate) payload_json: String,
    pub(crate) records_json: String,
}

pub(crate) async fn told(aside: &'static Aside, event: &v1::Event, record: Option<Record>) -> Told {
    let is_light = !event.headers.contains_key("content-encoding")
        && event.body.len() <= LIGHT_BYTES
        && record.as_ref().map_or(0, Record::weight) <= LIGHT_BYTES;
    if is_light {
        return write(event, record);
    }
    // The body is shared.
    let of_task = event.clone();
    aside
        .finish(&event.org, move |_| write(&of_task, record))
        .await
}

fn write(event: &v1::Event, record: Option<Record>) -> Told {
    Told {
        payload_json: payload::to_json(event).unwrap_or_default(),
        records_json: record.map(|record| record.to_json()).unwrap_or_default(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::pin::Pin;
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::mapping::Value;

    /// Of a body that is so many bytes long.
    pub(crate) fn event(org: &str, bytes: usize) -> v1::Event {
        v1::Event {
            org: org.to_owned(),
            format: v1::PayloadFormat::Json.into(),
            body: format!("\"{}\"", "x".repeat(bytes - 2)).into(),
            ..Default::default()
        }
    }

    fn record(bytes: usize) -> Record {
        Record {
            object: "Order__c".to_owned(),
            operation: v1::RecordOperation::Insert,
            key: None,
            fields: vec![("Note__c".to_owned(), Value::Text("x".repeat(bytes)))],
            parents: Vec::new(),
            children: Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_is_light_waits_for_no_turn_and_what_is_heavy_for_its_own() {
        static OWN: Aside = Aside::new();
        let held = OWN.all_turns("acme").await;
        let light = event("acme", LIGHT_BYTES);
        let told_light = told(&OWN, &light, Some(record(8))).now_or_never();
        let told_light = told_light.expect("it waits for nobody");
        assert_eq!(told_light.payload_json.len(), LIGHT_BYTES);
        assert!(told_light.records_json.contains("xxxxxxxx"));

        let mut packed = event("acme", 8);
        let encoding = ("content-encoding".to_owned(), "gzip".to_owned());
        packed.headers.extend([encoding]);
        let heavy = [
            (event("acme", LIGHT_BYTES + 1), None),
            (packed, None),
            (light, Some(record(LIGHT_BYTES))),
        ];
        let mut waiting = Vec::new();
        for (event, record) in &heavy {
            let mut told = Box::pin(told(&OWN, event, record.clone()));
            assert!((&mut told).now_or_never().is_none());
            waiting.push(told);
        }
        drop(held);
        for ((event, record), told) in heavy.iter().zip(waiting) {
            let told = told.await;
            assert_eq!(told.payload_json.as_bytes(), event.body);
            assert_eq!(told.records_json.is_empty(), record.is_none());
        }
    }

    // Promise 8: whatever large events one org's readers are told, another's are told theirs.
    #[tokio::test]
    async fn readers_of_a_hundred_large_events_hold_up_no_other_org() {
        static OWN: Aside = Aside::new();
        let held = OWN.all_turns("greedy").await;
        let (of_greedy, of_other) = (event("greedy", LIGHT_BYTES + 1), event("other", 100_000));
        type Waits<'e> = Pin<Box<dyn Future<Output = Told> + 'e>>;
        let mut greedy: Vec<Waits<'_>> = Vec::new();
        for _ in 0..100 {
            let mut one: Waits<'_> = Box::pin(told(&OWN, &of_greedy, None));
            assert!((&mut one).now_or_never().is_none());
            greedy.push(one);
        }
        let mut other = Box::pin(told(&OWN, &of_other, None));
        assert!((&mut other).now_or_never().is_none());
        drop(held);
        // Nobody asks the hundred on: what turns they have by now, they keep.
        let told = tokio::time::timeout(Duration::from_secs(60), other).await;
        assert_eq!(told.unwrap().payload_json.len(), 100_000);
        drop(greedy);
    }
}
