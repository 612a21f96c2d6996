//! Snapshots of the configuration, put back with `etcdctl` and no other command.

use std::path::PathBuf;

use hookplane_tests::engines::etcd::Etcd;
use hookplane_tests::log_suite::backends::InPostgres;
use hookplane_tests::product::{Backends, CODE, Listen, Serve, eventually};
use tempfile::TempDir;

use super::post_until;

/// Of a group of that name, like `code`.
pub(super) fn group(name: &str) -> String {
    let group = CODE.split("---").next().unwrap();
    let group = group.replace("name: code", &format!("name: {name}"));
    format!("{group}---\n{}", webhook(name, "all", "*"))
}

pub(super) fn webhook(group: &str, name: &str, event: &str) -> String {
    format!(
        "apiVersion: hookplane.dev/v1\nkind: Webhook\nmetadata: {{org: acme, group: {group}, name: {name}}}\nspec: {{label: L, active: true, events: ['{event}']}}\n"
    )
}

/// What two replicas share, and what it was at the time of the snapshot.
pub(super) struct Installation {
    etcd: Etcd,
    snapshot: PathBuf,
    epoch: String,
    _folder: TempDir,
}

/// Where callbacks of the groups go.
pub(super) struct Urls {
    pub(super) code: String,
    /// Deleted after the snapshot.
    pub(super) old: String,
    /// Made after it.
    pub(super) new: String,
}

impl Installation {
    pub(super) fn start(members: usize) -> (Self, Serve, Serve) {
        let etcd = Etcd::start(members);
        let folder = tempfile::tempdir().unwrap();
        let backends = Backends {
            store: etcd.store(),
            log: InPostgres::shared().url(folder.path()),
        };
        let one = Serve::start_at(folder.path(), &backends, &[]);
        let two = Serve::start_at(folder.path(), &backends, &[]);
        let installation = Self {
            etcd,
            snapshot: folder.path().join("snapshot"),
            epoch: String::new(),
            _folder: folder,
        };
        (installation, one, two)
    }

    /// Where a listener is connected: it waits until that runs it.
    pub(super) fn configure(&self, serve: &Serve) {
        serve.apply(CODE);
        serve.apply(&group("old"));
    }

    pub(super) fn snapshot(&mut self) {
        self.etcd.snapshot(&self.snapshot);
        self.epoch = self.epoch();
    }

    pub(super) fn restore(&mut self) {
        self.etcd.restore(&self.snapshot);
    }

    fn before(&mut self, serve: &Serve) {
        self.configure(serve);
        self.snapshot();
    }

    /// `old` goes, `new` comes, and `code` has one webhook that wants less and one that is new.
    pub(super) fn after(&self, serve: &Serve) -> Urls {
        let urls = |name: &str| serve.callback_url(&format!("acme/{name}"));
        serve.apply(&group("new"));
        let urls = Urls {
            code: urls("code"),
            old: urls("old"),
            new: urls("new"),
        };
        serve.ok(&["delete", "group", "acme/old", "--discard"]);
        serve.apply(&webhook("code", "all", "issues"));
        serve.apply(&webhook("code", "extra", "*"));
        urls
    }

    fn epoch(&self) -> String {
        self.of_etcd(&["get", "hookplane/v1/epoch", "--print-value-only"])
    }

    fn revision(&self) -> u64 {
        let status = self.of_etcd(&["endpoint", "status", "-w", "json"]);
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status[0]["Status"]["header"]["revision"].as_u64().unwrap()
    }

    /// Writes that are none of hookplane's, until etcd has come beyond that revision.
    fn come_past(&self, revision: u64) {
        while self.revision() <= revision {
            self.of_etcd(&["put", "somebody-elses", "x"]);
        }
    }

    fn of_etcd(&self, arguments: &[&str]) -> String {
        eventually("etcd answers", || self.etcd.ctl(0, arguments))
    }
}

/// What the snapshot says, and nothing that came after it.
#[track_caller]
pub(super) fn runs_what_was_restored(serve: &Serve, listen: &Listen, urls: &Urls, name: &str) {
    post_until(listen, &urls.old, &format!("{name}-old"), 200);
    post_until(listen, &urls.new, &format!("{name}-new"), 404);
    let (_, id) = post_until(listen, &urls.code, &format!("{name}-code"), 200);
    let event = eventually("the event is shown", || {
        serve.items(&["event", &id]).into_iter().next()
    });
    let verdicts = event["status"]["verdicts"].as_array().unwrap();
    let webhooks: Vec<_> = verdicts.iter().map(|one| &one["webhook"]).collect();
    assert_eq!(webhooks, ["all"], "{event}");
}

