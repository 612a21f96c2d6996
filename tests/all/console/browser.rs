//! The console in a real browser: Debian's Chromium, driven by the scripts in `tests/browser`.
//!
//! Screenshots are left in `target/screenshots`, for people to look through.

mod crowd;

use std::path::{Path, PathBuf};
use std::process::Command;

use hookplane_tests::product::Dev;
use hookplane_tests::salesforce::{App, Org, Stub, plain};
use tokio::runtime::Runtime;

use self::crowd::Crowd;
use super::sign_in::link;

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
fn every_page_in_every_state_is_accessible_at_every_width_light_and_dark() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let crowd = Crowd::of(&dev);
    let environment = [
        ("VIEWER", crowd.viewer.as_str()),
        ("LONG_GROUP", &crowd.group),
        ("LONG_WEBHOOK", &crowd.webhook),
        ("LONG_DESTINATION", &crowd.destination),
    ];
    run("pages.mjs", &dev, &environment);
}

#[test]
fn all_but_live_views_is_done_by_links_and_forms_with_scripts_off() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    run("plain.mjs", &dev, &[]);
}

#[test]
fn everything_is_reached_by_keyboard_and_shows_that_it_has_the_focus() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    run("keyboard.mjs", &dev, &[]);
}

#[test]
fn live_views_show_what_comes_and_can_be_paused() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    run("live.mjs", &dev, &[]);
}

// Let a hidden tab keep its stream, in `assets/console.js`, and the seventh never opens.
#[test]
fn seven_tabs_with_live_views_leave_a_connection_for_the_next_page() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    run("tabs.mjs", &dev, &[]);
}

// The whole proof: a first user, who has nothing but a link, a shop and a Salesforce org.
#[test]
fn a_first_user_comes_from_the_link_to_a_delivered_mapped_record() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let runtime = Runtime::new().unwrap();
    let stub = runtime
        .block_on(Stub::start(Org::shop(App::new(0))))
        .unwrap();
    let (id, secret) = {
        let org = stub.org();
        (org.app.client_id.clone(), org.app.client_secret.clone())
    };
    let environment = [
        ("LINK", link(&dev)),
        ("ORG_URL", stub.url().to_owned()),
        ("CLIENT_ID", id),
        ("CLIENT_SECRET", secret),
    ];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    run("walk.mjs", &dev, &environment);
    // The second order alone: when the first came, nothing was mapped yet.
    let org = stub.org();
    let (orders, lines) = (org.records("Order__c"), org.records("OrderLine__c"));
    assert_eq!((orders.len(), lines.len()), (1, 2), "{orders:?} {lines:?}");
    let order = org.one("Order__c", "Shop_Id__c", "1002").unwrap();
    assert_eq!(order["Total__c"], "1234567890123456.10");
    assert_eq!(plain(&order["Note__c"]), "by the gate");
    for line in ["10021", "10022"] {
        assert!(
            org.one("OrderLine__c", "Line_Id__c", line).is_some(),
            "{line}"
        );
    }
}
