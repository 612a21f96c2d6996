//! `serve` more than once, on etcd and PostgreSQL: one seal key, TLS to both, durability that is weaker than promised.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hookplane_tests::engines::etcd::Etcd;
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::http::Connection;
use hookplane_tests::pki::Pki;
use hookplane_tests::product::{
    Backends, CODE, CODE_SECRET, Listen, Process, Serve, binary, eventually, free_port,
};
use hookplane_tests::signers;

const DAY: Duration = Duration::from_secs(86_400);

/// A replica with files of its own, and what its end is told by.
struct Replica {
    process: Process,
    folder: PathBuf,
    status: String,
}

impl Replica {
    /// Starts it, and waits for nothing.
    fn launch(folder: &Path, store: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let status = format!("127.0.0.1:{}", free_port());
        let at = |name: &str| folder.join(name).display().to_string();
        let arguments = [
            "serve",
            "--api",
            "127.0.0.1:0",
            "--store",
            store,
            "--log",
            &format!("embedded:{}", at("events")),
            "--seal-key",
            &at("seal.key"),
            "--bootstrap-token",
            &at("admin.token"),
            "--status",
            &status,
        ];
        let arguments = arguments.map(OsString::from).to_vec();
        Self {
            process: Process::start(arguments, &[], &folder.join("output")),
            folder: folder.to_owned(),
            status,
        }
    }

    fn key(&self) -> PathBuf {
        self.folder.join("seal.key")
    }

