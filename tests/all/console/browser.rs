//! The console in a real browser: Debian's Chromium, driven by the scripts in `tests/browser`.
//!
//! Screenshots are left in `target/screenshots`, for people to look through.

use std::path::{Path, PathBuf};
use std::process::Command;

use hookplane_tests::product::Dev;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs one of the scripts against a console. It says what it found, and fails with what is wrong.
fn run(script: &str, dev: &Dev, environment: &[(&str, &str)]) {
    let setup = Command::new(top().join("tests/browser/setup"))
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&setup.stderr);
    assert!(setup.status.success(), "{said}");
    let output = Command::new("node")
        .arg(top().join("target/browser").join(script))
        .env("CONSOLE", dev.api_url())
        .env("TOKEN", dev.token())
        .env("SCREENSHOTS", top().join("target/screenshots"))
        .envs(environment.iter().copied())
        .output()
        .expect("node is installed");
    let (said, wrong) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{wrong}");
}

#[test]
fn every_page_is_accessible_narrow_and_dark_and_works_without_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    run("pages.mjs", &dev, &[]);
}

#[test]
fn live_views_show_what_comes_and_can_be_paused() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    run("live.mjs", &dev, &[]);
}
