//! What a webhook would make of an event, told without making it.

use hookplane_proto::v1;
use tonic::Code;
use v1::preview_service_client::PreviewServiceClient;

use super::report::{Reporting, callback};
use super::rig::{Rig, metadata};
use crate::fake_control_plane::Failure;

/// Of an order: its total and two lines.
pub(super) const ORDER: &[u8] =
    br#"{"id":"o-1","total":12.50,"email":"ada@example.com","lines":[{"sku":"a"},{"sku":"b"}]}"#;

pub(super) fn field(from: &str) -> v1::FieldMapping {
    v1::FieldMapping {
        from: from.to_owned(),
        ..Default::default()
    }
}

/// An order by its id, with its total and its lines.
pub(super) fn mapping() -> v1::Mapping {
    let total = v1::FieldMapping {
        r#type: v1::FieldType::Decimal.into(),
        on_missing: v1::OnMissing::Fail.into(),
        ..field("payload.total")
    };
    let lines = v1::ChildMapping {
        object: "Line__c".to_owned(),
        for_each: "payload.lines".to_owned(),
        parent_field: "Order__r".to_owned(),
        fields: [("Sku__c".to_owned(), field("item.sku"))].into(),
        ..Default::default()
    };
    v1::Mapping {
        active: true,
        base: Some(v1::RecordMapping {
            object: "Order__c".to_owned(),
            operation: v1::RecordOperation::Upsert.into(),
            key: "Id__c".to_owned(),
            fields: [
                ("Id__c".to_owned(), field("payload.id")),
                ("Total__c".to_owned(), total),
            ]
            .into(),
            children: vec![lines],
            ..Default::default()
        }),
    }
}

/// `code/all` as it would be saved, with something changed.
pub(super) fn as_saved(
    webhook: &v1::Webhook,
    set: impl FnOnce(&mut v1::WebhookSpec),
) -> v1::Webhook {
    let mut webhook = webhook.clone();
    set(webhook.spec.get_or_insert_default());
    webhook
}

pub(super) async fn preview(
    rig: &Rig,
    request: v1::PreviewRequest,
) -> Result<v1::PreviewResponse, Failure> {
    let mut client = PreviewServiceClient::new(rig.api());
    Ok(client.preview(request).await?.into_inner())
}

async fn refused(rig: &Rig, request: v1::PreviewRequest) -> Result<tonic::Status, Failure> {
    let mut client = PreviewServiceClient::new(rig.api());
    let answer = client.preview(request).await;
    Ok(answer.err().ok_or("it was previewed")?)
}

/// The stored `code/all`.
pub(super) fn stored() -> Option<v1::Webhook> {
    Some(v1::Webhook {
        metadata: metadata("all", "code"),
        ..Default::default()
    })
}

/// With `code/all`, and an order that it got. Says its event.
async fn with_an_order() -> Result<(Rig, v1::Webhook, String), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    let webhook = rig.webhook("code", "all", "").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let answer = stream.report(callback(&group, "d-1", ORDER)).await?;
    Ok((rig, webhook, answer.event_id))
}

#[tokio::test]
async fn a_recorded_event_is_tried_with_the_stored_webhook_and_with_one_that_is_not_saved()
-> Result<(), Failure> {
    let (rig, webhook, event_id) = with_an_order().await?;
    let as_it_is = preview(
        &rig,
        v1::PreviewRequest {
            webhook: stored(),
            event_id: event_id.clone(),
            ..Default::default()
        },
    )
    .await?;
    assert!(as_it_is.matched && !as_it_is.held, "{as_it_is:?}");
    assert_eq!(as_it_is.event_id, event_id);
    assert_eq!(as_it_is.event_type, "order.paid");
    assert_eq!(as_it_is.records_json, "");
    let large = as_saved(&webhook, |spec| spec.filter = "payload.total > 100".into());
    let as_it_would_be = preview(
        &rig,
        v1::PreviewRequest {
            webhook: Some(large),
            event_id,
            ..Default::default()
        },
    )
    .await?;
    assert!(!as_it_would_be.matched);
    let reason = &as_it_would_be.reason;
    assert!(reason.contains("payload.total > 100"), "{reason}");
    // It was no save.
    let now = rig.update_webhook("code", "all", |_| {}).await?;
    assert_eq!(now.spec.unwrap_or_default().filter, "");
    Ok(())
}

