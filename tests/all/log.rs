//! The suite of the log's seam, over both backends, and what only the embedded one can do wrong.

use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::{Appended, DeliveryLog, LogError};
use hookplane_proto::v1;
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite;
use hookplane_tests::log_suite::backends::{InDirectory, InPostgres};

fn options() -> Options {
    Options {
        first_back_off: Duration::from_millis(10),
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_log_keeps_the_promises_of_the_seam() {
    log_suite::run(&InDirectory::new(options())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_log_keeps_the_promises_of_the_seam() {
    log_suite::run(&InPostgres::shared()).await;
}

// Risks 6 and 7: where the rules are written twice, they are the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_logs_tell_the_same_repeats() {
    let unsynced = Options {
        sync: false,
        ..options()
    };
    let (embedded, postgres) = (InDirectory::new(unsynced), InPostgres::shared());
    for seed in [1, 2] {
        log_suite::repeats::are_told_alike(&embedded, &postgres, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_notes_and_counts_in_postgres_another_reads_after_a_restart() {
    use hookplane_control_plane::log::{Note, NoteKind, NotesOf};
    use hookplane_tests::log_suite::notes::{counted, counters, noted};

    let dir = tempfile::tempdir().expect("a directory");
    let backend = InPostgres::shared();
    let one = log_suite::Backend::open(&backend, dir.path()).await;
    let two = log_suite::Backend::open(&backend, dir.path()).await;
    for (log, reason) in [(&one, "first"), (&two, "second")] {
        let refusal = v1::Refusal {
            reason: reason.to_owned(),
            ..Default::default()
        };
        log.notes().note(Note::new(NoteKind::Refused, "g", refusal));
        log.notes().count(counters("g", "s"));
        noted(
            log.as_ref(),
            NoteKind::Refused,
            NotesOf::Group("g"),
            9,
            reason,
        )
        .await;
    }
    let both = noted(one.as_ref(), NoteKind::Refused, NotesOf::All, 9, "second").await;
    assert_eq!(both, ["second", "first"]);
    counted(one.as_ref(), &["g"], |counts| counts["g"].refused == 2).await;
    // What waits when one ends is written.
    one.notes().count(counters("g", "s"));
    one.close().await;
    two.close().await;
    let again = log_suite::Backend::open(&backend, dir.path()).await;
    counted(again.as_ref(), &["g"], |counts| counts["g"].refused == 3).await;
    assert_eq!(
        noted(again.as_ref(), NoteKind::Refused, NotesOf::All, 9, "second").await,
        both
    );
    again.close().await;
}

// Risk 4: a lost database is not taken for a new one.
#[tokio::test]
async fn truncated_database_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(TestClock::default());
    let log = EmbeddedLog::open(dir.path(), clock.clone(), options()).expect("opens");
    for n in 0..50 {
        log_suite::keep(log.as_ref(), &format!("e{n}")).await;
    }
    assert!(
        EmbeddedLog::open(dir.path(), clock.clone(), options()).is_err(),
        "two at a time"
    );
    log.close().await;
    let path = dir.path().join("events.db");
    let whole = std::fs::read(&path).expect("reads");
    for keep in [0, 100, 4096, 8192, whole.len() / 2, whole.len() - 4096] {
        std::fs::write(&path, &whole[..keep]).expect("writes");
        let opened = EmbeddedLog::open(dir.path(), clock.clone(), options());
        assert!(
            matches!(
                opened,
                Err(hookplane_control_plane::log::LogError::Damaged(_))
            ),
            "{keep} of {} bytes: {:?}",
            whole.len(),
            opened.err()
        );
    }
}

// Risk 4: tables that this program doesn't know are not guessed at.
#[tokio::test]
async fn log_of_another_version_is_refused_and_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(TestClock::default());
    let log = EmbeddedLog::open(dir.path(), clock.clone(), options()).expect("opens");
    log.close().await;
    let db = rusqlite::Connection::open(dir.path().join("events.db")).expect("opens");
    for (version, advice) in [(1, "to begin anew"), (99, "use a newer program")] {
        db.pragma_update(None, "user_version", version)
            .expect("set");
        let opened = EmbeddedLog::open(dir.path(), clock.clone(), options());
        let error = opened.err().expect("is refused").to_string();
        assert!(error.contains(advice), "{version}: {error}");
    }
}

// Risk 5: what doesn't fit the queue is refused at once, and all that was taken is kept.
#[tokio::test]
async fn full_queue_refuses_the_new() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options {
        queue_callbacks: 4,
        ..options()
    };
    let log =
        EmbeddedLog::open(dir.path(), Arc::new(TestClock::default()), options).expect("opens");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let (mut kept, mut refused) = (0, 0);
    while refused == 0 {
        assert!(tokio::time::Instant::now() < deadline, "it fills up");
        // They all ask before the first is answered.
        let callers: Vec<_> = (0..500)
            .map(|caller| {
                let log = log.clone();
                let id = format!("e{}-{caller}", kept + refused);
                tokio::spawn(async move {
                    let new = log_suite::callback(&id, None, None, 0);
                    let answer = log.append(new, deadline).await;
                    (log.event(&id).await.is_ok(), answer)
                })
            })
            .collect();
        for caller in callers {
            match caller.await.expect("doesn't panic") {
                (true, Ok(Appended::Kept { .. })) => kept += 1,
                (false, Err(LogError::Unavailable(_))) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(kept > 0);
    log_suite::keep(log.as_ref(), "after").await;
    log.close().await;
}

// Risk 9: a dependency that doesn't answer is waited for until the deadline, and no longer.
#[tokio::test]
async fn locked_database_is_answered_in_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let log =
        EmbeddedLog::open(dir.path(), Arc::new(TestClock::default()), options()).expect("opens");
    log_suite::keep(log.as_ref(), "before").await;
    let other = rusqlite::Connection::open(dir.path().join("events.db")).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");
    let asked = tokio::time::Instant::now();
    let new = |id: &str| log_suite::callback(id, None, None, 0);
    let answer = log
        .append(new("a"), asked + Duration::from_millis(100))
        .await;
    // By the deadline, and not by SQLite, which waits for a lock for 2 s.
    assert!(
        matches!(&answer, Err(LogError::Unavailable(why)) if why.contains("too slow")),
        "{answer:?}"
    );
    // The writer gives up too, and says why.
    let answer = log.append(new("b"), asked + Duration::from_secs(30)).await;
    assert!(
        matches!(&answer, Err(LogError::Unavailable(why)) if why.contains("another program")),
        "{answer:?}"
    );
    other.execute_batch("ROLLBACK").expect("unlocks");
    for id in ["a", "b", "c"] {
        log_suite::keep(log.as_ref(), id).await;
    }
    log.close().await;
}

// The write-ahead log is bounded by bytes, whatever the size of what is appended; nobody else on the machine may read the files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_keep_the_write_ahead_log_small_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().expect("a directory");
    let dir = parent.path().join("log");
    let log = EmbeddedLog::open(&dir, Arc::new(TestClock::default()), options()).expect("opens");
    let wal = dir.join("events.db-wal");
    let mut longest = 0;
    for number in 0..40 {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        let answer = log
            .append(log_suite::numbered("a", number, 1 << 20), deadline)
            .await;
        assert!(matches!(answer, Ok(Appended::Kept { .. })), "{answer:?}");
        longest = longest.max(std::fs::metadata(&wal).expect("is there").len());
    }
    // 2,000 pages and the commit that goes past them.
    assert!(longest < 20 << 20, "{longest} bytes");
    for name in [
        "",
        "events.db",
        "events.db-wal",
        "events.db-shm",
        "events.lock",
    ] {
        let mode = std::fs::metadata(dir.join(name))
            .expect("is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
    log.close().await;
}
