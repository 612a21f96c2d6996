//! Destinations that nothing gets through to, as a command lists them.

use hookplane_tests::product::Dev;

/// Nothing is posted: no event comes.
const SHOP: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec: {connector: github, signatureSecrets: [{value: s3cret}], registeredEvents: ["*"]}
---
apiVersion: hookplane.dev/v1
kind: Destination
metadata: {org: acme, name: crm}
spec: {http: {url: "http://127.0.0.1:9/crm"}}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: all}
spec: {label: All, active: true, events: ["*"], destinations: [{ref: crm}]}
"#;

#[test]
fn a_destination_is_among_the_troubles_by_the_name_that_resumes_it() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(SHOP);
    assert!(dev.items(&["troubles", "acme"]).is_empty());
    dev.ok(&["pause", "destination", "acme/crm"]);
    // Without a name those of all orgs that may be seen.
    for arguments in [&["troubles", "acme"][..], &["trouble"]] {
        let troubles = dev.items(arguments);
        assert_eq!(troubles.len(), 1, "{troubles:?}");
        assert_eq!(troubles[0]["metadata"]["name"], "acme/crm");
        assert_eq!(troubles[0]["status"]["state"], "paused");
    }
    let table = dev.ok(&["get", "troubles"]);
    assert!(
        table.contains("acme/crm") && table.contains("paused"),
        "{table}"
    );
    dev.ok(&["resume", "destination", "acme/crm"]);
    assert!(dev.items(&["troubles"]).is_empty());
    let unknown = dev.refused(&["get", "troubles", "nobody"], 1);
    assert!(unknown.contains("nobody"), "{unknown}");
    dev.refused(&["get", "troubles", "acme/crm"], 2);
}
