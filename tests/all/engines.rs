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
