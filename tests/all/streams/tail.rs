//! Reading along with the log.

use hookplane_proto::v1;
use tonic::Streaming;
use v1::DeliveryStatus;

use super::report::{Reporting, callback};
use super::rig::{Rig, webhook_path};
use super::subscribe::Subscriber;
use crate::fake_control_plane::{Failure, soon};

struct Tail(Streaming<v1::TailResponse>);

impl Tail {
    async fn start(
        rig: &Rig,
        of: &str,
        set: impl FnOnce(&mut v1::TailRequest),
    ) -> Result<Self, Failure> {
        let mut request = v1::TailRequest {
            parent: webhook_path(of),
            ..Default::default()
        };
        set(&mut request);
        Ok(Self(soon(rig.events().tail(request)).await??.into_inner()))
    }

    async fn next(&mut self) -> Result<v1::TailResponse, Failure> {
        soon(self.0.message())
            .await??
            .ok_or_else(|| "the tail ended".into())
    }

    /// All lines up to its end: the provider's delivery id, the webhook, the status.
    async fn lines(mut self) -> Result<Vec<(String, String, DeliveryStatus)>, Failure> {
        let mut lines = Vec::new();
        while let Some(line) = soon(self.0.message()).await?? {
            lines.push(told(&line));
        }
        Ok(lines)
    }
}

fn told(line: &v1::TailResponse) -> (String, String, DeliveryStatus) {
    let event = line.event.clone().unwrap_or_default();
    let delivery = line.delivery.clone().unwrap_or_default();
    let status = delivery.status();
    (event.delivery_id, delivery.webhook, status)
}

fn of(delivery: &str, webhook: &str) -> (String, String, DeliveryStatus) {
    let status = match webhook {
        "" => DeliveryStatus::Unspecified,
        _ => DeliveryStatus::Pending,
    };
    (delivery.to_owned(), webhook.to_owned(), status)
}

/// Even numbers go to `even` and `all`, odd ones to `all`, and in the group `captured` nobody wants anything.
async fn kept() -> Result<Rig, Failure> {
    let rig = Rig::start().await?;
    let code = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    rig.webhook("code", "even", "payload.n == 0").await?;
    let captured = rig
        .group("captured", |spec| spec.capture_unmatched = true)
        .await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    for n in 0..4 {
        let body = format!("{{\"n\":{},\"of\":{n}}}", n % 2);
        stream
            .report(callback(&code, &format!("d-{n}"), body.as_bytes()))
            .await?;
    }
    stream.report(callback(&captured, "c-0", b"{}")).await?;
    Ok(rig)
}

#[tokio::test]
async fn a_webhooks_tail_has_one_line_for_each_event_it_matched() -> Result<(), Failure> {
    let rig = kept().await?;
    let all = |request: &mut v1::TailRequest| {
        request.from_start = true;
        request.no_follow = true;
        request.events = true;
    };
    let lines = Tail::start(&rig, "code/even", all).await?.lines().await?;
    assert_eq!(lines, [of("d-0", "even"), of("d-2", "even")]);
    let mut lines = Tail::start(&rig, "code", all).await?.lines().await?;
    lines.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let expected = [
        of("d-0", "all"),
        of("d-0", "even"),
        of("d-1", "all"),
        of("d-2", "all"),
        of("d-2", "even"),
        of("d-3", "all"),
    ];
    assert_eq!(lines, expected);
    Ok(())
}

