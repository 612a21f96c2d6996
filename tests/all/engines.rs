//! The servers the other tests stand on do what those tests take for granted.

use hookplane_tests::engines::etcd::Etcd;
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::product::eventually;

#[test]
fn etcd_elects_another_leader() {
    let mut etcd = Etcd::start(3);
    let leader = eventually("they elect", || etcd.leader());
    etcd.kill(leader);
    let next = eventually("they elect again", || etcd.leader());
    assert_ne!(next, leader);
    etcd.restart(leader);
    etcd.wait_until_healthy(leader);
    etcd.freeze(next);
    let third = eventually("and again", || etcd.leader().filter(|one| *one != next));
    etcd.thaw(next);
    etcd.wait_until_healthy(next);
    assert_ne!(third, next);
}

#[test]
fn postgres_standby_takes_over() {
    let mut postgres = Postgres::start_pair();
    let url = postgres.database("x");
    assert!(url.contains("/x?"));
    postgres.sql("x", "CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
    let old = postgres.primary();
    postgres.kill(old);
    postgres.promote();
    assert_eq!(
        postgres.sql_on(postgres.primary(), "x", "SELECT n FROM t"),
        "1"
    );
    postgres.rejoin();
    postgres.sql("x", "INSERT INTO t VALUES (2)");
    assert_eq!(postgres.sql_on(old, "x", "SELECT count(*) FROM t"), "2");
}

// A primary that is only frozen may wake up: it is killed first, with all its processes, however many there are.
#[test]
fn nothing_of_a_frozen_postgres_is_left_once_it_is_killed() {
    let mut postgres = Postgres::start_pair();
    postgres.sql("postgres", "CREATE TABLE t (n int)");
    let old = postgres.primary();
    let pid = |line: &str| line.trim().parse::<u32>().unwrap();
    let processes = postgres.sql("postgres", "SELECT pid FROM pg_stat_activity");
    let processes: Vec<_> = processes.lines().map(pid).collect();
    postgres.freeze(old);
    postgres.kill(old);
    eventually("its processes are gone", || {
        let gone = |pid: &u32| !std::path::Path::new(&format!("/proc/{pid}/fd/0")).exists();
        processes.iter().all(gone).then_some(())
    });
    postgres.promote();
    postgres.rejoin();
    postgres.sql("postgres", "INSERT INTO t VALUES (1)");
    eventually("the new standby is waited for", || {
        postgres.is_in_step().then_some(())
    });
}
