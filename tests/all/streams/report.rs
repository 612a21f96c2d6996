//! The report stream, with listeners that a test scripts.

use std::time::Duration;

use bytes::Bytes;
use hookplane_control_plane::server::STREAM_AGE;
use hookplane_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};
use v1::report_request::Kind;
use v1::report_response::Kind as Said;
use v1::report_service_client::ReportServiceClient;
use v1::{AnswerKind, EventFlag};

use super::replicas::Replica;
use super::rig::{Rig, api, request_id, revision, uid};
use crate::fake_control_plane::{Failure, eventually, soon};

/// A listener's side of the stream.
pub(super) struct Reporting {
    to: mpsc::Sender<v1::ReportRequest>,
    from: Streaming<v1::ReportResponse>,
    pub(super) welcome: v1::ReportWelcome,
    next: u64,
}

impl Reporting {
    pub(super) async fn connect(rig: &Rig, pool: &str) -> Result<Self, Failure> {
        Self::connect_as(rig, pool, "1").await
    }

    async fn connect_as(rig: &Rig, pool: &str, boot: &str) -> Result<Self, Failure> {
        Self::connect_to(&rig.url, pool, boot).await
    }

    pub(super) async fn connect_to(url: &str, pool: &str, boot: &str) -> Result<Self, Failure> {
        let (to, requests) = mpsc::channel(16);
        let hello = v1::ReportHello {
            listener: "scripted".to_owned(),
            boot: boot.to_owned(),
            pool: pool.to_owned(),
        };
        let hello = v1::ReportRequest {
            kind: Some(Kind::Hello(hello)),
        };
        soon(to.send(hello)).await??;
        let mut from =
            soon(ReportServiceClient::new(api(url)).report(ReceiverStream::new(requests)))
                .await??
                .into_inner();
        let first = soon(from.message()).await??.and_then(|said| said.kind);
        let Some(Said::Welcome(welcome)) = first else {
            return Err(format!("not welcome: {first:?}").into());
        };
        Ok(Self {
            to,
            from,
            welcome,
            next: 0,
        })
    }

    pub(super) async fn say(&self, kind: Kind) -> Result<(), Failure> {
        Ok(soon(self.to.send(v1::ReportRequest { kind: Some(kind) })).await??)
    }

    /// What is said next, but for news of the plan and of credit.
    async fn next(&mut self) -> Result<Option<Said>, Failure> {
        loop {
            let said = soon(self.from.message()).await??;
            match said.and_then(|said| said.kind) {
                Some(Said::Plan(_) | Said::Credit(_)) => {}
                said => return Ok(said),
            }
        }
    }

    /// Reports several at once.
    pub(super) async fn batch(
        &mut self,
        callbacks: Vec<v1::ReportedCallback>,
    ) -> Result<Vec<v1::CallbackAnswer>, Failure> {
        self.next += 1;
        let count = callbacks.len();
        let batch_id = self.next;
        self.say(Kind::Batch(v1::ReportBatch {
            batch_id,
            callbacks,
        }))
        .await?;
        match self.next().await? {
            Some(Said::Batch(answer)) if answer.batch_id == batch_id => {
                assert_eq!(answer.callbacks.len(), count);
                Ok(answer.callbacks)
            }
            other => Err(format!("not the answer: {other:?}").into()),
        }
    }

    /// Reports one.
    pub(super) async fn report(
        &mut self,
        callback: v1::ReportedCallback,
    ) -> Result<v1::CallbackAnswer, Failure> {
        let mut answers = self.batch(vec![callback]).await?;
        answers.pop().ok_or_else(|| "an answer".into())
    }
}

/// A genuine callback of one event, matched by a plan that is older than everything: so the control plane matches.
pub(super) fn callback(
    group: &v1::WebhookGroup,
    delivery: &str,
    body: &[u8],
) -> v1::ReportedCallback {
    v1::ReportedCallback {
        request_id: request_id(),
        group_uid: uid(&group.metadata),
        plan_revision: 0,
        method: "POST".to_owned(),
        content_type: "application/json".to_owned(),
        headers: [("x-event".to_owned(), "order.paid".to_owned())].into(),
        body: Bytes::copy_from_slice(body),
        events: vec![v1::ReportedEvent {
            r#type: "order.paid".to_owned(),
            delivery_id: delivery.to_owned(),
            unsigned_values: vec!["delivery_id".to_owned(), "type".to_owned()],
            format: v1::PayloadFormat::Json.into(),
            registered: true,
            ..Default::default()
        }],
        budget_milliseconds: 10_000,
        ..Default::default()
    }
}

