//! The commands, as people type them.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use hookplane_tests::http::post;
use hookplane_tests::product::{Cli, Dev, Process, Serve, free_port};
use hookplane_tests::signers;

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

#[test]
fn a_server_with_a_stored_admin_needs_no_bootstrap_token_and_a_listener_no_more_than_its_pool() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = Serve::start(folder.path(), &[]);
    let old = std::fs::read_to_string(folder.path().join("admin.token")).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let embedded = format!("embedded:{}", at("control-plane"));
    let address = format!("127.0.0.1:{}", free_port());
    let alone = [
        "serve", "--api", &address, "--store", &embedded, "--log", &embedded,
    ];
    let alone = alone.map(OsString::from).into_iter();
    let alone: Vec<OsString> = alone
        .chain(["--seal-key".into(), at("seal.key").into()])
        .collect();
    let end = |serve: &mut Serve| {
        serve.process().signal("TERM");
        assert_eq!(serve.process().wait(), Some(0));
    };
    end(&mut serve);
    let refused = Process::start(alone.clone(), &[], &folder.path().join("refused")).wait();
    assert_eq!(refused, Some(1), "nobody could be let in");

    serve.process().restart();
    serve.wait_until_ready();
    let admin = serve.ok(&["token", "create", "--org", "-", "--role", "admin"]);
    let listener = serve.ok(&[
        "token", "create", "--org", "-", "--role", "listener", "--pool", "default",
    ]);
    end(&mut serve);

    let mut process = Process::start(alone, &[], &folder.path().join("alone"));
    let api = format!("http://{address}");
    let with = |token: &str| {
        let environment = [
            ("HOOKPLANE_API", api.as_str()),
            ("HOOKPLANE_TOKEN", token.trim()),
        ];
        Cli::new(&folder.path().join("cli"), &environment)
    };
    let cli = with(&admin);
    process.until("lets its admin in", || {
        cli.run(&["get", "orgs"]).status.success()
    });
    assert!(
        with(&old)
            .refused(&["get", "orgs"], 1)
            .contains("not valid")
    );

    let token_file = at("listener.token");
    std::fs::write(&token_file, &listener).unwrap();
    std::fs::set_permissions(&token_file, Permissions::from_mode(0o600)).unwrap();
    let callbacks = format!("127.0.0.1:{}", free_port());
    let listen = [
        "listen",
        "--control-plane",
        &api,
        "--listen",
        &callbacks,
        "--name",
        "one",
        "--token-file",
        &token_file,
    ];
    let listen = listen.map(OsString::from).to_vec();
    let mut listen = Process::start(listen, &[], &folder.path().join("listen"));
    listen.until("is ready", || {
        let listeners = cli.items(&["listeners"]);
        listeners
            .iter()
            .any(|listener| listener["status"]["ready"] == true)
    });
    cli.apply(SHOP);
    let url = cli.callback_url("acme/code");
    let (_, path) = url.split_once("://").unwrap().1.split_once('/').unwrap();
    let url = format!("http://{callbacks}/{path}");
    let answer = post(
        &url,
        &signers::github("s3cret", "push", "d-1", b"{}"),
        b"{}",
    );
    assert_eq!(answer.unwrap().status, 200);
    // And that is all it may.
    let why = with(&listener).refused(&["get", "groups"], 1);
    assert!(why.contains("listener"), "{why}");
}
