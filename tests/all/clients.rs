//! The documented example of a client, run as its README says.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hookplane_tests::http::post;
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::signers;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn a_python_client_made_from_the_protos_creates_subscribes_and_acks() {
    let setup = Command::new(top().join("tests/clients/python/setup"))
        .output()
        .unwrap();
    assert!(
        setup.status.success(),
        "{}",
        String::from_utf8_lossy(&setup.stderr)
    );

    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    let made = top().join("target/python-client");
    let mut client = Command::new(made.join("venv/bin/python"))
        .arg(top().join("tests/clients/python/subscriber.py"))
        .env("PYTHONPATH", made.join("generated"))
        .env("HOOKPLANE_API", dev.api_url())
        .env("HOOKPLANE_TOKEN", dev.token())
        .env("GITHUB_WEBHOOK_SECRET", "s3cret-of-python")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut line = |begins: &str| {
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("it ended before `{begins}`"))
            .unwrap();
        let rest = line.strip_prefix(begins);
        rest.unwrap_or_else(|| panic!("`{begins}` expected: {line}"))
            .to_owned()
    };

    let url = line("callback URL: ");
    let body = br#"{"ref": "refs/heads/main", "size": 3}"#;
    let headers = signers::github("s3cret-of-python", "push", "delivery-1", body);
    assert_eq!(post(&url, &headers, body).unwrap().receipt(), "synced");
    assert!(line("event: ").starts_with("push delivery-1 "));
    assert_eq!(
        line("payload: "),
        r#"{"ref": "refs/heads/main", "size": 3}"#
    );
    assert!(client.wait().unwrap().success());
    eventually("what it acknowledged is delivered", || {
        let deliveries = dev.items(&[
            "deliveries",
            "python-example/code/pushes",
            "--status",
            "delivered",
        ]);
        (deliveries.len() == 1).then_some(())
    });
}