/// All listeners run all that there is, as the control plane has it.
fn all_listeners_are_told_of_what_comes_next(serve: &Serve, listeners: &[&Listen]) {
    // It waits until every listener has it. At first the fleet of the snapshot is in doubt, which is gone or has another id.
    let next = serve.manifest_file(&group("next"));
    eventually("what comes next is live", || {
        serve
            .run(&["apply", "-f", &next])
            .status
            .success()
            .then_some(())
    });
    let url = serve.callback_url("acme/next");
    for (number, listen) in listeners.iter().enumerate() {
        post_until(listen, &url, &format!("next-{number}"), 200);
    }
}

// Risk 26: the snapshot is older than what replicas and listeners know, all of which go on.
#[test]
fn snapshot_that_is_put_back_is_what_runs_with_everybody_connected() {
    let (mut installation, one, two) = Installation::start(3);
    let near = Listen::start_many(&[&one, &two], "near", &[]);
    let far = Listen::start_through(&one, &[two.api_url().to_owned()], "far");
    installation.before(&one);
    let urls = installation.after(&one);
    for listen in [&near, &far] {
        post_until(listen, &urls.new, "before", 200);
        post_until(listen, &urls.old, "before", 404);
    }

    installation.restore();
    for (listen, name) in [(&near, "near"), (&far, "far")] {
        runs_what_was_restored(&one, listen, &urls, name);
    }
    assert_ne!(installation.epoch(), installation.epoch, "it begins anew");
    all_listeners_are_told_of_what_comes_next(&two, &[&near, &far]);
}

// Risk 26: replicas that were down during the restore know nothing of what was; a listener does.
#[test]
fn snapshot_that_is_put_back_is_what_runs_after_replicas_and_a_listener_were_restarted() {
    let (mut installation, mut one, mut two) = Installation::start(1);
    let stays = Listen::start_many(&[&one, &two], "stays", &[]);
    let mut restarts = Listen::start_through(&one, &[two.api_url().to_owned()], "restarts");
    installation.before(&one);
    let urls = installation.after(&one);
    post_until(&stays, &urls.new, "before", 200);

    for replica in [&mut one, &mut two] {
        replica.process().kill();
    }
    restarts.kill();
    installation.restore();
    for replica in [&mut one, &mut two] {
        replica.process().restart();
        replica.wait_until_ready();
    }
    restarts.restart();
    for (listen, name) in [(&stays, "stays"), (&restarts, "restarts")] {
        runs_what_was_restored(&one, listen, &urls, name);
    }
    all_listeners_are_told_of_what_comes_next(&two, &[&stays, &restarts]);
}

// Risk 26: by the time a frozen replica looks again, the restored store has come past every revision it knows.
#[test]
fn replica_that_slept_through_a_restore_notices_however_far_etcd_has_come() {
    let (mut installation, one, mut two) = Installation::start(1);
    // Nobody else could tell it.
    let listen = Listen::start_many(&[&two], "l", &[]);
    installation.before(&one);
    let urls = installation.after(&one);
    post_until(&listen, &urls.new, "before", 200);

    let known = installation.revision();
    two.process().signal("STOP");
    installation.restore();
    assert!(installation.revision() < known);
    eventually("the other replica notices", || {
        (installation.epoch() != installation.epoch).then_some(())
    });
    installation.come_past(known + 20);
    two.process().signal("CONT");
    runs_what_was_restored(&one, &listen, &urls, "l");
    all_listeners_are_told_of_what_comes_next(&two, &[&listen]);
}

// Risk 26: nobody who knows of the time before is there until the restored store has come past what the listener knows.
#[test]
fn listener_that_comes_back_late_runs_what_was_restored() {
    let (mut installation, mut one, two) = Installation::start(1);
    drop(two);
    let listen = Listen::start(&one, "l", &[]);
    installation.before(&one);
    let urls = installation.after(&one);
    post_until(&listen, &urls.new, "before", 200);

    let known = installation.revision();
    listen.signal("STOP");
    one.process().kill();
    installation.restore();
    installation.come_past(known + 20);
    one.process().restart();
    one.wait_until_ready();
    listen.signal("CONT");
    runs_what_was_restored(&one, &listen, &urls, "l");
    all_listeners_are_told_of_what_comes_next(&one, &[&listen]);
}
