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
        ..Default::default()
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
async fn groups_are_found_by_connector_function_and_words_of_the_callers_org_alone() {
    let rig = Rig::start().await;
    for n in 0..5 {
        let group = GROUP.replace("name: code", &format!("name: code-{n}"));
        let org = ["acme", "bolt"][n % 2];
        rig.apply(&group.replace("org: acme", &format!("org: {org}")))
            .await
            .unwrap();
    }
    let asked = async |change: &dyn Fn(&mut v1::ListWebhookGroupsRequest)| {
        let mut request = v1::ListWebhookGroupsRequest {
            parent: "orgs/acme".to_owned(),
            connector: "github".to_owned(),
            ..Default::default()
        };
        change(&mut request);
        let page = rig
            .groups()
            .list_webhook_groups(request)
            .await?
            .into_inner();
        let names = page.webhook_groups.into_iter().map(|group| {
            assert!(group.status.unwrap_or_default().live.is_some());
            let metadata = group.metadata.unwrap_or_default();
            assert!(!metadata.etag.is_empty());
            metadata.name
        });
        Ok::<_, tonic::Status>((names.collect::<Vec<_>>(), page.next_page_token))
    };
    let (names, next) = asked(&|request| request.page_size = 2).await.unwrap();
    assert_eq!(names, ["code-0", "code-2"]);
    let (rest, end) = asked(&|request| request.page_token.clone_from(&next))
        .await
        .unwrap();
    assert_eq!((rest, &*end), (vec!["code-4".to_owned()], ""));
    // A token is for the search that answered it.
    let other = asked(&|request| {
        request.page_token.clone_from(&next);
        request.text = "code".to_owned();
    })
    .await;
    assert_eq!(wrong_fields(&other.unwrap_err()), ["page_token"]);

    let all = v1::ListConnectorsRequest {
        parent: "orgs/acme".to_owned(),
        page_size: 1,
        ..Default::default()
    };
    let first = rig.connectors().list_connectors(all.clone()).await.unwrap();
    let first = first.into_inner();
    assert_eq!(first.webhook_groups, [("github".to_owned(), 3)].into());
    let second = v1::ListConnectorsRequest {
        page_token: first.next_page_token,
        ..all
    };
    let second = rig.connectors().list_connectors(second).await.unwrap();
    assert!(second.into_inner().webhook_groups.is_empty());

    let (names, _) = asked(&|request| request.connector = "stripe".to_owned())
        .await
        .unwrap();
    assert_eq!(names, [""; 0]);
    let (names, _) = asked(&|request| request.function = "repository".to_owned())
        .await
        .unwrap();
    assert_eq!(names.len(), 3);
    let (names, _) = asked(&|request| request.text = "CODE-4".to_owned())
        .await
        .unwrap();
    assert_eq!(names, ["code-4"]);
    let alone = asked(&|request| {
        request.connector.clear();
        request.function = "repository".to_owned();
    })
    .await;
    assert_eq!(wrong_fields(&alone.unwrap_err()), ["function"]);
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
