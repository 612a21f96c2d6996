//! Orgs and connectors: what names mean, and what stays below them.

use std::collections::BTreeSet;

use hookplane_control_plane::catalogue::Catalogue;
use hookplane_control_plane::keys;
use hookplane_control_plane::store::{Store, Transaction, Write};
use hookplane_proto::v1;
use hookplane_rules::Connector;
use prost::Message;
use tonic::Code;

use super::rig::{ERP, ERP_GROUP, GROUP, Rig, connector_of, group_of, wrong_fields};

fn delete_org(name: &str) -> v1::DeleteOrgRequest {
    v1::DeleteOrgRequest {
        name: name.to_owned(),
        etag: String::new(),
    }
}

#[tokio::test]
async fn an_org_with_something_in_it_is_not_deleted() {
    let rig = Rig::start().await;
    rig.apply(&format!("{ERP}---\n{GROUP}")).await.unwrap();
    let refused = rig.orgs().delete_org(delete_org("orgs/acme")).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("webhook groups"), "{refused}");
    let request = v1::DeleteWebhookGroupRequest {
        name: "orgs/acme/groups/code".to_owned(),
        etag: String::new(),
        discard_pending: true,
        ..Default::default()
    };
    rig.groups().delete_webhook_group(request).await.unwrap();
    let refused = rig.orgs().delete_org(delete_org("orgs/acme")).await;
    assert!(refused.unwrap_err().message().contains("connectors"));
    let request = v1::DeleteConnectorRequest {
        name: "orgs/acme/connectors/erp".to_owned(),
        etag: String::new(),
    };
    rig.connectors().delete_connector(request).await.unwrap();
    rig.orgs()
        .delete_org(delete_org("orgs/acme"))
        .await
        .unwrap();
    let request = v1::CreateWebhookGroupRequest {
        parent: "orgs/acme".to_owned(),
        webhook_group: Some(group_of(GROUP)),
        validate_only: false,
    };
    let missing = rig.groups().create_webhook_group(request).await;
    assert_eq!(missing.unwrap_err().code(), Code::NotFound);
    rig.stop().await;
}

#[tokio::test]
async fn a_name_of_another_form_is_refused_and_names_its_field() {
    let rig = Rig::start().await;
    for name in ["", "acme", "orgs/", "orgs/A", "orgs/a/groups/b", "orgs/-"] {
        let request = v1::GetOrgRequest {
            name: name.to_owned(),
        };
        let status = rig.orgs().get_org(request).await.unwrap_err();
        assert_eq!(wrong_fields(&status), ["name"], "{name}: {status}");
    }
    let missing = v1::GetOrgRequest {
        name: "orgs/nobody".to_owned(),
    };
    let missing = rig.orgs().get_org(missing).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let org = v1::Org {
        metadata: Some(v1::Metadata {
            name: "Not A Name".to_owned(),
            ..Default::default()
        }),
        spec: None,
    };
    let request = v1::CreateOrgRequest {
        org: Some(org),
        validate_only: false,
    };
    let status = rig.orgs().create_org(request).await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["metadata.name"]);
    rig.stop().await;
}

#[tokio::test]
async fn a_connector_whose_test_fails_is_neither_made_nor_changed_nor_valid() {
    let rig = Rig::start().await;
    rig.apply("apiVersion: hookplane.dev/v1\nkind: Org\nmetadata: {name: acme}\n")
        .await
        .unwrap();
    let create = |connector, validate_only| v1::CreateConnectorRequest {
        parent: "orgs/acme".to_owned(),
        connector: Some(connector),
        validate_only,
    };
    // Nobody signed it.
    let test = |expect: &str| v1::ConnectorTest {
        name: "a forgery".to_owned(),
        secrets: vec!["synthetic-key".to_owned()],
        parameters: [("verify_token".to_owned(), "synthetic".to_owned())].into(),
        headers: [
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("X-Erp-Signature".to_owned(), "00".repeat(32)),
        ]
        .into(),
        body: "{}".to_owned(),
        expect: expect.to_owned(),
        ..Default::default()
    };
    let with = |expect: &str| {
        let mut connector = connector_of(ERP);
        connector.spec.as_mut().unwrap().tests = vec![test(expect)];
        connector
    };
    for validate_only in [true, false] {
        let status = rig
            .connectors()
            .create_connector(create(with("genuine"), validate_only))
            .await
            .unwrap_err();
        assert_eq!(wrong_fields(&status), ["spec.tests[0].expect"]);
        assert!(status.message().contains("got signature"), "{status}");
    }
    let made = rig
        .connectors()
        .create_connector(create(with("signature"), false))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(made.spec.as_ref().unwrap().tests, [test("signature")]);
    for validate_only in [true, false] {
        let mut changed = made.clone();
        changed.spec.as_mut().unwrap().tests = vec![test("genuine")];
        let request = v1::UpdateConnectorRequest {
            connector: Some(changed),
            validate_only,
        };
        let status = rig.connectors().update_connector(request).await;
        assert_eq!(wrong_fields(&status.unwrap_err()), ["spec.tests[0].expect"]);
    }
    // What a group pins, and its listeners get, has none.
    rig.apply(ERP_GROUP).await.unwrap();
    let stored = rig.stored().await;
    let pinned: Vec<_> = stored
        .iter()
        .filter(|(key, _)| key.starts_with(hookplane_control_plane::keys::PINS))
        .collect();
    assert_eq!(pinned.len(), 1);
    let pinned = <v1::Connector as prost::Message>::decode(&pinned[0].1[..]).unwrap();
    assert!(pinned.spec.unwrap().tests.is_empty());
    rig.stop().await;
}

