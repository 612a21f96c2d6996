//! Manifest files: planned as a whole, applied document by document.

use hookplane_proto::v1;
use tonic::Code;
use v1::{ChangeAction, SecretChange};

use super::rig::{ERP, ERP_GROUP, GROUP, Rig, WEBHOOK, wrong_fields};

fn actions(changes: &[v1::PlannedChange]) -> Vec<(i32, &str, ChangeAction)> {
    changes
        .iter()
        .map(|c| (c.manifest_index, c.name.as_str(), c.action()))
        .collect()
}

#[tokio::test]
async fn a_plan_resolves_what_the_file_itself_brings_and_writes_nothing() {
    let rig = Rig::start().await;
    let before = rig.stored().await;
    let webhook = WEBHOOK
        .replace("group: code", "group: orders")
        .replace("[push]", "[order.paid]");
    let file = format!("{ERP}---\n{ERP_GROUP}---\n{webhook}");
    let changes = rig.plan(&file).await.unwrap();
    assert!(changes.iter().all(|c| c.errors.is_empty()), "{changes:?}");
    let create = ChangeAction::Create;
    let expected = [
        (-1, "orgs/acme", create),
        (0, "orgs/acme/connectors/erp", create),
        (1, "orgs/acme/groups/orders", create),
        (2, "orgs/acme/groups/orders/webhooks/pushes", create),
    ];
    assert_eq!(actions(&changes), expected);
    assert_eq!(rig.stored().await, before);

    let applied = rig.apply(&file).await.unwrap();
    let applied: Vec<v1::PlannedChange> = applied.into_iter().map(|a| a.change.unwrap()).collect();
    for (applied, planned) in applied.iter().zip(&changes[1..]) {
        assert_eq!(
            (&applied.name, applied.action),
            (&planned.name, planned.action)
        );
        assert_eq!(applied.secret, planned.secret);
    }
    let again = rig.plan(&file).await.unwrap();
    assert_eq!(again.len(), 3, "the org is known now");
    assert!(again.iter().all(|c| c.action() == ChangeAction::Unchanged));
    rig.stop().await;
}

#[tokio::test]
async fn a_plan_names_every_mistake_of_the_file_at_its_document_and_field() {
    let rig = Rig::start().await;
    let bad_group = GROUP.replace("[push, pull_request]", "[push, no_such]");
    let orphan = WEBHOOK.replace("group: code", "group: nowhere");
    let file = format!("{bad_group}---\n{orphan}---\n{ERP}---\n{ERP}");
    let changes = rig.plan(&file).await.unwrap();
    let errors: Vec<(i32, &str)> = changes
        .iter()
        .flat_map(|c| {
            c.errors
                .iter()
                .map(|e| (c.manifest_index, e.field.as_str()))
        })
        .collect();
    let expected = [
        (0, "spec.registeredEvents[1]"),
        (1, "metadata"),
        (3, "metadata.name"),
    ];
    assert_eq!(errors, expected);
    rig.stop().await;
}

#[tokio::test]
async fn what_get_answers_can_be_applied_and_changes_nothing() {
    let rig = Rig::start().await;
    let file = format!("{ERP}---\n{ERP_GROUP}---\n{GROUP}---\n{WEBHOOK}");
    rig.apply(&file).await.unwrap();
    let before = rig.stored().await;
    use v1::manifest::Resource;
    let erp = v1::GetConnectorRequest {
        name: "orgs/acme/connectors/erp".to_owned(),
    };
    let org = v1::GetOrgRequest {
        name: "orgs/acme".to_owned(),
    };
    let resources = [
        Resource::Org(rig.orgs().get_org(org).await.unwrap().into_inner()),
        Resource::Connector(
            rig.connectors()
                .get_connector(erp)
                .await
                .unwrap()
                .into_inner(),
        ),
        Resource::WebhookGroup(rig.group("orgs/acme/groups/orders").await.unwrap()),
        Resource::WebhookGroup(rig.group("orgs/acme/groups/code").await.unwrap()),
        Resource::Webhook(
            rig.webhook("orgs/acme/groups/code/webhooks/pushes")
                .await
                .unwrap(),
        ),
        Resource::Webhook(
            rig.webhook("orgs/acme/groups/code/webhooks/template")
                .await
                .unwrap(),
        ),
    ];
    let manifests: Vec<v1::Manifest> = resources
        .into_iter()
        .map(|resource| v1::Manifest {
            resource: Some(resource),
        })
        .collect();
    let plan = v1::PlanManifestsRequest {
        manifests: manifests.clone(),
    };
    let plan = rig
        .manifests()
        .plan_manifests(plan)
        .await
        .unwrap()
        .into_inner();
    for change in plan.changes {
        assert!(change.errors.is_empty(), "{change:?}");
        assert_eq!(change.action(), ChangeAction::Unchanged, "{change:?}");
    }
    for manifest in manifests {
        let request = v1::ApplyManifestRequest {
            manifest: Some(manifest),
        };
        let answer = rig.manifests().apply_manifest(request).await.unwrap();
        let change = answer.into_inner().change.unwrap();
        assert_eq!(change.action(), ChangeAction::Unchanged, "{change:?}");
    }
    assert_eq!(rig.stored().await, before);
    rig.stop().await;
}

#[tokio::test]
async fn a_plan_says_whether_secrets_change_and_no_more() {
    let rig = Rig::start().await;
    rig.apply(&format!("{ERP}---\n{ERP_GROUP}")).await.unwrap();
    let no_secret = ERP_GROUP
        .replace(
            "  signatureSecrets: [{name: main, value: s3cret-of-erp}]\n",
            "",
        )
        .replace("  parameters: {verify_token: s3cret-to-verify}\n", "");
    for (file, secret) in [
        (ERP_GROUP.to_owned(), SecretChange::Unchanged),
        (no_secret, SecretChange::Unchanged),
        (
            ERP_GROUP.replace("of-erp", "of-erp-2"),
            SecretChange::Changed,
        ),
        (
            ERP_GROUP.replace("to-verify", "to-verify-2"),
            SecretChange::Changed,
        ),
    ] {
        let changes = rig.plan(&file).await.unwrap();
        assert_eq!(changes[0].secret(), secret, "{changes:?}");
        let unchanged = secret == SecretChange::Unchanged;
        assert_eq!(changes[0].action() == ChangeAction::Unchanged, unchanged);
        assert!(!format!("{changes:?}").contains("s3cret"));
        let applied = rig.apply(&file).await.unwrap();
        assert_eq!(applied[0].change.as_ref().unwrap().secret(), secret);
        let again = rig.plan(&file).await.unwrap();
        assert_eq!(again[0].secret(), SecretChange::Unchanged);
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_document_that_is_refused_leaves_nothing_behind() {
    let rig = Rig::start().await;
    let before = rig.stored().await;
    let bad = GROUP.replace("[push, pull_request]", "[push, no_such]");
    let status = rig.apply(&bad).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(wrong_fields(&status), ["spec.registeredEvents[1]"]);
    assert_eq!(rig.stored().await, before, "not even the org");
    let status = rig.apply(WEBHOOK).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let empty = v1::ApplyManifestRequest { manifest: None };
    let empty = rig.manifests().apply_manifest(empty).await.unwrap_err();
    assert_eq!(wrong_fields(&empty), ["manifest"]);
    assert_eq!(rig.stored().await, before);
    rig.stop().await;
}