/// The same as several events, one per item.
pub(super) fn split(
    mut callback: v1::ReportedCallback,
    items: &[(&str, &[u8])],
) -> v1::ReportedCallback {
    let of = callback.events.remove(0);
    callback.events = (0..)
        .zip(items)
        .map(|(index, (delivery, item))| v1::ReportedEvent {
            index,
            in_batch: true,
            delivery_id: (*delivery).to_owned(),
            item: Bytes::copy_from_slice(item),
            ..of.clone()
        })
        .collect();
    callback
}

pub(super) fn has(event: &v1::Event, flag: EventFlag) -> bool {
    event.flags.contains(&i32::from(flag))
}

#[tokio::test]
async fn what_nobody_wants_is_not_kept_unless_the_group_captures_it() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "large", "payload.total > 100").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let small = stream
        .report(callback(&group, "d-1", br#"{"total":1}"#))
        .await?;
    assert_eq!(small.kind(), AnswerKind::NotKept);
    assert_eq!(small.event_id, "");
    assert!(rig.events_of("code").await?.is_empty());

    rig.update_group("code", |spec| spec.capture_unmatched = true)
        .await?;
    let small = stream
        .report(callback(&group, "d-2", br#"{"total":1}"#))
        .await?;
    assert_eq!(small.kind(), AnswerKind::Kept);
    let event = &rig.events_of("code").await?[0];
    assert!(has(event, EventFlag::Unmatched));
    let verdict = event.verdicts.first().ok_or("a verdict")?;
    assert_eq!(
        (verdict.webhook.as_str(), verdict.matched),
        ("large", false)
    );
    assert!(
        verdict.reason.contains("payload.total > 100"),
        "{}",
        verdict.reason
    );
    Ok(())
}

// Promise 8: a report is accepted only for groups of that listener's pool.
#[tokio::test]
async fn a_report_for_what_is_not_the_listeners_is_refused() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let disabled = rig.group("off", |spec| spec.disabled = true).await?;
    let mut of_b = Reporting::connect(&rig, "b").await?;
    let refused = of_b.report(callback(&group, "d-1", b"{}")).await?;
    assert_eq!(refused.kind(), AnswerKind::Refused);
    let mut of_default = Reporting::connect(&rig, "").await?;
    let mut unknown = callback(&group, "d-1", b"{}");
    unknown.group_uid = "nobody's".to_owned();
    let mut short_id = callback(&group, "d-1", b"{}");
    short_id.request_id = Bytes::from_static(b"short");
    let mut empty = callback(&group, "d-1", b"{}");
    empty.events.clear();
    let answers = of_default
        .batch(vec![
            unknown,
            callback(&disabled, "d-1", b"{}"),
            short_id,
            empty,
            callback(&group, "d-1", b"{}"),
        ])
        .await?;
    let kinds: Vec<AnswerKind> = answers.iter().map(v1::CallbackAnswer::kind).collect();
    assert_eq!(kinds[..4], [AnswerKind::Refused; 4]);
    assert_eq!(
        kinds[4],
        AnswerKind::Kept,
        "one that is wrong spoils no other"
    );
    assert_eq!(
        refused.reason, answers[0].reason,
        "which of the two isn't told"
    );
    Ok(())
}

// Risk 45: a stale plan answers 2xx and drops what a new webhook wanted.
#[tokio::test]
async fn a_webhook_made_a_second_ago_misses_nothing() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    for n in 0..20 {
        // Matched before the webhook was there: by nobody.
        let mut reported = callback(&group, &format!("d-{n}"), br#"{"n":1}"#);
        reported.plan_revision = revision(&group.metadata);
        let webhook = rig
            .webhook("code", &format!("new-{n}"), "payload.n == 1")
            .await?;
        let kept = stream.report(reported).await?;
        assert_eq!(kept.kind(), AnswerKind::Kept, "{n}: {}", kept.reason);
        let mut current = callback(&group, "unmatched", b"{}");
        current.plan_revision = revision(&webhook.metadata);
        let not_kept = stream.report(current).await?;
        assert_eq!(
            not_kept.kind(),
            AnswerKind::NotKept,
            "a current plan's word counts"
        );
        assert_eq!(rig.deliveries(&format!("code/new-{n}")).await?.len(), 1);
    }
    Ok(())
}

// Risk 45: one replica has told of a change that another hasn't seen; that one's "nobody wants it" is of no worth.
#[tokio::test]
async fn a_replica_behind_what_the_listener_knows_decides_nothing() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let mut reported = callback(&group, "d-1", b"{}");
    reported.plan_revision = revision(&group.metadata);
    assert_eq!(
        stream.report(reported.clone()).await?.kind(),
        AnswerKind::NotKept
    );
    reported.known_revision = u64::MAX;
    reported.budget_milliseconds = 200;
    assert_eq!(
        stream.report(reported).await?.kind(),
        AnswerKind::RetryLater
    );
    Ok(())
}

// Risk 45: and one deleted a second ago gets nothing.
#[tokio::test]
async fn a_match_of_a_deleted_webhook_makes_no_delivery() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    let gone = rig.webhook("code", "gone", "").await?;
    rig.webhook("code", "stays", "").await?;
    rig.delete_webhook("code", "gone").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let mut reported = callback(&group, "d-1", b"{}");
    reported.plan_revision = revision(&gone.metadata);
    reported.events[0].matches = vec![v1::ReportedMatch {
        webhook_uid: uid(&gone.metadata),
        matched: true,
        ..Default::default()
    }];
    assert_eq!(stream.report(reported).await?.kind(), AnswerKind::Kept);
    let names: Vec<String> = rig
        .deliveries("code")
        .await?
        .into_iter()
        .map(|delivery| delivery.webhook)
        .collect();
    assert_eq!(names, ["stays"]);
    Ok(())
}