/// Else whoever may edit could have a secret sent in clear that he may not read.
#[tokio::test]
async fn a_secret_is_not_used_in_another_way_by_who_does_not_know_it() {
    let rig = Rig::start().await;
    rig.apply(&format!("{ERP}---\n{ERP_GROUP}")).await.unwrap();
    let name = "orgs/acme/connectors/erp".to_owned();
    let request = v1::GetConnectorRequest { name };
    let mut erp = rig.connectors().get_connector(request).await.unwrap();
    let spec = erp.get_mut().spec.as_mut().unwrap();
    let scheme = &mut spec.protocol.as_mut().unwrap().schemes[0];
    scheme.hmac = None;
    scheme.timestamp = None;
    scheme.token = Some(v1::SharedToken {
        location: "header:X-Leak".to_owned(),
        ..Default::default()
    });
    let request = v1::UpdateConnectorRequest {
        connector: Some(erp.into_inner()),
        validate_only: false,
    };
    rig.connectors().update_connector(request).await.unwrap();
    let lines = |text: &str| -> String {
        let wanted = ERP_GROUP.lines().filter(|line| !line.contains(text));
        wanted.map(|line| format!("{line}\n")).collect()
    };
    for without in ["signatureSecrets", "parameters"] {
        let refused = rig.apply(&lines(without)).await.unwrap_err();
        assert!(
            refused.to_string().contains("must be given again"),
            "{refused}"
        );
    }
    rig.apply(ERP_GROUP).await.unwrap();
    rig.stop().await;
}

