//! Webhook groups: made, changed, rotated, deleted; and their secrets, which nobody gets back.

use hookplane_proto::v1;
use prost::Message;
use tonic::Code;

use super::rig::{ERP, ERP_GROUP, GROUP, NOW_SECONDS, Rig, WEBHOOK, group_of, wrong_fields};

async fn with_org() -> Rig {
    let rig = Rig::start().await;
    rig.apply("apiVersion: hookplane.dev/v1\nkind: Org\nmetadata: {name: acme}\n")
        .await
        .unwrap();
    rig
}

fn create(group: v1::WebhookGroup) -> v1::CreateWebhookGroupRequest {
    v1::CreateWebhookGroupRequest {
        parent: "orgs/acme".to_owned(),
        webhook_group: Some(group),
        validate_only: false,
    }
}

fn update(group: v1::WebhookGroup, mask: &[&str]) -> v1::UpdateWebhookGroupRequest {
    let paths: Vec<String> = mask.iter().map(|p| (*p).to_owned()).collect();
    v1::UpdateWebhookGroupRequest {
        webhook_group: Some(group),
        update_mask: (!paths.is_empty()).then_some(prost_types::FieldMask { paths }),
        validate_only: false,
    }
}

fn token(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn a_new_group_has_a_url_that_nobody_guesses_and_a_blank_template() {
    let rig = with_org().await;
    let made = rig
        .groups()
        .create_webhook_group(create(group_of(GROUP)))
        .await;
    let made = made.unwrap().into_inner();
    let status = made.status.clone().unwrap();
    // 128 bits are 32 hex digits.
    let secret = token(&status.callback_url);
    assert!(secret.len() >= 32 && secret.bytes().all(|b| b.is_ascii_hexdigit()));
    let function = &made.spec.as_ref().unwrap().function;
    let expected = format!("https://hooks.example.com/acme/github/{function}/{secret}");
    assert_eq!(status.callback_url, expected);
    let metadata = made.metadata.clone().unwrap();
    assert!(!metadata.uid.is_empty() && !metadata.etag.is_empty() && metadata.revision > 0);
    assert_eq!(metadata.create_time.unwrap().seconds, NOW_SECONDS);
    assert_eq!(rig.group("orgs/acme/groups/code").await.unwrap(), made);

    let template = rig.webhook("orgs/acme/groups/code/webhooks/template").await;
    let spec = template.unwrap().spec.unwrap();
    assert!(!spec.active && spec.events.is_empty() && spec.filter.is_empty());

    let again = rig
        .groups()
        .create_webhook_group(create(group_of(GROUP)))
        .await;
    assert_eq!(again.unwrap_err().code(), Code::AlreadyExists);
    let mut other = group_of(GROUP);
    other.metadata.as_mut().unwrap().name = "other".to_owned();
    let other = rig.groups().create_webhook_group(create(other)).await;
    let other = other.unwrap().into_inner().status.unwrap().callback_url;
    assert_ne!(token(&other), secret);
    rig.stop().await;
}

#[tokio::test]
async fn checking_alone_writes_nothing() {
    let rig = with_org().await;
    let before = rig.stored().await;
    let mut request = create(group_of(GROUP));
    request.validate_only = true;
    let answer = rig.groups().create_webhook_group(request).await.unwrap();
    assert!(answer.into_inner().metadata.unwrap().etag.is_empty());
    assert_eq!(rig.stored().await, before);
    rig.stop().await;
}

// Every answer's bytes are looked at, as they came over the wire, and so is the store.
#[tokio::test]
async fn no_answer_and_no_stored_byte_holds_a_secret() {
    let rig = with_org().await;
    let file = format!("{ERP}---\n{ERP_GROUP}---\n{GROUP}");
    let mut answers: Vec<Vec<u8>> = Vec::new();
    let mut groups: Vec<v1::WebhookGroup> = Vec::new();
    for change in rig.plan(&file).await.unwrap() {
        assert!(change.errors.is_empty(), "{change:?}");
        answers.push(change.encode_to_vec());
    }
    for answer in rig.apply(&file).await.unwrap() {
        answers.push(answer.encode_to_vec());
        if let Some(v1::manifest::Resource::WebhookGroup(group)) = answer.manifest.unwrap().resource
        {
            groups.push(group);
        }
    }
    let list = v1::ListWebhookGroupsRequest {
        parent: "orgs/-".to_owned(),
        ..Default::default()
    };
    let list = rig.groups().list_webhook_groups(list).await.unwrap();
    groups.extend(list.into_inner().webhook_groups);
    groups.push(rig.group("orgs/acme/groups/orders").await.unwrap());
    let rotated = v1::RotateCallbackUrlRequest {
        name: "orgs/acme/groups/orders".to_owned(),
        overlap_seconds: 60,
        ..Default::default()
    };
    let rotated = rig.groups().rotate_callback_url(rotated).await.unwrap();
    groups.push(rotated.into_inner());
    let mut changed = groups[0].clone();
    changed.spec.as_mut().unwrap().display_name = "changed".to_owned();
    changed.metadata.as_mut().unwrap().etag.clear();
    let changed = rig
        .groups()
        .update_webhook_group(update(changed, &[]))
        .await;
    groups.push(changed.unwrap().into_inner());
    assert_eq!(groups.len(), 7);
    for group in &groups {
        let spec = group.spec.as_ref().unwrap();
        assert!(spec.sealed_parameters.is_empty() && !spec.parameters.contains_key("verify_token"));
        assert_eq!(spec.signature_secrets.len(), 1);
        let secret = &spec.signature_secrets[0];
        assert!(secret.value.is_empty() && secret.sealed.is_empty());
        assert!(!secret.name.is_empty());
        answers.push(group.encode_to_vec());
    }
    let stored = rig.stored().await.into_iter().map(|(_, value)| value);
    for bytes in answers.into_iter().chain(stored) {
        assert!(!bytes.windows(6).any(|w| w == b"s3cret"));
    }
    rig.stop().await;
}

// What a caller calls sealed is not taken for it: bytes copied from another group would otherwise become this one's.
#[tokio::test]
async fn sealed_bytes_of_a_caller_are_not_read() {
    let rig = with_org().await;
    let mut group = group_of(GROUP);
    let secret = &mut group.spec.as_mut().unwrap().signature_secrets[0];
    secret.value.clear();
    secret.sealed = vec![1; 80].into();
    let status = rig.groups().create_webhook_group(create(group)).await;
    let status = status.unwrap_err();
    assert_eq!(wrong_fields(&status), ["spec.signatureSecrets[0].value"]);
    rig.stop().await;
}

#[tokio::test]
async fn a_field_error_names_the_field_as_the_manifest_writes_it() {
    let rig = with_org().await;
    let before = rig.stored().await;
    type Spoil = fn(&mut v1::WebhookGroupSpec);
    let cases: [(&str, Spoil); 7] = [
        ("spec.registeredEvents[1]", |s| {
            s.registered_events[1] = "no_such".into()
        }),
        ("spec.connector", |s| s.connector = "githup".into()),
        ("spec.function", |s| s.function = "nothing".into()),
        ("spec.pool", |s| s.pool = "Not A Pool".into()),
        ("spec.signatureSecrets", |s| s.signature_secrets.clear()),
        ("spec.dedupWindowDays", |s| s.dedup_window_days = 91),
        ("spec.maxBodyBytes", |s| s.max_body_bytes = Some(1 << 40)),
    ];
    for (field, spoil) in cases {
        let mut group = group_of(GROUP);
        spoil(group.spec.as_mut().unwrap());
        let status = rig.groups().create_webhook_group(create(group)).await;
        let status = status.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert_eq!(wrong_fields(&status), [field], "{status}");
        assert!(status.message().contains(field), "{status}");
        assert!(!status.message().contains("s3cret"), "{status}");
    }
    assert_eq!(rig.stored().await, before);
    rig.stop().await;
}

#[tokio::test]
async fn an_update_changes_what_its_mask_names_and_nothing_else() {
    let rig = with_org().await;
    rig.apply(GROUP).await.unwrap();
    let old = rig.group("orgs/acme/groups/code").await.unwrap();
    let mut group = old.clone();
    let spec = group.spec.as_mut().unwrap();
    spec.display_name = "Code".to_owned();
    spec.registered_events.clear();
    spec.signature_secrets.clear();
    let answer = rig
        .groups()
        .update_webhook_group(update(group.clone(), &["display_name"]))
        .await;
    let new = answer.unwrap().into_inner();
    let (old_spec, new_spec) = (old.spec.clone().unwrap(), new.spec.clone().unwrap());
    assert_eq!(new_spec.display_name, "Code");
    assert_eq!(new_spec.registered_events, old_spec.registered_events);
    assert_eq!(new_spec.signature_secrets, old_spec.signature_secrets);
    assert_eq!(
        new.metadata.as_ref().unwrap().uid,
        old.metadata.as_ref().unwrap().uid
    );
    assert_eq!(
        new.status.unwrap().callback_url,
        old.status.unwrap().callback_url
    );
    // The etag is still that of before.
    let stale = rig
        .groups()
        .update_webhook_group(update(group.clone(), &["disabled"]))
        .await;
    assert_eq!(stale.unwrap_err().code(), Code::Aborted);
    group.metadata.as_mut().unwrap().etag.clear();
    let unknown = rig
        .groups()
        .update_webhook_group(update(group.clone(), &["status"]))
        .await;
    assert_eq!(wrong_fields(&unknown.unwrap_err()), ["update_mask"]);
    for (field, mask, spoil) in [
        (
            "spec.connector",
            "connector",
            (|s| s.connector = "stripe".into()) as fn(&mut v1::WebhookGroupSpec),
        ),
        ("spec.function", "function", |s| s.function = "app".into()),
    ] {
        let mut group = group.clone();
        spoil(group.spec.as_mut().unwrap());
        let status = rig
            .groups()
            .update_webhook_group(update(group, &[mask]))
            .await;
        let status = status.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(
            ["spec.connector", "spec.function"].contains(&&*wrong_fields(&status)[0]),
            "{field}: {status}"
        );
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_a_webhook_still_asks_for_stays_registered() {
    let rig = with_org().await;
    rig.apply(&format!("{GROUP}---\n{WEBHOOK}")).await.unwrap();
    let mut group = rig.group("orgs/acme/groups/code").await.unwrap();
    group.spec.as_mut().unwrap().registered_events = vec!["pull_request".to_owned()];
    let status = rig.groups().update_webhook_group(update(group, &[])).await;
    let status = status.unwrap_err();
    assert_eq!(wrong_fields(&status), ["spec.registeredEvents"]);
    assert!(status.message().contains("pushes"), "{status}");
    rig.stop().await;
}

#[tokio::test]
async fn a_rotated_url_goes_on_for_the_overlap_and_no_longer() {
    let rig = with_org().await;
    rig.apply(GROUP).await.unwrap();
    let name = "orgs/acme/groups/code".to_owned();
    let first = rig.group(&name).await.unwrap();
    let rotate = |overlap_seconds, etag: &str| v1::RotateCallbackUrlRequest {
        name: name.clone(),
        overlap_seconds,
        etag: etag.to_owned(),
    };
    let etag = first.metadata.as_ref().unwrap().etag.clone();
    let second = rig.groups().rotate_callback_url(rotate(3600, &etag)).await;
    let second = second.unwrap().into_inner().status.unwrap();
    let first = first.status.unwrap().callback_url;
    assert_ne!(second.callback_url, first);
    assert_eq!(second.retiring_urls.len(), 1);
    assert_eq!(second.retiring_urls[0].url, first);
    let expires = second.retiring_urls[0].expire_time.unwrap().seconds;
    assert_eq!(expires, NOW_SECONDS + 3600);

    let stale = rig.groups().rotate_callback_url(rotate(3600, &etag)).await;
    assert_eq!(stale.unwrap_err().code(), Code::Aborted);
    let long = rig.groups().rotate_callback_url(rotate(u32::MAX, "")).await;
    assert_eq!(wrong_fields(&long.unwrap_err()), ["overlap_seconds"]);

    let third = rig.groups().rotate_callback_url(rotate(0, "")).await;
    let third = third.unwrap().into_inner().status.unwrap();
    // Without overlap the second is gone at once; the first still has its hour.
    assert_eq!(third.retiring_urls, second.retiring_urls);
    rig.clock.advance(std::time::Duration::from_secs(3601));
    let fourth = rig.groups().rotate_callback_url(rotate(60, "")).await;
    let fourth = fourth.unwrap().into_inner().status.unwrap();
    assert_eq!(fourth.retiring_urls.len(), 1);
    assert_eq!(fourth.retiring_urls[0].url, third.callback_url);
    for _ in 0..7 {
        let more = rig.groups().rotate_callback_url(rotate(60, "")).await;
        more.unwrap();
    }
    let full = rig.groups().rotate_callback_url(rotate(60, "")).await;
    assert_eq!(full.unwrap_err().code(), Code::FailedPrecondition);
    rig.stop().await;
}

#[tokio::test]
async fn a_group_with_more_webhooks_than_one_transaction_takes_is_deleted_whole() {
    let rig = with_org().await;
    rig.apply(GROUP).await.unwrap();
    let others = GROUP.replace("name: code", "name: code-2");
    rig.apply(&others).await.unwrap();
    for n in 0..150 {
        let request = v1::CloneWebhookRequest {
            name: "orgs/acme/groups/code/webhooks/template".to_owned(),
            new_name: format!("hook-{n}"),
            ..Default::default()
        };
        rig.webhooks().clone_webhook(request).await.unwrap();
    }
    let request = v1::DeleteWebhookGroupRequest {
        name: "orgs/acme/groups/code".to_owned(),
        etag: "1".to_owned(),
        discard_pending: true,
        ..Default::default()
    };
    let stale = rig.groups().delete_webhook_group(request.clone()).await;
    assert_eq!(stale.unwrap_err().code(), Code::Aborted);
    let request = v1::DeleteWebhookGroupRequest {
        etag: String::new(),
        ..request
    };
    // Risk 32: a removal of most of the configuration by mistake.
    let before = rig.stored().await;
    let refused = rig.groups().delete_webhook_group(request.clone()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("151 of the 152"), "{refused}");
    assert_eq!(rig.stored().await, before);
    let request = v1::DeleteWebhookGroupRequest {
        confirm_large: true,
        ..request
    };
    rig.groups()
        .delete_webhook_group(request.clone())
        .await
        .unwrap();
    let again = rig.groups().delete_webhook_group(request).await;
    assert_eq!(again.unwrap_err().code(), Code::NotFound);
    let left: Vec<String> = rig.stored().await.into_iter().map(|(key, _)| key).collect();
    assert!(
        !left
            .iter()
            .any(|key| key.contains("/acme/code/") || key.ends_with("/acme/code"))
    );
    assert!(
        left.contains(&"v1/webhooks/acme/code-2/template".to_owned()),
        "{left:?}"
    );
    rig.stop().await;
}