#[tokio::test]
async fn a_large_batch_is_answered_in_its_order() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "even", "payload.n == 0").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let body = |n: u32| format!("{{\"n\":{},\"of\":{n}}}", n % 2);
    let callbacks = (0..256)
        .map(|n| callback(&group, &format!("d-{n}"), body(n).as_bytes()))
        .collect();
    let answers = stream.batch(callbacks).await?;
    for (n, answer) in answers.iter().enumerate() {
        let expected = if n % 2 == 0 {
            AnswerKind::Kept
        } else {
            AnswerKind::NotKept
        };
        assert_eq!(answer.kind(), expected, "{n}: {}", answer.reason);
    }
    Ok(())
}

#[tokio::test]
async fn what_listeners_count_adds_up_in_the_groups_status() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    let other = rig
        .group("other", |spec| spec.pool = "b".to_owned())
        .await?;
    let streams = [
        Reporting::connect_as(&rig, "", "run-1").await?,
        Reporting::connect_as(&rig, "", "run-2").await?,
    ];
    let counted = |group: &v1::WebhookGroup| v1::GroupCounters {
        group_uid: uid(&group.metadata),
        refused: 1,
        not_registered: 2,
        not_matched: 3,
        duplicates: 1,
        secret_uses: [("secret-1".to_owned(), 4)].into(),
    };
    for stream in &streams {
        let groups = vec![counted(&other), counted(&group)];
        let sequence = 1;
        let counters = v1::ReportCounters { groups, sequence };
        // Again, as after a lost stream: the same run, the same number.
        stream.say(Kind::Counters(counters.clone())).await?;
        stream.say(Kind::Counters(counters)).await?;
    }
    let of = async |name: &str| -> Result<v1::GroupCounts, Failure> {
        let status = rig.get_group(name).await?.status;
        Ok(status.and_then(|status| status.counts).unwrap_or_default())
    };
    let counts =
        eventually(async || Ok(Some(of("code").await?).filter(|c| c.refused == 2))).await?;
    assert_eq!((counts.not_registered, counts.not_matched), (4, 6));
    assert_eq!(counts.duplicates, 2);
    assert_eq!(counts.secret_uses.get("secret-1"), Some(&8));
    assert_eq!(
        of("other").await?,
        v1::GroupCounts::default(),
        "of another pool"
    );
    Ok(())
}

