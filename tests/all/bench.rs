//! The benchmark command, run small. What it measures is for people; that it measures, and what it calls an answer, is checked here.

use std::process::Command;

use serde_json::Value;

#[test]
fn the_benchmark_measures_each_case_under_each_load_and_finds_all_that_was_kept() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--seconds", "0.1", "--rounds", "2", "--bytes", "300,2000"])
        .args(["--connections", "4", "--rate", "200", "-o", "json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    // Six cases: closed in both sizes, open and cold in one.
    assert_eq!(rows.len(), 6 * 4);
    let mut kept = 0;
    for row in rows {
        assert!(row["requests"].as_u64().unwrap() > 0, "{row}");
        assert!(row["serverMicros"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["serverRatio"].as_f64().unwrap() > 0.0, "{row}");
        if row["case"] == "kept" {
            assert!(row["controlPlaneMicros"].as_f64().unwrap() > 0.0, "{row}");
            kept += row["requests"].as_u64().unwrap();
        }
    }
    assert!(report["keptAndFound"].as_u64().unwrap() >= kept);
}

// Promise 7, over both backends: bytes per change don't grow with the groups. That each change is encoded once, and that no stream is sent a
// full list at a restart of its replica, the command sees to itself, and fails.
#[test]
fn a_change_costs_each_stream_the_same_at_any_number_of_groups_and_a_restart_costs_no_list() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["config", "--cases", "10x100,1000x100"])
        .args(["--edits", "10", "--pause", "0.01", "--idle", "0.1"])
        .args(["--stores", "embedded,etcd"])
        .args(["-o", "json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let of = |row: &Value| (row["store"].to_string(), row["groups"].as_u64().unwrap());
    let cases: Vec<_> = rows.iter().map(of).collect();
    let case = |store: &str, groups| (format!("{store:?}"), groups);
    assert_eq!(
        cases,
        [
            case("embedded", 10),
            case("embedded", 1_000),
            case("etcd", 10),
            case("etcd", 1_000)
        ]
    );
    for both in rows.chunks(2) {
        let bytes = |row: &Value| row["bytesPerChangeAndStream"].as_u64().unwrap();
        let (few, many) = (bytes(&both[0]), bytes(&both[1]));
        assert!(few > 0);
        // Revisions are written with a byte more when they are larger.
        assert!(few.abs_diff(many) <= 8, "{few} bytes, then {many}");
    }
    let lists = report["lists"].as_array().unwrap();
    for (list, groups) in lists.iter().zip([10, 1_000, 10, 1_000]) {
        // The group, its template, its webhook; and the connector that all of them pin.
        assert_eq!(list["resources"].as_u64().unwrap(), 3 * groups + 1);
    }
}

#[test]
fn an_unknown_option_or_a_value_without_bounds_is_refused() {
    for arguments in [
        &["--sizes", "1"][..],
        &["--loads", "warm"],
        &["--rounds", "1000000"],
        &["--seconds", "x"],
        &["config", "--cases", "10x1000000"],
        &["config", "--cases", "9x1,8x1"],
        &["config", "--cases", "9"],
        &["config", "--stores", "paper"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("bench: "));
    }
}

#[test]
fn the_benchmark_of_deliveries_delivers_all_of_them_both_ways() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["deliver", "--events", "200", "--rounds", "2", "-o", "json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for row in report["rows"].as_array().unwrap() {
        assert!(row["deliveriesPerSecond"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["controlPlaneMicros"].as_f64().unwrap() > 0.0, "{row}");
    }
}