#[tokio::test]
async fn events_that_nobody_matched_are_shown_when_asked_for() -> Result<(), Failure> {
    let rig = kept().await?;
    for (events, expected) in [(true, vec![of("c-0", "")]), (false, vec![])] {
        let tail = Tail::start(&rig, "captured", |request| {
            request.from_start = true;
            request.no_follow = true;
            request.events = events;
        });
        assert_eq!(tail.await?.lines().await?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_brief_tail_says_what_came_without_what_was_in_it() -> Result<(), Failure> {
    let rig = kept().await?;
    let start = |brief| {
        Tail::start(&rig, "code/even", move |request| {
            request.from_start = true;
            request.no_follow = true;
            request.brief = brief;
        })
    };
    for brief in [true, false] {
        let line = start(brief).await?.next().await?;
        assert_eq!(told(&line), of("d-0", "even"));
        let event = line.event.ok_or("an event")?;
        assert_eq!(event.body.is_empty(), brief);
        assert_eq!(line.payload_json.is_empty(), brief);
        assert!(!event.id.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_payload_is_told_decoded_where_it_is_asked_for() -> Result<(), Failure> {
    let rig = kept().await?;
    let first = Tail::start(&rig, "code/even", |request| request.from_start = true);
    let event = first.await?.next().await?.event.ok_or("an event")?;
    for payload_json in [true, false] {
        let request = v1::GetEventRequest {
            name: format!("events/{}", event.id),
            payload_json,
            ..Default::default()
        };
        let told = rig.events().get_event(request).await?.into_inner();
        let expected = if payload_json {
            r#"{"n":0,"of":0}"#
        } else {
            ""
        };
        assert_eq!(told.payload_json, expected);
        assert!(!told.payload_json_cut);
        assert_eq!(told.body, event.body);
    }
    let beginning = v1::GetEventRequest {
        name: format!("events/{}", event.id),
        payload_json: true,
        payload_json_max_bytes: 5,
        body_max_bytes: 3,
    };
    let told = rig.events().get_event(beginning).await?.into_inner();
    assert_eq!(told.payload_json, r#"{"n":"#);
    assert!(told.payload_json_cut);
    assert_eq!(told.body, event.body[..3]);
    assert_eq!(told.body_bytes as usize, event.body.len());
    Ok(())
}

#[tokio::test]
async fn a_tail_that_follows_begins_with_its_answer() -> Result<(), Failure> {
    let rig = kept().await?;
    let code = rig.get_group("code").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    // What was before is not shown, and what comes right after the answer is.
    for n in 10..20 {
        let mut tail = Tail::start(&rig, "code/all", |_| {}).await?;
        let id = format!("d-{n}");
        stream.report(callback(&code, &id, b"{}")).await?;
        assert_eq!(told(&tail.next().await?), of(&id, "all"));
    }
    let mut from_start =
        Tail::start(&rig, "code/even", |request| request.from_start = true).await?;
    assert_eq!(told(&from_start.next().await?), of("d-0", "even"));
    assert_eq!(told(&from_start.next().await?), of("d-2", "even"));
    stream.report(callback(&code, "d-20", b"{\"n\":0}")).await?;
    assert_eq!(told(&from_start.next().await?), of("d-20", "even"));
    Ok(())
}

#[tokio::test]
async fn changes_of_a_delivery_are_lines_when_asked_for() -> Result<(), Failure> {
    let rig = kept().await?;
    let mut tail = Tail::start(&rig, "code/even", |request| {
        request.from_start = true;
        request.changes = true;
    })
    .await?;
    for id in ["d-0", "d-2"] {
        assert_eq!(told(&tail.next().await?), of(id, "even"));
    }
    let mut subscriber = Subscriber::start(&rig, "code/even", 1, 0).await?;
    let lease = subscriber.next().await?;
    subscriber.ack(&lease).await?;
    let first = lease.delivery.map(|delivery| delivery.id);
    loop {
        let line = tail.next().await?.delivery.ok_or("a delivery")?;
        if Some(&line.id) == first.as_ref() && line.status() == DeliveryStatus::Delivered {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn a_tail_of_what_is_not_there_is_refused() -> Result<(), Failure> {
    let rig = kept().await?;
    for path in ["nowhere", "code/nowhere"] {
        let error = Tail::start(&rig, path, |_| {})
            .await
            .err()
            .ok_or("refused")?;
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
    Ok(())
}

const LEFT_OUT: &str = "left out";

/// The provider's delivery id.
fn told_or_left_out(line: v1::TailResponse) -> String {
    match line.left_out {
        true => LEFT_OUT.to_owned(),
        false => told(&line).0,
    }
}

#[tokio::test]
async fn a_bounded_tail_gives_each_line_once_at_its_rate_and_of_more_the_newest()
-> Result<(), Failure> {
    const MOST: usize = 20;
    let rig = kept().await?;
    let code = rig.get_group("code").await?;
    let mut tail = Tail::start(&rig, "code/all", |request| {
        request.max_per_second = MOST as u32;
        request.brief = true;
    })
    .await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let id = |n: usize| format!("f-{n:03}");
    let mut next = 0;
    // After a silence two seconds have room for it, and then one; whether it comes as they begin or end.
    for few in [2 * MOST, MOST, MOST] {
        let few: Vec<_> = (next..next + few).map(id).collect();
        next += few.len();
        let one = |id: &String| callback(&code, id, b"{}");
        stream.batch(few.iter().map(one).collect()).await?;
        let mut told = Vec::new();
        while told.len() < few.len() {
            told.push(told_or_left_out(tail.next().await?));
        }
        // Several are kept at the same time, and some of them in another order.
        told.sort();
        assert_eq!(told, few);
    }
    let many = (next..next + 10 * MOST).map(|n| callback(&code, &id(n), b"{}"));
    stream.batch(many.collect()).await?;
    stream.report(callback(&code, "newest", b"{}")).await?;
    let mut told = Vec::new();
    while told.last().is_none_or(|last| last != "newest") {
        told.push(told_or_left_out(tail.next().await?));
    }
    // What is told between two gaps is what the log has there, the newest at the end.
    let all = Tail::start(&rig, "code/all", |request| {
        request.from_start = true;
        request.no_follow = true;
    });
    let all: Vec<String> = all
        .await?
        .lines()
        .await?
        .into_iter()
        .map(|line| line.0)
        .collect();
    let mut rest = &all[..];
    for run in told
        .split(|id| id == LEFT_OUT)
        .filter(|run| !run.is_empty())
    {
        let at = rest.iter().position(|id| *id == run[0]).ok_or("in order")?;
        assert_eq!(run, &rest[at..at + run.len()], "{told:?}");
        rest = &rest[at + run.len()..];
    }
    assert!(rest.is_empty(), "{told:?}");
    let gaps = told.iter().filter(|id| *id == LEFT_OUT).count();
    assert!(gaps > 0 && told.len() - gaps < 10 * MOST, "{told:?}");
    // And it goes on.
    stream.report(callback(&code, "g", b"{}")).await?;
    assert_eq!(told_or_left_out(tail.next().await?), "g");
    Ok(())
}

#[tokio::test]
async fn a_bound_of_a_tail_that_would_leave_out_what_was_asked_for_is_refused()
-> Result<(), Failure> {
    let rig = kept().await?;
    let refused = Tail::start(&rig, "code", |request| request.max_per_second = 20);
    let error = refused.await.err().ok_or("refused")?;
    assert!(error.to_string().contains("set `brief` too"), "{error}");
    Ok(())
}

// Risk 22: a tail that nobody reads keeps no server from ending.
#[tokio::test]
async fn a_tail_ends_with_the_server() -> Result<(), Failure> {
    let mut rig = kept().await?;
    let tail = Tail::start(&rig, "code", |_| {}).await?;
    rig.stop.cancel();
    assert!(tail.lines().await?.is_empty());
    soon(&mut rig.server).await???;
    Ok(())
}

super::backends::on_cluster!(
    a_webhooks_tail_has_one_line_for_each_event_it_matched,
    events_that_nobody_matched_are_shown_when_asked_for,
    a_tail_that_follows_begins_with_its_answer,
    a_bounded_tail_gives_each_line_once_at_its_rate_and_of_more_the_newest,
    changes_of_a_delivery_are_lines_when_asked_for,
    a_tail_ends_with_the_server,
);