#[tokio::test]
async fn refusals_are_seen_in_their_scope_and_only_for_the_listeners_pool() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let code = uid(&rig.group("code", |_| {}).await?.metadata);
    let other = rig
        .group("other", |spec| spec.pool = "b".to_owned())
        .await?;
    let other = uid(&other.metadata);
    let stream = Reporting::connect(&rig, "").await?;
    // What a listener calls it counts for nothing: the uid tells.
    let refusal = |uid: &str| v1::Refusal {
        org: "acme".to_owned(),
        group: "other".to_owned(),
        group_uid: uid.to_owned(),
        status: 401,
        clause: "signature".to_owned(),
        listener: "made up".to_owned(),
        ..Default::default()
    };
    stream
        .say(Kind::Refusals(v1::ReportRefusals {
            refusals: vec![
                refusal(&other),
                refusal("nowhere"),
                refusal(""),
                refusal(&code),
            ],
            not_kept: vec![refusal(&other), refusal("")],
            codes: Vec::new(),
            sequence: 0,
        }))
        .await?;
    let list = async |parent: &str| -> Result<Vec<v1::Refusal>, Failure> {
        Ok(rig
            .events()
            .list_refusals(v1::ListRefusalsRequest {
                parent: parent.to_owned(),
                page_size: 0,
                not_kept: false,
            })
            .await?
            .into_inner()
            .refusals)
    };
    let seen = eventually(async || {
        Ok(Some(list("orgs/acme/groups/code").await?).filter(|seen| !seen.is_empty()))
    })
    .await?;
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].listener, "scripted",
        "who says it is told by the stream"
    );
    assert_eq!(list("orgs/acme").await?.len(), 1);
    assert_eq!(list("").await?.len(), 2);
    assert!(list("orgs/acme/groups/other").await?.is_empty());
    let not_kept = v1::ListRefusalsRequest {
        not_kept: true,
        ..Default::default()
    };
    let not_kept = rig.events().list_refusals(not_kept).await?.into_inner();
    assert!(
        not_kept.refusals.is_empty(),
        "of another pool, and of no group"
    );
    let unknown = list("orgs/acme/groups/nowhere").await;
    assert!(unknown.is_err_and(|error| error.to_string().contains("nowhere")));
    Ok(())
}

#[tokio::test]
async fn a_stream_that_does_not_begin_with_hello_is_ended() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let (to, requests) = mpsc::channel(1);
    let batch = v1::ReportRequest {
        kind: Some(Kind::Batch(v1::ReportBatch::default())),
    };
    to.send(batch).await?;
    let mut from = soon(ReportServiceClient::new(rig.api()).report(ReceiverStream::new(requests)))
        .await??
        .into_inner();
    let status = soon(from.message()).await?.err().ok_or("it was taken")?;
    assert_eq!(status.code(), Code::InvalidArgument);
    Ok(())
}

/// A control plane that wants a listener to move says so first, takes what comes until it has moved, and answers all of it.
async fn drains(
    rig: &Rig,
    group: &v1::WebhookGroup,
    replica: &Replica,
    end: bool,
) -> Result<(), Failure> {
    let mut stream = Reporting::connect_to(&replica.proxy.url(), "", "1").await?;
    if end {
        replica.stop();
    }
    let said = stream.next().await?;
    assert!(matches!(said, Some(Said::Drain(_))), "{said:?}");
    let delivery = format!("d-{}", replica.proxy.address.port());
    let answer = stream.report(callback(group, &delivery, b"{}")).await?;
    assert_eq!(answer.kind(), AnswerKind::Kept, "{}", answer.reason);
    let Reporting { to, mut from, .. } = stream;
    drop(to);
    while soon(from.message()).await??.is_some() {}
    assert!(
        rig.events_of("code")
            .await?
            .iter()
            .any(|e| e.delivery_id == delivery)
    );
    Ok(())
}

// Risk 21: age alone never ends a stream, nor does the server's end: both are said first, and cut nothing.
#[tokio::test]
async fn a_report_stream_is_told_to_drain_and_answered_to_its_end() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let short = Duration::from_millis(1)..Duration::from_millis(2);
    let of_age = Replica::start(&rig, short).await?;
    drains(&rig, &group, &of_age, false).await?;
    let young = Replica::start(&rig, STREAM_AGE).await?;
    drains(&rig, &group, &young, true).await
}

super::backends::on_cluster!(
    what_nobody_wants_is_not_kept_unless_the_group_captures_it,
    a_report_for_what_is_not_the_listeners_is_refused,
    a_webhook_made_a_second_ago_misses_nothing,
    a_replica_behind_what_the_listener_knows_decides_nothing,
    a_match_of_a_deleted_webhook_makes_no_delivery,
    a_large_batch_is_answered_in_its_order,
    what_listeners_count_adds_up_in_the_groups_status,
    refusals_are_seen_in_their_scope_and_only_for_the_listeners_pool,
    a_report_stream_is_told_to_drain_and_answered_to_its_end,
);
