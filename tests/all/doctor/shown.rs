//! From a callback that is refused by mistake to what its operator reads.

use std::path::Path;

use hookplane_tests::http::post;
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::signers;

const SETUP: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: money}
spec:
  connector: stripe
  signatureSecrets: [{value: c3ludGhldGljLWtleS1mb3ItdGVzdHM=}]
  registeredEvents: ["*"]
"#;
const NO_GROUP: &str = "apiVersion: hookplane.dev/v1\nkind: Webhook\nmetadata: {org: acme, group: money, name: all}\nspec: {label: All}\n";
const RIGHT: &str = "whsec_c3ludGhldGljLWtleS1mb3ItdGVzdHM=";
const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid"}"#;

fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[test]
fn a_refusal_shows_its_likely_cause() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(SETUP);
    let url = dev.callback_url("acme/money");
    let answer = post(&url, &signers::stripe(RIGHT, now(), BODY), BODY).unwrap();
    assert_eq!(answer.status, 401);

    let status = eventually("a refusal with its cause", || {
        let refusals = dev.items(&["refusals", "acme/money"]);
        let refusal = refusals.first()?["status"].clone();
        (refusal["cause"] == "secret-prefix").then_some(refusal)
    });
    let advice = status["advice"].as_str().unwrap();
    assert!(
        advice.contains("`secret-1` lacks its beginning `whsec_`"),
        "{advice}"
    );

    let text = dev.ok(&["explain", "acme/money"]);
    assert!(
        text.contains("likely cause: secret-prefix (1 time)"),
        "{text}"
    );
    assert!(text.contains(advice), "{text}");
    assert!(!text.contains("c3ludGhldGlj"), "{text}");
    let table = dev.ok(&["get", "refusals", "acme/money"]);
    assert!(table.contains("secret-prefix"), "{table}");

    // Of the same group only one a second is looked at; of the flood all are counted.
    for _ in 0..20 {
        let answer = post(&url, &signers::stripe("wrong", now(), BODY), BODY).unwrap();
        assert_eq!(answer.status, 401);
    }
    eventually("all of them", || {
        let refusals = dev.items(&["refusals", "acme/money"]);
        let looked_at = refusals
            .iter()
            .filter(|one| one["status"]["cause"].is_string());
        let looked_at = looked_at.count();
        assert!(looked_at < 21, "{looked_at} of {}", refusals.len());
        (refusals.len() == 21).then_some(())
    });
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_captured_request_is_explained_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let cli = hookplane_tests::product::Cli::new::<&str>(&folder.path().join("x"), &[]);
    let body = std::str::from_utf8(BODY).unwrap();
    let head: String = signers::stripe(RIGHT, now(), BODY)
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let raw = format!("POST /c/t HTTP/1.1\r\nHost: hooks.example.com\r\n{head}\r\n{body}");
    let request = write(folder.path(), "captured.http", &raw);
    let manifest = write(folder.path(), "money.yaml", SETUP);
    let command = ["explain", "--request", &request, "-f", &manifest];

    let output = cli.run(&command);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("refused by signature: no secret matched"),
        "{said}"
    );
    assert!(said.contains("likely cause: secret-prefix"), "{said}");

    let secret = write(folder.path(), "secret.txt", &format!("{RIGHT}\n"));
    let said = cli.ok(&[&command[..], &["--secret-file", &secret]].concat());
    assert!(
        said.starts_with("genuine: 1 event(s)\ninvoice.paid  delivery id: evt_1"),
        "{said}"
    );

    // Long ago.
    let stale = cli.run(
        &[
            &command[..],
            &["--secret-file", &secret, "--at", "2040-01-01T00:00:00Z"],
        ]
        .concat(),
    );
    let said = String::from_utf8_lossy(&stale.stdout).into_owned();
    assert_eq!(stale.status.code(), Some(1));
    assert!(said.contains("likely cause: timestamp-stale"), "{said}");
    assert!(cli.refused(&["explain"], 2).contains("required"));
    let other = cli.refused(
        &[
            "explain",
            "acme/other",
            "--request",
            &request,
            "-f",
            &manifest,
        ],
        1,
    );
    assert!(other.contains("no such group"), "{other}");
    let empty = write(folder.path(), "empty.yaml", NO_GROUP);
    let empty = cli.refused(&["explain", "--request", &request, "-f", &empty], 1);
    assert!(empty.contains("has no WebhookGroup"), "{empty}");
}
