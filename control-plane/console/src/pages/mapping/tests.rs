//! The editor before an API that refuses.

use hookplane_proto::v1::{self, TokenRole};
use http::StatusCode;
use tonic::Code;

use crate::rig::Rig;

#[tokio::test]
async fn rows_come_back_when_the_store_or_the_log_does_not_answer() {
    let rig = Rig::new();
    let cookie = rig.signed_in("hp_1").await;
    rig.says("ListOrgs", &v1::ListOrgsResponse::default());
    let mark = rig.get("/", &cookie).await.mark();
    let fields = [
        ("mark", &*mark),
        ("etag", "7"),
        ("base.object", "Push__c"),
        ("base.fields[0].name", "Ref__c"),
        ("base.fields[0].from", "payload.typed"),
        ("do", "save"),
    ];
    let path = "/orgs/acme/groups/code/webhooks/everything/mapping";
    let calls = [
        "UpdateWebhook",
        "GetWebhookGroup",
        "ListDeliveries",
        "ListEvents",
        "ListDestinations",
        "GetConnector",
        "Preview",
        "GetWebhook",
    ];
    rig.says("GetWebhook", &v1::Webhook::default());
    for call in calls {
        rig.refuses(call, Code::Unavailable);
        let answer = rig.post(path, &cookie, &fields).await;
        // The first of them is refused in all rounds.
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{call}");
        assert!(answer.text.contains(r#"value="payload.typed""#), "{call}");
        assert!(answer.text.contains(r#"name="etag" value="7""#), "{call}");
    }
    // A button that changes rows needs none of it but the webhook.
    rig.says("GetWebhook", &v1::Webhook::default());
    let fields = [&fields[..5], &[("do", "add-row:base")]].concat();
    let answer = rig.post(path, &cookie, &fields).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert!(answer.text.contains("base.fields[1].name"));
}

#[tokio::test]
async fn who_may_not_write_has_nothing_unpacked() {
    let rig = Rig::new();
    let cookie = rig.signed_in("hp_1").await;
    rig.says("ListOrgs", &v1::ListOrgsResponse::default());
    let mark = rig.get("/", &cookie).await.mark();
    let path = "/orgs/acme/groups/code/webhooks/everything/mapping";
    // Nothing that could be read, so whoever is let in is told that.
    let fields = [("mark", mark.as_str()), ("rest", "AAAA"), ("do", "preview")];
    let answer = rig.post(path, &cookie, &fields).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    rig.admits(TokenRole::Viewer);
    let answer = rig.post(path, &cookie, &fields).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
}
