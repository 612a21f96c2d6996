//! One event, read alone: whole, as it is kept, or as much of it as was asked for.
//!
//! A body may have 25 MiB. So no more than some are read at a time, and not all of them for one org; a payload is decoded aside; and who wants the
//! beginning of a body is told no more of it. Who would wait too long for either is told to come again.

use std::time::Duration;

use bytes::Bytes;
use hookplane_proto::v1;
use hookplane_rules::payload;

use super::status::Problem;
use super::turns::Turns;
use crate::access::Caller;
use crate::aside::{Aside, Here, TRIALS};
use crate::context::Context;
use crate::log::LogError;

/// Of a payload as JSON: more than the largest body.
const JSON_MAX: usize = 32 * 1024 * 1024;
/// Events that are read alone at a time, and those of them that tokens of one org may have.
const READS: usize = 16;
const READS_OF_ONE_ORG: usize = 8;
/// For a turn to decode a payload.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn reads() -> Turns {
    Turns::new(READS, READS_OF_ONE_ORG)
}

pub(super) async fn get(
    context: &Context,
    reads: &Turns,
    caller: &Caller,
    id: &str,
    request: &v1::GetEventRequest,
) -> Result<v1::Event, Problem> {
    let _turn = reads.take(caller.own_org()).await?;
    let mut event = context.log.event(id).await?;
    let received = event
        .receive_time
        .as_ref()
        .map(hookplane_rules::time::from_wire);
    if !caller.sees(&event.org, received.unwrap_or_default()) {
        return Err(LogError::NotFound(format!("event {id}")).into());
    }
    if request.payload_json {
        event = decoded(&TRIALS, PATIENCE, event, request.payload_json_max_bytes).await?;
    }
    event.body_bytes = u32::try_from(event.body.len()).unwrap_or(u32::MAX);
    event.body = beginning(event.body, request.body_max_bytes as usize);
    Ok(event)
}

/// With its payload as JSON, or the beginning of it. What decodes it holds up nobody else.
async fn decoded(
    turns: &'static Aside,
    patience: Duration,
    mut event: v1::Event,
    max_bytes: u32,
) -> Result<v1::Event, Problem> {
    let max = match max_bytes as usize {
        0 => JSON_MAX,
        max => max.min(JSON_MAX),
    };
    let org = event.org.clone();
    let work = move |_: &Here| {
        let json = payload::to_json_within(&event, max).unwrap_or_default();
        (event.payload_json, event.payload_json_cut) = json;
        event
    };
    match turns.run_within(&org, patience, work).await {
        Some(event) => Ok(event?),
        None => Err(Problem::Busy(
            "as many payloads are decoded as may be at once: try again in a while".to_owned(),
        )),
    }
}

/// So many bytes of it, which hold no more in memory; all where none are said.
fn beginning(body: Bytes, max: usize) -> Bytes {
    match (1..body.len()).contains(&max) {
        true => Bytes::copy_from_slice(&body[..max]),
        false => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::operator;
    use crate::dispatch::engine::tests::rig::{Rig, soon};

    // Promise 8: however many read large events, another's read has room, and who has none waits for so long at most.
    #[tokio::test]
    async fn an_event_is_read_in_a_turn_or_not_at_all() {
        let (rig, reads, caller) = (Rig::new().await, reads().impatient(), operator());
        let delivery = rig.event("orders", |_| {}).await;
        let id = rig.delivery(&delivery).await.event_id;
        let whole = v1::GetEventRequest::default();
        let mut held = Vec::new();
        while let Ok(turn) = reads.take(caller.own_org()).await {
            held.push(turn);
        }
        assert_eq!(held.len(), READS_OF_ONE_ORG);
        let told = get(&rig.context, &reads, &caller, &id, &whole).await;
        assert!(matches!(told, Err(Problem::Busy(_))));
        drop(held);
        let told = get(&rig.context, &reads, &caller, &id, &whole).await;
        let told = told.ok().unwrap();
        assert_eq!((told.body_bytes, &told.body[..]), (7, &b"{\"n\":0}"[..]));
    }

    #[tokio::test]
    async fn a_payload_whose_turn_does_not_come_is_not_decoded() {
        static OWN: Aside = Aside::new();
        let event = crate::told::tests::event("acme", 100);
        let held = OWN.all_turns("greedy").await;
        let told = soon(decoded(&OWN, Duration::ZERO, event.clone(), 0)).await;
        assert!(matches!(told, Err(Problem::Busy(why)) if why.contains("try again")));
        drop(held);
        let told = decoded(&OWN, Duration::ZERO, event, 0).await.ok().unwrap();
        assert_eq!(told.payload_json.len(), 100);
    }

    #[test]
    fn of_a_body_no_more_is_told_than_was_asked_for() {
        let body = Bytes::from_static(b"twelve bytes");
        for (max, expected) in [(0, 12), (5, 5), (12, 12), (13, 12)] {
            let told = beginning(body.clone(), max);
            assert_eq!(told, body[..expected]);
            // What is cut is no part of the whole, which would stay in memory with it.
            assert_eq!(told.as_ptr() == body.as_ptr(), expected == 12);
        }
    }
}