#[tokio::test]
async fn each_group_of_a_list_is_told_of_its_own_connectors_version() {
    let rig = Rig::start().await;
    let older = ERP.replace(
        "displayName: Our ERP",
        "displayName: Our ERP\n  limitations: [older]",
    );
    let group = |name: &str| ERP_GROUP.replace("name: orders}", &format!("name: {name}}}"));
    rig.apply(&format!("{older}---\n{}---\n{}", group("a"), group("b")))
        .await
        .unwrap();
    rig.apply(&older.replace("[older]", "[newer]"))
        .await
        .unwrap();
    let github = GROUP.replace("name: code", "name: d");
    rig.apply(&format!("{}---\n{github}", group("c")))
        .await
        .unwrap();
    for connector in ["", "erp"] {
        let request = v1::ListWebhookGroupsRequest {
            parent: "orgs/acme".to_owned(),
            connector: connector.to_owned(),
            ..Default::default()
        };
        let page = rig.groups().list_webhook_groups(request).await.unwrap();
        let groups = page.into_inner().webhook_groups.into_iter();
        let told = groups.map(|group| {
            let status = group.status.unwrap();
            let limitations = status.connector_limitations.join(" ");
            let name = group.metadata.unwrap().name;
            (name, limitations, status.connector_update_available)
        });
        let mut expected = vec![
            ("a", "older", true),
            ("b", "older", true),
            ("c", "newer", false),
        ];
        if connector.is_empty() {
            expected.push(("d", "", false));
        }
        let expected = expected.into_iter();
        let expected = expected.map(|(name, of, update)| (name.to_owned(), of.to_owned(), update));
        assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
    rig.stop().await;
}

/// A release that brings a built-in connector changes nobody's own.
#[tokio::test]
async fn an_orgs_connector_whose_name_became_built_in_stays_the_orgs() {
    let rig = Rig::start().await;
    rig.apply(ERP).await.unwrap();
    let key = |name: &str| keys::connector("acme", name);
    let stored = rig.stored().await;
    let (_, bytes) = stored.iter().find(|(k, _)| *k == key("erp")).unwrap();
    let mut own = <v1::Connector as Message>::decode(&bytes[..]).unwrap();
    own.metadata.as_mut().unwrap().name = "github".to_owned();
    let put = Write::Put(key("github"), own.encode_to_vec().into());
    let transaction = Transaction {
        checks: Vec::new(),
        writes: vec![put],
    };
    rig.store.commit(transaction).await.unwrap();

    let name = "orgs/acme/connectors/github".to_owned();
    let request = v1::GetConnectorRequest { name };
    let mut own = rig.connectors().get_connector(request).await.unwrap();
    own.get_mut().spec.as_mut().unwrap().description = "Changed".to_owned();
    let request = v1::UpdateConnectorRequest {
        connector: Some(own.into_inner()),
        validate_only: false,
    };
    rig.connectors().update_connector(request).await.unwrap();
    rig.apply(&ERP_GROUP.replace("connector: erp", "connector: github"))
        .await
        .unwrap();
    let group = rig.group("orgs/acme/groups/orders").await.unwrap();
    let built_in = Catalogue::built_in().get("github").cloned().unwrap();
    let theirs = Connector::version_of(&built_in.spec.unwrap());
    assert_ne!(group.status.unwrap().connector_version, theirs);
    rig.stop().await;
}

#[tokio::test]
async fn an_orgs_own_connector_never_shadows_a_built_in_one() {
    let rig = Rig::start().await;
    rig.apply("apiVersion: hookplane.dev/v1\nkind: Org\nmetadata: {name: acme}\n")
        .await
        .unwrap();
    let create = |connector| v1::CreateConnectorRequest {
        parent: "orgs/acme".to_owned(),
        connector: Some(connector),
        validate_only: false,
    };
    let mut shadow = connector_of(ERP);
    shadow.metadata.as_mut().unwrap().name = "github".to_owned();
    let status = rig.connectors().create_connector(create(shadow)).await;
    assert_eq!(wrong_fields(&status.unwrap_err()), ["metadata.name"]);
    let made = rig
        .connectors()
        .create_connector(create(connector_of(ERP)))
        .await;
    let made = made.unwrap().into_inner();
    let built_in = Catalogue::built_in().all().count();
    let mut counts = Vec::new();
    for parent in ["", "orgs/acme", "orgs/other", "orgs/-"] {
        let (mut names, mut page_token) = (BTreeSet::new(), String::new());
        loop {
            let list = v1::ListConnectorsRequest {
                parent: parent.to_owned(),
                page_size: 7,
                page_token,
            };
            let page = rig.connectors().list_connectors(list).await;
            let page = page.unwrap().into_inner();
            for connector in page.connectors {
                let name = connector.metadata.unwrap_or_default().name;
                assert!(names.insert(name), "it is on two pages");
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        counts.push(names.len());
    }
    let [all, one_more] = [built_in, built_in + 1];
    assert_eq!(counts, [all, one_more, all, one_more]);
    let mut wrong = made.clone();
    let protocol = wrong.spec.as_mut().unwrap().protocol.as_mut().unwrap();
    protocol.schemes[0].hmac.as_mut().unwrap().content = "{bodi}".to_owned();
    let request = v1::UpdateConnectorRequest {
        connector: Some(wrong),
        validate_only: false,
    };
    let status = rig.connectors().update_connector(request).await;
    let status = status.unwrap_err();
    let field = "spec.protocol.schemes[0].hmac.content";
    assert_eq!(wrong_fields(&status), [field], "{status}");
    rig.stop().await;
}

#[tokio::test]
async fn a_group_keeps_the_definition_it_was_saved_with() {
    let rig = Rig::start().await;
    rig.apply(&format!("{ERP}---\n{ERP_GROUP}")).await.unwrap();
    let before = rig.group("orgs/acme/groups/orders").await.unwrap();
    let newer = ERP.replace("order.paid", "order.sent");
    rig.apply(&newer).await.unwrap();
    let after = rig.group("orgs/acme/groups/orders").await.unwrap();
    let (before, after) = (before.status.unwrap(), after.status.unwrap());
    assert!(!before.connector_update_available && after.connector_update_available);
    assert_eq!(before.connector_version, after.connector_version);
    // The newer one is offered, with what differs.
    let plan = rig.plan(ERP_GROUP).await.unwrap();
    assert_eq!(plan[0].changed_fields, ["status.connectorVersion"]);
    let [line] = &plan[0].definition_changes[..] else {
        panic!("{:?}", plan[0].definition_changes);
    };
    assert!(line.starts_with("functions[0].events["), "{line}");
    assert!(
        line.ends_with(r#"].name: "order.paid" -> "order.sent""#),
        "{line}"
    );
    let request = v1::DeleteConnectorRequest {
        name: "orgs/acme/connectors/erp".to_owned(),
        etag: String::new(),
    };
    rig.connectors().delete_connector(request).await.unwrap();
    // It can still be saved, though its connector is gone.
    let renamed = ERP_GROUP.replace("  connector", "  displayName: Orders\n  connector");
    rig.apply(&renamed).await.unwrap();
    let kept = rig.group("orgs/acme/groups/orders").await.unwrap();
    assert_eq!(kept.spec.unwrap().display_name, "Orders");
    assert_eq!(
        kept.status.unwrap().connector_version,
        before.connector_version
    );
    rig.stop().await;
}