    fn is_ready(&self) -> bool {
        let url = format!("http://{}/readyz", self.status);
        let answer = Connection::open(&url).and_then(|mut to| to.request("GET", &url, &[], b""));
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// Whether it serves; false when it has ended and said what to copy.
    fn serves(&mut self) -> bool {
        eventually("it serves or is refused", || {
            if self.process.ended().is_some() {
                return Some(false);
            }
            self.is_ready().then_some(true)
        })
    }

    fn told(&self) -> String {
        self.process.printed()
    }
}

// Two keys for one store would make of every second secret something that nobody can open.
#[test]
fn replicas_that_start_at_once_on_an_empty_store_end_with_one_key() {
    let etcd = Etcd::start(1);
    let folder = tempfile::tempdir().unwrap();
    let mut replicas =
        ["a", "b", "c"].map(|name| Replica::launch(&folder.path().join(name), &etcd.store()));
    let serving: Vec<_> = replicas.iter_mut().map(Replica::serves).collect();
    assert_eq!(serving.iter().filter(|serves| **serves).count(), 1);
    let winner = serving.iter().position(|serves| *serves).unwrap();
    let key = replicas[winner].key();
    for number in (0..3).filter(|number| *number != winner) {
        let replica = &mut replicas[number];
        let told = replica.told();
        assert_eq!(replica.process.ended(), Some(1), "{told}");
        assert!(told.contains("copy the file of a replica"), "{told}");
        assert!(!replica.key().exists(), "what was of no use is gone");
        // As told.
        std::fs::copy(&key, replica.key()).unwrap();
        replica.process.restart();
        assert!(replica.serves(), "{}", replica.told());
    }

    // A key that somebody brought is refused, and stays; a lost one is never made anew.
    let own = "ab".repeat(32);
    let mut other = Replica::launch(&folder.path().join("d"), &etcd.store());
    assert!(!other.serves());
    assert!(other.told().contains("is missing"), "{}", other.told());
    assert!(!other.key().exists());
    std::fs::copy(&key, other.key()).unwrap();
    std::fs::write(other.key(), &own).unwrap();
    other.process.restart();
    assert!(!other.serves());
    assert!(other.told().contains("is not the key"), "{}", other.told());
    assert_eq!(std::fs::read_to_string(other.key()).unwrap(), own);
}

/// The status and the receipt.
fn post(listen: &Listen, callback_url: &str, id: &str) -> (u16, String) {
    let url = listen.url(callback_url);
    let headers = signers::github(CODE_SECRET, "push", id, b"{}");
    let answer =
        Connection::open(&url).and_then(|mut to| to.request("POST", &url, &headers, b"{}"));
    let answer = answer.unwrap();
    (answer.status, answer.receipt().to_owned())
}

fn durability(serve: &Serve) -> (String, usize) {
    let durability = &serve.items(&["groups", "acme/code"])[0]["status"]["durability"];
    let reasons = durability["reasons"].as_array().unwrap().len();
    (durability["receipt"].as_str().unwrap().to_owned(), reasons)
}

const WEAKNESS: &str = "hookplane_control_plane_log_weakness{";

#[test]
fn two_replicas_are_one_control_plane_and_either_may_go() {
    let (etcd, postgres) = (Etcd::start(1), Postgres::start_pair());
    let folder = tempfile::tempdir().unwrap();
    let backends = Backends {
        store: etcd.store(),
        log: postgres.database("hooks"),
    };
    let mut one = Serve::start_at(folder.path(), &backends, &[]);
    let two = Serve::start_at(folder.path(), &backends, &[]);
    let listen = Listen::start_many(&[&one, &two], "l", &[]);
    one.apply(CODE);
    let url = two.callback_url("acme/code");
    assert_eq!(url, one.callback_url("acme/code"));
    assert_eq!(post(&listen, &url, "1"), (200, "replicated".to_owned()));
    assert_eq!(durability(&two), ("replicated".to_owned(), 0));
    assert!(!two.metrics().contains(WEAKNESS));
    // One log: what one knows is a repeat to the other, and both tell all.
    one.process().kill();
    assert_eq!(post(&listen, &url, "1"), (200, "duplicate".to_owned()));
    assert_eq!(post(&listen, &url, "2"), (200, "replicated".to_owned()));
    assert_eq!(two.tail("acme/code/all", &[]).len(), 2);
    one.process().restart();
    one.wait_until_ready();
    assert_eq!(one.tail("acme/code/all", &[]).len(), 2);
}

// Risk 2: a database that can lose what it acknowledged is refused, or what it is worth is said wherever somebody looks.
#[test]
fn weaker_durability_is_refused_or_told_in_receipts_in_get_and_in_a_metric() {
    let (etcd, postgres) = (Etcd::start(1), Postgres::start_alone(&[]));
    let folder = tempfile::tempdir().unwrap();
    let backends = Backends {
        store: etcd.store(),
        log: postgres.database("hooks"),
    };
    let said = refused(folder.path(), &backends.store, &backends.log, &[]);
    assert!(said.contains("--accept-weaker-durability"), "{said}");
    assert!(said.contains("synchronous_standby_names"), "{said}");

    let serve = Serve::start_at(folder.path(), &backends, &["--accept-weaker-durability"]);
    let listen = Listen::start(&serve, "l", &[]);
    serve.apply(CODE);
    let url = serve.callback_url("acme/code");
    assert_eq!(post(&listen, &url, "1"), (200, "degraded".to_owned()));
    assert_eq!(durability(&serve), ("degraded".to_owned(), 1));
    let table = serve.ok(&["get", "groups"]);
    assert!(table.contains("degraded: "), "{table}");
    let metrics = serve.metrics();
    assert!(metrics.contains(WEAKNESS), "{metrics}");
    assert!(metrics.contains("log_receipt{receipt=\"degraded\"} 1"));
}

/// Callbacks posted at once, each at one of the listeners; their answers.
fn post_at_once(posts: &[(&Listen, &str)], url: &str) -> Vec<(u16, String)> {
    std::thread::scope(|scope| {
        let posts: Vec<_> = posts
            .iter()
            .map(|(listen, id)| scope.spawn(move || post(listen, url, id)))
            .collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    })
}

// Risk 11: whichever replica holds the callbacks when it is killed, who sent them hears 2xx. Risk 7: and the same one that comes in at two
// listeners of two replicas at once is one event, while another state under its id is another one.
#[test]
fn a_killed_replica_costs_no_answer_and_one_callback_at_two_replicas_is_one_event() {
    const AT_ONCE: usize = 20;
    let (etcd, postgres) = (Etcd::start(1), Postgres::start_pair());
    let folder = tempfile::tempdir().unwrap();
    let backends = Backends {
        store: etcd.store(),
        log: postgres.database("hooks"),
    };
    let mut replicas = [
        Serve::start_at(folder.path(), &backends, &[]),
        Serve::start_at(folder.path(), &backends, &[]),
    ];
    let both = Listen::start_many(&[&replicas[0], &replicas[1]], "both", &[]);
    replicas[0].apply(CODE);
    let url = replicas[0].callback_url("acme/code");
    assert_eq!(post(&both, &url, "first").0, 200);
    let waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'hooks' AND wait_event = 'SyncRep'";
    let standby = postgres.standby();
    // One of the two rounds kills the one that holds them, since nothing else moves them.
    for (round, replica) in replicas.iter_mut().enumerate() {
        let ids: Vec<_> = (0..AT_ONCE).map(|n| format!("{round}-{n}")).collect();
        let posts: Vec<_> = ids.iter().map(|id| (&both, &**id)).collect();
        // Commits wait for it, and so does whoever sent them.
        postgres.freeze(standby);
        let answers = std::thread::scope(|scope| {
            let answers = scope.spawn(|| post_at_once(&posts, &url));
            eventually("a commit waits", || {
                (postgres.sql("postgres", waiting) == "t").then_some(())
            });
            replica.process().kill();
            postgres.thaw(standby);
            answers.join().unwrap()
        });
        assert!(answers.iter().all(|(s, _)| *s == 200), "{answers:?}");
        replica.process().restart();
        replica.wait_until_ready();
    }
    let events = || postgres.sql("hooks", "SELECT count(*) FROM hookplane.events");
    assert_eq!(
        events(),
        (1 + 2 * AT_ONCE).to_string(),
        "none is there twice"
    );

    let at = |replica: &Serve, name: &str| {
        Listen::start_through(&replicas[0], &[replica.api_url().to_owned()], name)
    };
    let (a, b) = (at(&replicas[0], "a"), at(&replicas[1], "b"));
    for n in 0..AT_ONCE {
        let id = format!("same-{n}");
        let mut answers = post_at_once(&[(&a, &id), (&b, &id)], &url);
        answers.sort();
        let expected = ["duplicate", "replicated"].map(|receipt| (200, receipt.to_owned()));
        assert_eq!(answers, expected);
    }
    assert_eq!(events(), (1 + 3 * AT_ONCE).to_string());
    let headers = signers::github(CODE_SECRET, "push", "same-0", b"{\"n\":1}");
    let at = a.url(&url);
    let other = Connection::open(&at)
        .and_then(|mut to| to.request("POST", &at, &headers, b"{\"n\":1}"))
        .unwrap();
    assert_eq!((other.status, other.receipt()), (200, "replicated"));
    assert_eq!(events(), (2 + 3 * AT_ONCE).to_string());
}

/// What a `serve` says that must end with 1. No password is in it.
fn refused(folder: &Path, store: &str, log: &str, more: &[&str]) -> String {
    let at = |name: &str| folder.join(name).into_os_string();
    let mut all: Vec<OsString> = [
        "serve",
        "--api",
        "127.0.0.1:0",
        "--store",
        store,
        "--log",
        log,
    ]
    .map(OsString::from)
    .to_vec();
    all.extend(["--seal-key".into(), at("seal.key")]);
    all.extend(["--bootstrap-token".into(), at("admin.token")]);
    all.extend(more.iter().map(OsString::from));
    let output = folder.join(format!("refused-{}", free_port()));
    let mut process = Process::start(all, &[], &output);
    assert_eq!(process.wait(), Some(1), "{}", process.printed());
    let said = process.printed();
    assert!(!said.contains("a-password-for-tests"), "{said}");
    said
}

// Risk 30, towards etcd and PostgreSQL: certificates are replaced while it runs, and new connections show the new ones.
#[test]
fn backends_are_reached_over_tls_with_certificates_that_are_replaced() {
    /// Longer than starting everything takes.
    const SHORT: Duration = Duration::from_secs(20);
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    for name in ["etcd", "postgres"] {
        pki.issue(name, DAY);
    }
    let mut etcd = Etcd::start_tls(&pki);
    let mut postgres = Postgres::start_tls(&pki);
    let backends = Backends {
        store: etcd.store(),
        log: postgres.database("hooks"),
    };
    let at = |name: &str, extension: &str| pki.path(name, extension).display().to_string();
    let (ca, cert, key) = (at("ca", "crt"), at("serve", "crt"), at("serve", "key"));
    let flags = [
        "--store-tls-ca",
        &ca,
        "--store-tls-cert",
        &cert,
        "--store-tls-key",
        &key,
        "--log-tls-ca",
        &ca,
        "--log-tls-cert",
        &cert,
        "--log-tls-key",
        &key,
        "--accept-weaker-durability",
    ];
    // What may take a while is done before it counts.
    binary();
    pki.issue("serve", SHORT);
    let began = Instant::now();
    let mut serve = Serve::start_at(folder.path(), &backends, &flags);
    let group = serve.manifest_file(CODE.split("---").next().unwrap());
    serve.ok(&["apply", "-f", &group, "--no-wait"]);
    // Nothing that is open is plain, or without a certificate.
    let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = 'hooks' AND (NOT ssl OR client_serial IS NULL)";
    assert_eq!(postgres.sql("postgres", plain), "0");

    pki.issue("serve", DAY);
    eventually("the first certificate expires", || {
        (began.elapsed() > SHORT + Duration::from_secs(2)).then_some(())
    });
    // Both lose all connections; with the old certificate there would be no new ones.
    etcd.restart(0);
    postgres.restart(0);
    serve.wait_until_ready();
    eventually("configuration is written again", || {
        let applied = serve.run(&["apply", "-f", &serve.manifest_file(CODE), "--no-wait"]);
        applied.status.success().then_some(())
    });
    eventually("events are read again", || {
        let read = serve.run(&["get", "events", "acme/code"]);
        read.status.success().then_some(())
    });
    assert_eq!(postgres.sql("postgres", plain), "0");
}

#[test]
fn a_backend_that_is_not_believed_or_wants_more_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    for name in ["etcd", "postgres", "serve"] {
        pki.issue(name, DAY);
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = Pki::new(elsewhere.path()).ca_file().display().to_string();
    let (etcd, postgres) = (Etcd::start_tls(&pki), Postgres::start_tls(&pki));
    let embedded = format!("embedded:{}", folder.path().join("data").display());
    let ca = pki.ca_file().display().to_string();
    let log = postgres.database("hooks");
    let refused = |store: &str, log: &str, more: &[&str]| refused(folder.path(), store, log, more);
    for (store, log, flag) in [
        (etcd.store(), embedded.clone(), "--store-tls-ca"),
        (embedded.clone(), log.clone(), "--log-tls-ca"),
    ] {
        let said = refused(&store, &log, &[flag, &stranger]);
        assert!(said.contains("invalid peer certificate"), "{said}");
        // Believed, but it wants a certificate of ours.
        let said = refused(&store, &log, &[flag, &ca]);
        let wanted = flag.replace("-ca", "-cert");
        assert!(said.contains(&wanted), "{said}");
        // Plain is no way in.
        let said = refused(&store, &log, &[]);
        assert!(said.contains(flag), "{said}");
    }
    let said = refused(&embedded, &log, &[]);
    assert!(said.contains("no pg_hba.conf entry"), "{said}");
}
