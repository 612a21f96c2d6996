//! Configuration and events that were put back to different moments.

use hookplane_tests::engines::etcd::Etcd;
use hookplane_tests::engines::postgres::{ARCHIVED, Postgres};
use hookplane_tests::product::{Backends, CODE, Cli, Listen, Serve, eventually};

use super::etcd::{Installation, group, runs_what_was_restored, webhook};
use super::{post, post_until};

fn token(serve: &Serve) -> String {
    let made = serve.ok(&[
        "token",
        "create",
        "--org",
        "acme",
        "--role",
        "viewer",
        "--expires",
        "1d",
    ]);
    made.trim().to_owned()
}

/// Whether a token lets in.
fn lets_in(serve: &Serve, token: &str) -> bool {
    let read = serve.run(&["get", "groups", "acme", "--token", token]);
    read.status.success()
}

/// Its deliveries, each with the webhook it is for and its status.
fn deliveries(serve: &Serve, scope: &str) -> Vec<(String, String)> {
    let mut all: Vec<_> = serve
        .tail(scope, &[])
        .into_iter()
        .map(|line| {
            let status = line["delivery"]["status"].as_str().unwrap_or_default();
            let webhook = line["webhook"].as_str().unwrap_or_default();
            (webhook.to_owned(), status.to_owned())
        })
        .collect();
    all.sort();
    all
}

// Risk 26: the restored configuration is all that counts for who is let in, from the moment that the rollback is noticed; what it doesn't know of
// the events stays where it is, readable, and goes to nobody.
#[test]
fn events_outlive_a_restored_configuration_that_does_not_know_what_they_were_for() {
    let (mut installation, one, two) = Installation::start(1);
    let listen = Listen::start_many(&[&one, &two], "l", &[]);
    installation.configure(&one);
    let before = token(&one);
    installation.snapshot();
    let id = before.split('_').nth(1).unwrap();
    one.ok(&["token", "revoke", id]);
    let old = one.callback_url("acme/old");
    post_until(&listen, &old, "old", 200);
    let urls = installation.after(&one);
    let since = token(&one);
    for replica in [&one, &two] {
        eventually("it hears of both", || {
            (lets_in(replica, &since) && !lets_in(replica, &before)).then_some(())
        });
    }
    one.apply(&webhook("code", "all", "*"));
    let (_, of_code) = post_until(&listen, &urls.code, "code", 200);
    let (_, of_new) = post_until(&listen, &urls.new, "new", 200);

    installation.restore();
    runs_what_was_restored(&one, &listen, &urls, "l");
    // Not as it was revoked later: an operator revokes it again.
    for replica in [&one, &two] {
        eventually("those of then are let in, and nobody else", || {
            (lets_in(replica, &before) && !lets_in(replica, &since)).then_some(())
        });
    }
    // Even where the group is none any more.
    for id in [&of_code, &of_new] {
        assert!(one.ok(&["get", "event", id]).contains(id.as_str()));
    }
    let pending = |webhook: &str| (webhook.to_owned(), "pending".to_owned());
    let of_code = deliveries(&one, "acme/code");
    assert!(of_code.contains(&pending("extra")), "{of_code:?}");
    // Its webhook is there again, and what was dropped with it can be had again.
    let dropped = one.items(&["deliveries", "acme/old"]);
    let dropped = dropped
        .iter()
        .filter(|one| one.to_string().contains("dropped"));
    assert_eq!(dropped.count(), 1);
    one.ok(&["replay", "acme/old", "--status", "dropped"]);
    // The name is free, and the new group another one.
    let new = one.manifest_file(&group("new"));
    one.ok(&["apply", "-f", &new, "--no-wait"]);
    assert_ne!(one.callback_url("acme/new"), urls.new);
}

/// Its events' delivery ids, oldest first.
fn kept(cli: &Cli) -> Vec<String> {
    let lines = cli.tail("acme/code/all", &[]);
    let ids = lines
        .iter()
        .map(|line| line["event"]["deliveryId"].as_str());
    ids.map(|id| id.unwrap_or_default().to_owned()).collect()
}

// The promise reaches as far as the backup: what was kept after it is gone, and kept when its provider sends it again. Nobody is restarted.
#[test]
fn events_put_back_to_an_earlier_moment_than_the_configuration_go_on_with_everybody_running() {
    let (etcd, mut postgres) = (Etcd::start(1), Postgres::start_alone(&ARCHIVED));
    let folder = tempfile::tempdir().unwrap();
    let backends = Backends {
        store: etcd.store(),
        log: postgres.database("hooks"),
    };
    let one = Serve::start_at(folder.path(), &backends, &["--accept-weaker-durability"]);
    let two = Serve::start_at(folder.path(), &backends, &["--accept-weaker-durability"]);
    let listen = Listen::start_many(&[&one, &two], "l", &[]);
    one.apply(CODE);
    let url = one.callback_url("acme/code");
    post_until(&listen, &url, "a", 200);
    let backup = postgres.base_backup("backup");
    post_until(&listen, &url, "b", 200);
    postgres.sql("postgres", "SELECT pg_create_restore_point('then')");
    post_until(&listen, &url, "lost", 200);
    one.apply(&group("since"));
    let since = one.callback_url("acme/since");
    post_until(&listen, &since, "since", 200);
    postgres.wait_until_archived();
    postgres.put_back(&backup, "then");

    for (delivery, receipt) in [("a", "duplicate"), ("b", "duplicate"), ("lost", "degraded")] {
        let (told, _) = post_until(&listen, &url, delivery, 200);
        assert_eq!(told, receipt, "{delivery}");
    }
    assert_eq!(post(&listen, &url, "lost").unwrap().1, "duplicate");
    let (told, _) = post_until(&listen, &since, "since", 200);
    assert_eq!(told, "degraded");
    for replica in [&one, &two] {
        eventually("both show each once", || {
            (kept(replica) == ["a", "b", "lost"]).then_some(())
        });
    }
}
