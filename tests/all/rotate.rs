//! A callback URL is rotated by a command: what it prints, what is answered at the old one, who may.

use std::process::Output;

use hookplane_tests::http::post;
use hookplane_tests::product::{CODE, CODE_SECRET, Dev, Listen, Serve};
use hookplane_tests::signers;

const ROTATE: [&str; 3] = ["rotate", "url", "acme/code"];

/// The new URL, alone on stdout, and what stderr says.
fn printed(output: Output) -> (String, String) {
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let url = stdout.strip_suffix('\n').expect("a line");
    assert!(
        url.starts_with("http") && !url.contains(char::is_whitespace),
        "{stdout}"
    );
    (url.to_owned(), stderr)
}

fn rotated(dev: &Dev, more: &[&str]) -> (String, String) {
    let output = dev.run(&[&ROTATE, more].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    printed(output)
}

/// What a genuine callback is answered there.
fn answered(url: &str, delivery: &str) -> u16 {
    let headers = signers::github(CODE_SECRET, "push", delivery, b"{}");
    post(url, &headers, b"{}").unwrap().status
}

#[test]
fn a_rotated_url_and_the_old_one_both_take_callbacks_until_the_overlap_ends() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(CODE);
    let first = dev.callback_url("acme/code");

    let (second, said) = rotated(&dev, &[]);
    assert_ne!(second, first);
    assert_eq!(dev.callback_url("acme/code"), second);
    let group = &dev.items(&["groups", "acme/code"])[0];
    let until = group["status"]["retiringUrls"][0]["expireTime"]
        .as_str()
        .unwrap();
    let (updated, ends) = (
        group["metadata"]["updateTime"].as_str().unwrap(),
        until.parse::<prost_types::Timestamp>().unwrap().seconds,
    );
    let updated = updated.parse::<prost_types::Timestamp>().unwrap().seconds;
    assert!(
        (ends - updated - 7 * 86_400).abs() <= 1,
        "seven days: {group}"
    );
    assert!(said.contains(until) && said.contains(&first), "{said}");
    assert_eq!(answered(&first, "d-1"), 200);
    assert_eq!(answered(&second, "d-2"), 200);

    // Whoever rotates what has leaked sees that older ones go on.
    let (third, said) = rotated(&dev, &["--overlap", "0"]);
    assert!(said.contains("404") && said.contains(&first), "{said}");
    assert!(!said.contains(&second), "{said}");
    assert_eq!(answered(&second, "d-3"), 404, "it ends at once");
    assert_eq!(answered(&first, "d-4"), 200, "it has its seven days");
    assert_eq!(answered(&third, "d-5"), 200);
    assert_eq!(dev.items(&["events", "acme/code"]).len(), 4);

    for _ in 0..7 {
        rotated(&dev, &["--overlap", "1h", "--no-wait"]);
    }
    let full = dev.refused(&ROTATE, 1);
    assert!(
        full.contains("8 old") && full.contains("--overlap 0"),
        "{full}"
    );
    let disabled = CODE.replace("connector: github", "connector: github\n  disabled: true");
    dev.apply(&disabled);
    let (_, said) = rotated(&dev, &["--overlap", "0"]);
    assert!(said.contains("disabled"), "{said}");
}

#[test]
fn a_rotation_that_is_refused_says_why_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(CODE);
    let url = dev.callback_url("acme/code");
    let viewer = dev.ok(&["token", "create", "--org", "acme", "--role", "viewer"]);
    let mut command = dev.command(&ROTATE);
    let refused = command.env("HOOKPLANE_TOKEN", viewer.trim());
    let refused = refused.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.is_empty());
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("an editor or an admin"), "{why}");

    let unknown = dev.refused(&["rotate", "url", "acme/other"], 1);
    assert!(
        unknown.contains("acme/other") && unknown.contains("hookplane get"),
        "{unknown}"
    );
    for overlap in ["soon", "91d", "-1d", "90"] {
        let wrong = format!("--overlap={overlap}");
        dev.refused(&[&ROTATE[..], &[&wrong]].concat(), 2);
    }
    dev.refused(&["rotate", "url", "acme"], 2);
    assert_eq!(dev.callback_url("acme/code"), url);
    let group = &dev.items(&["groups", "acme/code"])[0];
    assert_eq!(group["status"]["retiringUrls"].as_array().unwrap().len(), 0);
}

#[test]
fn a_rotation_is_done_once_every_listener_takes_the_new_url_or_says_that_it_waited() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &[]);
    let manifest = serve.manifest_file(CODE);
    serve.ok(&["apply", "-f", &manifest, "--no-wait"]);
    let waited = serve.run(&ROTATE);
    assert_eq!(waited.status.code(), Some(1));
    let (url, said) = printed(waited);
    assert_eq!(serve.callback_url("acme/code"), url, "it is rotated");
    assert!(
        said.contains("not live") && said.contains("--no-wait"),
        "{said}"
    );
    serve.ok(&[&ROTATE[..], &["--no-wait"]].concat());

    let listeners = ["one", "two"].map(|name| Listen::start(&serve, name, &[]));
    let old = serve.callback_url("acme/code");
    let new = serve.ok(&[&ROTATE[..], &["--overlap", "0"]].concat());
    for (n, listener) in listeners.iter().enumerate() {
        let at = |url: &str| answered(&listener.url(url), &format!("d-{n}"));
        assert_eq!(at(&old), 404);
        assert_eq!(at(new.trim()), 200);
    }
}
