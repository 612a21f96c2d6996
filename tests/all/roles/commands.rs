//! The commands, as people type them.

use hookplane_tests::product::Dev;

const SHOP: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec: {connector: github, signatureSecrets: [{value: s3cret}], registeredEvents: ["*"]}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: all}
spec: {label: All, active: true, events: ["*"]}
"#;

#[test]
fn a_token_is_made_used_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(SHOP);
    // Alone on stdout, so that a shell can keep it.
    let made = dev.run(&[
        "token",
        "create",
        "--org",
        "acme",
        "--role",
        "viewer",
        "--expires",
        "90d",
    ]);
    assert!(made.status.success());
    let token = String::from_utf8(made.stdout).unwrap();
    let token = token.strip_suffix('\n').unwrap();
    assert!(
        token.starts_with("hkp_") && !token.contains(char::is_whitespace),
        "{token}"
    );
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(
        said.contains("viewer of org acme") && !said.contains(token),
        "{said}"
    );
    let id = token.split('_').nth(1).unwrap();

    let with = |arguments: &[&str]| {
        let mut command = dev.command(arguments);
        command.env("HOOKPLANE_TOKEN", token).output().unwrap()
    };
    let groups = with(&["get", "groups"]);
    let groups = String::from_utf8(groups.stdout).unwrap();
    assert!(
        groups.contains("acme/code") && !groups.contains("demo/"),
        "{groups}"
    );
    let refused = with(&["get", "groups", "demo/github"]);
    assert_eq!(refused.status.code(), Some(1));
    let refused = with(&["delete", "webhook", "acme/code/all"]);
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(
        why.contains("viewer") && why.contains("an editor or an admin"),
        "{why}"
    );

    let consumer = dev.ok(&[
        "token",
        "create",
        "--org",
        "acme",
        "--role",
        "consumer",
        "--webhook",
        "code/all",
    ]);
    for arguments in [
        &["get", "tokens", "acme"][..],
        &["token", "list", "--org", "acme"],
    ] {
        let table = dev.ok(arguments);
        for word in [id, "viewer", "consumer", "acme/code/all"] {
            assert!(table.contains(word), "`{word}`: {table}");
        }
        let secret = token.rsplit('_').next().unwrap();
        assert!(
            !table.contains(secret) && !table.contains(consumer.trim()),
            "{table}"
        );
    }
    let items = dev.items(&["tokens", &format!("acme/{id}")]);
    assert_eq!(items[0]["spec"]["role"], "viewer");
    assert!(items[0]["status"]["expireTime"].is_string());
    assert!(items[0]["status"]["lastUseTime"].is_string());

    assert!(dev.ok(&["token", "revoke", id]).contains(id));
    let refused = with(&["get", "groups"]);
    assert_eq!(refused.status.code(), Some(1));
    dev.refused(&["token", "revoke", id, "--org", "acme"], 1);
    let everywhere = dev.ok(&["token", "create", "--org", "-", "--role", "viewer"]);
    assert!(dev.ok(&["get", "tokens"]).contains("(all)"));
    let id = everywhere.split('_').nth(1).unwrap();
    dev.ok(&["token", "revoke", id, "--org", "-"]);
    for wrong in [
        &[
            "token",
            "create",
            "--org",
            "acme",
            "--role",
            "viewer",
            "--expires",
            "soon",
        ][..],
        &[
            "token",
            "create",
            "--org",
            "acme",
            "--role",
            "consumer",
            "--webhook",
            "all",
        ],
        &["token", "create", "--org", "a/b", "--role", "viewer"],
    ] {
        dev.refused(wrong, 2);
    }
    assert!(!dev.printed().contains(token), "it is in no log");
}