#[tokio::test]
async fn a_mapping_is_shown_with_the_records_it_makes_or_the_fields_it_finds_no_value_for()
-> Result<(), Failure> {
    let (rig, webhook, event_id) = with_an_order().await?;
    let mapped = as_saved(&webhook, |spec| spec.mapping = Some(mapping()));
    let made = preview(
        &rig,
        v1::PreviewRequest {
            webhook: Some(mapped.clone()),
            event_id,
            ..Default::default()
        },
    )
    .await?;
    assert!(
        made.matched && !made.held && made.problems.is_empty(),
        "{made:?}"
    );
    // As exactly as it came.
    assert!(
        made.records_json.contains(r#""Total__c":12.50"#),
        "{made:?}"
    );
    assert_eq!(made.records_json.matches("Line__c").count(), 2);
    let held = preview(
        &rig,
        v1::PreviewRequest {
            webhook: Some(mapped),
            payload_json: r#"{"id":"o-2"}"#.to_owned(),
            event_type: "order.paid".to_owned(),
            ..Default::default()
        },
    )
    .await?;
    assert!(held.matched && held.held, "{held:?}");
    // What there is beside the problem, and no request: nothing of it is delivered.
    assert!(held.records_json.contains(r#""Id__c":"o-2""#), "{held:?}");
    assert!(held.requests.is_empty(), "{held:?}");
    let problem = held.problems.first().ok_or("a problem")?;
    assert_eq!(problem.field, "base.fields.Total__c");
    assert!(held.reason.contains(&problem.reason), "{held:?}");
    Ok(())
}

// Nothing is sent, and no secret is told: not those given, not those stored.
#[tokio::test]
async fn each_destinations_request_is_shown_without_its_secrets_and_not_sent() -> Result<(), Failure>
{
    let (rig, webhook, event_id) = with_an_order().await?;
    let target = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/in", target.local_addr()?);
    let secret = |value: &str| {
        Some(v1::Secret {
            value: value.to_owned(),
            ..Default::default()
        })
    };
    let signing = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let pushed = as_saved(&webhook, |spec| {
        spec.active = false;
        spec.mapping = Some(mapping());
        spec.order_by = "payload.id".into();
        spec.destinations.push(v1::WebhookDestination {
            http: Some(v1::HttpTarget {
                url: url.clone(),
                signing_secret: secret(signing),
                headers: [("X-Key".to_owned(), secret("s3cret-key").unwrap_or_default())].into(),
            }),
            ..Default::default()
        });
    });
    let of = |webhook: v1::Webhook| v1::PreviewRequest {
        webhook: Some(webhook),
        event_id: event_id.clone(),
        ..Default::default()
    };
    // Of the stored one, too, which keeps its secrets.
    let saved = rig
        .update_webhook("code", "all", |spec| {
            spec.clone_from(&pushed.spec.clone().unwrap_or_default());
        })
        .await?;
    let again = as_saved(&saved, |spec| spec.label = "Again".into());
    for webhook in [pushed, stored().unwrap_or_default(), again] {
        let shown = preview(&rig, of(webhook)).await?;
        assert!(!shown.matched && !shown.held, "{shown:?}");
        assert_eq!(shown.order_key, "o-1");
        let [request] = shown.requests.as_slice() else {
            return Err(format!("one request: {shown:?}").into());
        };
        assert_eq!(
            (request.destination.as_str(), request.method.as_str()),
            ("http", "POST")
        );
        assert_eq!(
            (request.url.as_str(), request.not_made.as_str()),
            (url.as_str(), "")
        );
        assert!(request.body.contains(r#""Total__c":12.50"#), "{request:?}");
        assert!(request.headers.contains_key("webhook-id"), "{request:?}");
        assert_eq!(
            request.headers.get("x-key").map(String::as_str),
            Some("***")
        );
        let text = format!("{shown:?}");
        assert!(
            !text.contains("s3cret-key") && !text.contains(&signing[6..]),
            "{text}"
        );
    }
    let nobody_came = tokio::select! {
        biased;
        _ = target.accept() => false,
        () = std::future::ready(()) => true,
    };
    assert!(nobody_came);
    // A name that nothing has yet is told, and the others are shown.
    let dangling = as_saved(&saved, |spec| {
        spec.destinations.push(v1::WebhookDestination {
            r#ref: "gone".into(),
            ..Default::default()
        });
    });
    let status = refused(&rig, of(dangling)).await?;
    assert!(status.message().contains("gone"), "{status:?}");
    Ok(())
}

// Promise 8: what another group or org has recorded is not there.
#[tokio::test]
async fn an_event_of_another_group_or_org_is_not_found() -> Result<(), Failure> {
    let (rig, _, event_id) = with_an_order().await?;
    let other = rig.group("other", |_| {}).await?;
    rig.webhook("other", "all", "").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let foreign = stream
        .report(callback(&other, "d-1", ORDER))
        .await?
        .event_id;
    for id in [foreign, "0192f1d2-0000-7000-8000-000000000000".to_owned()] {
        let request = v1::PreviewRequest {
            webhook: stored(),
            event_id: id,
            ..Default::default()
        };
        assert_eq!(refused(&rig, request).await?.code(), Code::NotFound);
    }
    // The same id, in its own group.
    let own = v1::PreviewRequest {
        webhook: stored(),
        event_id,
        ..Default::default()
    };
    assert!(preview(&rig, own).await?.matched);
    Ok(())
}

#[tokio::test]
async fn without_a_choice_the_newest_event_that_fits_is_taken_and_else_a_sample()
-> Result<(), Failure> {
    let (rig, webhook, event_id) = with_an_order().await?;
    let group = rig.get_group("code").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let newer = stream
        .report(callback(&group, "d-2", br#"{"total":1}"#))
        .await?;
    let of = |filter: &str, active| {
        let webhook = as_saved(&webhook, |spec| {
            (spec.filter, spec.active) = (filter.to_owned(), active);
        });
        let request = v1::PreviewRequest {
            webhook: Some(webhook),
            ..Default::default()
        };
        preview(&rig, request)
    };
    assert_eq!(of("", true).await?.event_id, newer.event_id);
    assert_eq!(of("payload.total > 2", true).await?.event_id, event_id);
    // What is to be switched on is looked at before that.
    let inactive = of("payload.total > 2", false).await?;
    assert_eq!((inactive.event_id, inactive.matched), (event_id, false));
    let sample = of("payload.sample == true", true).await?;
    assert_eq!((sample.event_id.as_str(), sample.matched), ("", true));
    assert_eq!(sample.sample, "order.paid");
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_previewed_is_refused_with_the_field() -> Result<(), Failure> {
    let (rig, webhook, event_id) = with_an_order().await?;
    let large = "x".repeat(1024 * 1024);
    type Set = fn(&mut v1::PreviewRequest);
    let cases: [(&str, Set); 4] = [
        ("sample", |r| r.sample = "no.such".into()),
        ("payload_json", |r| r.payload_json = "{".into()),
        ("event_id", |r| {
            (r.sample, r.event_id) = ("a".into(), "b".into())
        }),
        ("spec.filter", |r| {
            let webhook = r.webhook.get_or_insert_default();
            webhook.spec.get_or_insert_default().filter = "payload.".into();
        }),
    ];
    for (field, set) in cases {
        let mut request = v1::PreviewRequest {
            webhook: Some(webhook.clone()),
            ..Default::default()
        };
        set(&mut request);
        let status = refused(&rig, request).await?;
        assert_eq!(status.code(), Code::InvalidArgument, "{field}");
        assert!(status.message().starts_with(field), "{}", status.message());
    }
    let too_large = v1::PreviewRequest {
        webhook: Some(webhook.clone()),
        payload_json: format!("\"{large}\""),
        ..Default::default()
    };
    let status = refused(&rig, too_large).await?;
    assert!(status.message().contains("larger than"), "{status:?}");
    let nobody = v1::PreviewRequest {
        webhook: Some(v1::Webhook {
            metadata: metadata("nobody", "code"),
            ..Default::default()
        }),
        event_id,
        ..Default::default()
    };
    assert_eq!(refused(&rig, nobody).await?.code(), Code::NotFound);
    Ok(())
}

super::backends::on_cluster!(
    a_recorded_event_is_tried_with_the_stored_webhook_and_with_one_that_is_not_saved,
    a_mapping_is_shown_with_the_records_it_makes_or_the_fields_it_finds_no_value_for,
    an_event_of_another_group_or_org_is_not_found,
    without_a_choice_the_newest_event_that_fits_is_taken_and_else_a_sample,
);
