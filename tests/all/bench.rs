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

#[test]
fn an_unknown_option_or_a_value_without_bounds_is_refused() {
    for arguments in [
        ["--sizes", "1"],
        ["--loads", "warm"],
        ["--rounds", "1000000"],
        ["--seconds", "x"],
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
