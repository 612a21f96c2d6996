//! Lists, page by page.

use hookplane_proto::v1;
use tonic::Code;

use super::rig::{GROUP, Rig, wrong_fields};

#[tokio::test]
async fn pages_hold_each_resource_once_and_a_token_is_for_one_list() {
    let rig = Rig::start().await;
    for n in 0..5 {
        let group = GROUP.replace("name: code", &format!("name: code-{n}"));
        let org = ["acme", "bolt"][n % 2];
        rig.apply(&group.replace("org: acme", &format!("org: {org}")))
            .await
            .unwrap();
    }
    let list = |parent: &str, size, token: &str| v1::ListWebhookGroupsRequest {
        parent: parent.to_owned(),
        page_size: size,
        page_token: token.to_owned(),
    };
    let (mut names, mut sizes, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = rig
            .groups()
            .list_webhook_groups(list("orgs/-", 2, &token))
            .await;
        let page = page.unwrap().into_inner();
        sizes.push(page.webhook_groups.len());
        for group in page.webhook_groups {
            let metadata = group.metadata.unwrap();
            assert!(!metadata.etag.is_empty());
            names.push(format!("{}/{}", metadata.org, metadata.name));
        }
        if page.next_page_token.is_empty() {
            break;
        }
        token = page.next_page_token;
    }
    assert_eq!(sizes, [2, 2, 1]);
    let all = [
        "acme/code-0",
        "acme/code-2",
        "acme/code-4",
        "bolt/code-1",
        "bolt/code-3",
    ];
    assert_eq!(names, all);
    let one = rig
        .groups()
        .list_webhook_groups(list("orgs/bolt", 0, ""))
        .await;
    assert_eq!(one.unwrap().into_inner().webhook_groups.len(), 2);

    for (parent, token) in [("orgs/-", "00"), ("orgs/-", "é"), ("orgs/bolt", &*token)] {
        let status = rig
            .groups()
            .list_webhook_groups(list(parent, 2, token))
            .await;
        let status = status.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert_eq!(wrong_fields(&status), ["page_token"], "{status}");
    }
    let status = rig.groups().list_webhook_groups(list("acme", 2, "")).await;
    assert_eq!(wrong_fields(&status.unwrap_err()), ["parent"]);
    rig.stop().await;
}

#[tokio::test]
async fn webhooks_are_listed_by_group_by_org_and_all() {
    let rig = Rig::start().await;
    for (org, group) in [("acme", "code"), ("acme", "more"), ("bolt", "code")] {
        let text = GROUP
            .replace("org: acme", &format!("org: {org}"))
            .replace("name: code", &format!("name: {group}"));
        rig.apply(&text).await.unwrap();
    }
    for (parent, count) in [
        ("orgs/acme/groups/code", 1),
        ("orgs/acme/groups/-", 2),
        ("orgs/-/groups/code", 2),
        ("orgs/-/groups/-", 3),
    ] {
        let request = v1::ListWebhooksRequest {
            parent: parent.to_owned(),
            ..Default::default()
        };
        let found = rig.webhooks().list_webhooks(request).await.unwrap();
        assert_eq!(found.into_inner().webhooks.len(), count, "{parent}");
    }
    for nowhere in ["orgs/acme/groups/none", "orgs/none/groups/-"] {
        let request = v1::ListWebhooksRequest {
            parent: nowhere.to_owned(),
            ..Default::default()
        };
        let status = rig.webhooks().list_webhooks(request).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{status}");
    }
    rig.stop().await;
}
