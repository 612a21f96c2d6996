//! Bodies of every kind, handshakes and answers, over real HTTP through both servers.

use std::path::Path;

use hookplane_tests::http::{Answer, Connection, post};
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::signers;

/// A connector of the org's own, with this protocol, and a group of it with one webhook.
fn manifests(protocol: &str, group: &str, filter: &str) -> String {
    let indented = |text: &str, by: &str| -> String {
        text.trim_matches('\n')
            .lines()
            .map(|line| format!("{by}{line}\n"))
            .collect()
    };
    format!(
        r#"
apiVersion: hookplane.dev/v1
kind: Connector
metadata: {{org: acme, name: erp}}
spec:
  displayName: ERP
  parameters: [{{name: verify-token, secret: true}}]
  functions:
    - name: hooks
      openEvents: true
      setup: Paste the URL.
  protocol:
{}---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {{org: acme, name: erp}}
spec:
  connector: erp
  registeredEvents: ["*"]
{}---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {{org: acme, group: erp, name: all}}
spec:
  label: All
  active: true
  events: ["*"]
  filter: {filter:?}
  destinations: [{{subscribe: {{}}}}]
"#,
        indented(protocol, "    "),
        indented(group, "  "),
    )
}

/// What a test sends to, and reads at.
struct Rig {
    _folder: tempfile::TempDir,
    dev: Dev,
    url: String,
}

fn data(folder: &Path) -> std::path::PathBuf {
    folder.join("data")
}

fn start(protocol: &str, group: &str, filter: &str) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&data(folder.path()));
    dev.apply(&manifests(protocol, group, filter));
    let url = dev.callback_url("acme/erp");
    Rig {
        _folder: folder,
        dev,
        url,
    }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

impl Rig {
    fn send(&self, method: &str, query: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let url = match query {
            "" => self.url.clone(),
            query => format!("{}?{query}", self.url),
        };
        let mut connection = Connection::open(&url).unwrap();
        connection
            .request(method, &url, &owned(headers), body.as_bytes())
            .unwrap()
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        self.dev.tail("acme/erp/all", &[])
    }
}

const TOKEN: &str = r#"
schemes: [{name: token, token: {location: "header:X-Token"}}]
"#;
const SECRET: &str = "signatureSecrets: [{value: s3cret-of-tests}]";
const HEADER: (&str, &str) = ("x-token", "s3cret-of-tests");

#[test]
fn an_xml_event_is_filtered_and_read_as_json() {
    let protocol =
        format!("{TOKEN}extract: {{eventType: [{{from: \"json:/Envelope/Body/type\"}}]}}\n");
    let rig = start(&protocol, SECRET, "int(payload.Envelope.Body.total) > 10");
    let send = |total: u32| {
        let body = format!(
            "<s:Envelope xmlns:s='urn:s'><s:Body><type>paid</type><total>{total}</total></s:Body></s:Envelope>"
        );
        rig.send("POST", "", &[HEADER, ("content-type", "text/xml")], &body)
    };
    assert_eq!(
        (send(12).receipt(), send(7).receipt()),
        ("synced", "not-kept")
    );
    let lines = rig.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["event"]["type"], "paid");
    assert_eq!(lines[0]["payload"]["Envelope"]["Body"]["total"], "12");
}

#[test]
fn a_multipart_event_is_filtered_by_its_fields() {
    let protocol = format!("{TOKEN}extract: {{eventType: [{{from: \"form:event\"}}]}}\n");
    let rig = start(&protocol, SECRET, "payload.event == 'bounced'");
    let body = "--b\r\nContent-Disposition: form-data; name=\"event\"\r\n\r\nbounced\r\n\
                --b\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"a.txt\"\r\n\r\nhello\r\n--b--\r\n";
    let content_type = ("content-type", "multipart/form-data; boundary=b");
    let answer = rig.send("POST", "", &[HEADER, content_type], body);
    assert_eq!((answer.status, answer.receipt()), (200, "synced"));
    let lines = rig.lines();
    assert_eq!(lines[0]["event"]["type"], "bounced");
    assert_eq!(lines[0]["payload"], serde_json::json!({"event": "bounced"}));
}

#[test]
fn each_line_of_ndjson_is_an_event() {
    let protocol = format!(
        "{TOKEN}extract: {{eventType: [{{from: \"item:/type\"}}]}}\nbatch: {{items: \"json:\"}}\n"
    );
    let rig = start(&protocol, SECRET, "payload.n > 1");
    let body = "{\"type\":\"a\",\"n\":1}\n{\"type\":\"b\",\"n\":2}\n{\"type\":\"c\",\"n\":3}\n";
    let content_type = ("content-type", "application/x-ndjson");
    let answer = rig.send("POST", "", &[HEADER, content_type], body);
    assert_eq!((answer.status, answer.receipt()), (200, "synced"));
    let lines = rig.lines();
    let types: Vec<_> = lines
        .iter()
        .map(|line| line["event"]["type"].clone())
        .collect();
    assert_eq!(types, ["b", "c"]);
    assert_eq!(
        lines[1]["payload"],
        serde_json::json!({"type": "c", "n": 3})
    );
}

#[test]
fn a_hub_challenge_is_echoed_for_the_right_token_alone() {
    let protocol = format!(
        "methods: [POST, GET]\n{TOKEN}{}",
        r#"
handshakes:
  - name: hub
    when: {method: GET, present: "query:hub.challenge"}
    unverified: true
    require: [{location: "query:hub.verify_token", equals: "{param:verify-token}"}]
    refusalStatus: 403
    challenge: {location: "query:hub.challenge", maxLength: 32}
    reply: {contentType: text/plain, body: "{challenge}"}
"#
    );
    let group = format!("{SECRET}\nparameters: {{verify-token: right}}\n");
    let rig = start(&protocol, &group, "true");
    let ask = |token: &str| {
        let query = format!("hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1158201444");
        rig.send("GET", &query, &[], "")
    };
    let answer = ask("right");
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, b"1158201444".as_slice())
    );
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let wrong = ask("wrong");
    assert_eq!(
        (wrong.status, wrong.body.as_slice()),
        (403, b"Forbidden".as_slice())
    );
    let refusal = eventually("the refusal can be read", || {
        rig.dev.items(&["refusals", "acme/erp"]).first().cloned()
    });
    let text = refusal.to_string();
    assert!(text.contains("handshake") && text.contains("403"), "{text}");
    assert!(!text.contains("right"), "{text}");
    assert!(rig.dev.items(&["events", "acme/erp"]).is_empty());
}

#[test]
fn the_validation_of_cloudevents_by_options_is_answered_with_headers() {
    let protocol = format!(
        "methods: [POST, OPTIONS]\n{TOKEN}{}",
        r#"
handshakes:
  - name: validation
    when: {method: OPTIONS, present: "header:WebHook-Request-Origin"}
    unverified: true
    challenge: {location: "header:WebHook-Request-Origin", also: ".-", maxLength: 128}
    reply: {headers: {WebHook-Allowed-Origin: "{challenge}", WebHook-Allowed-Rate: "*"}}
"#
    );
    let rig = start(&protocol, SECRET, "true");
    let ask = |method: &str, origin: &str| {
        rig.send(method, "", &[("webhook-request-origin", origin)], "")
    };
    let answer = ask("OPTIONS", "events.example.com");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("webhook-allowed-origin"),
        Some("events.example.com")
    );
    assert_eq!(answer.header("webhook-allowed-rate"), Some("*"));
    let bad = ask("OPTIONS", "<script>");
    assert_eq!(
        (bad.status, bad.header("webhook-allowed-origin")),
        (400, None)
    );
    let other = ask("PUT", "events.example.com");
    assert_eq!(
        (other.status, other.header("allow")),
        (405, Some("POST, OPTIONS"))
    );
}

/// Asana's kind: the secret comes in a header, goes back in the same, and signs from then on.
const LEARN: &str = r#"
schemes:
  - name: body
    hmac: {hash: sha256, content: "{body}", signature: "header:X-Hook-Signature", encoding: hex}
handshakes:
  - name: secret
    when: {present: "header:X-Hook-Secret"}
    unverified: true
    challenge: {location: "header:X-Hook-Secret", also: "-", maxLength: 128}
    learn: "header:X-Hook-Secret"
    reply: {headers: {X-Hook-Secret: "{challenge}"}}
extract: {eventType: [{from: "json:/type"}]}
"#;

#[test]
fn a_secret_that_the_provider_hands_over_is_kept_across_a_restart_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(&data(folder.path()));
    let text = manifests(LEARN, "learnSecret: true", "true");
    dev.apply(&text);
    let url = dev.callback_url("acme/erp");
    let secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let offer = |secret: &str| post(&url, &owned(&[("x-hook-secret", secret)]), b"{}").unwrap();
    let sent = |secret: &str, body: &str| {
        let signature = signers::hmac_sha256_hex(secret, body.as_bytes());
        let headers = [
            ("x-hook-signature", &*signature),
            ("content-type", "application/json"),
        ];
        post(&url, &owned(&headers), body.as_bytes()).unwrap()
    };
    // Before, nothing is genuine.
    assert_eq!(sent(secret, r#"{"type":"early"}"#).status, 401);
    let answer = offer(secret);
    assert_eq!(
        (answer.status, answer.header("x-hook-secret")),
        (200, Some(secret))
    );
    // The listener has it as soon as it has the group's new version.
    eventually("what it signs is kept", || {
        let answer = sent(secret, r#"{"type":"first"}"#);
        (answer.status == 200).then_some(())
    });
    let stored = dev.items(&["groups", "acme/erp"]);
    assert!(stored[0].to_string().contains("learned"), "{stored:?}");
    assert!(!stored[0].to_string().contains(secret), "{stored:?}");
    // A manifest that doesn't mention it keeps it.
    dev.apply(&text);
    dev.restart();
    // The same again is a provider that didn't hear the answer; another one is nobody's.
    assert_eq!(offer(secret).status, 200);
    let other = offer("ffffffffffffffffffffffffffffffff");
    assert_eq!((other.status, other.header("x-hook-secret")), (403, None));
    assert_eq!(sent("ffffffffffffffffffffffffffffffff", "{}").status, 401);
    assert_eq!(sent(secret, r#"{"type":"second"}"#).status, 200);
    let refusal = eventually("the refusal can be read", || {
        let all = dev.items(&["refusals", "acme/erp"]);
        all.into_iter().find(|one| one.to_string().contains("403"))
    });
    let text = refusal.to_string();
    assert!(
        text.contains("another secret") && !text.contains("ffffffff"),
        "{text}"
    );
    let types: Vec<_> = dev
        .tail("acme/erp/all", &[])
        .iter()
        .map(|line| line["event"]["type"].clone())
        .collect();
    assert!(
        types.contains(&"first".into()) && types.contains(&"second".into()),
        "{types:?}"
    );
}

#[test]
fn a_code_for_a_person_is_shown_on_its_group() {
    let protocol = format!(
        "{TOKEN}{}",
        r#"
handshakes:
  - name: code
    when: {present: "json:/verificationCode"}
    unverified: true
    show: "json:/verificationCode"
"#
    );
    let rig = start(&protocol, SECRET, "true");
    let body = r#"{"verificationCode": "ab12-cd34"}"#;
    let answer = rig.send("POST", "", &[("content-type", "application/json")], body);
    assert_eq!((answer.status, answer.receipt()), (200, ""));
    let group = eventually("the code is shown", || {
        let group = rig.dev.items(&["groups", "acme/erp"]).first().cloned()?;
        (!group["status"]["handshakeCode"].is_null()).then_some(group)
    });
    assert_eq!(group["status"]["handshakeCode"]["code"], "ab12-cd34");
    assert!(rig.dev.items(&["events", "acme/erp"]).is_empty());
}

#[test]
fn an_answer_says_back_what_came() {
    let protocol = format!(
        "{TOKEN}{}",
        r#"
extract: {eventType: [{from: "json:/type"}]}
answer: {contentType: application/json, body: '{{"id":{json:/id|json}}}', headers: {X-Correlation: "{header:X-Correlation?}"}}
"#
    );
    let rig = start(&protocol, SECRET, "true");
    let headers = [
        HEADER,
        ("content-type", "application/json"),
        ("x-correlation", "c-7"),
    ];
    let answer = rig.send("POST", "", &headers, r#"{"type":"a","id":"x\"y"}"#);
    assert_eq!((answer.status, answer.receipt()), (200, "synced"));
    assert_eq!(answer.body, br#"{"id":"x\"y"}"#);
    assert_eq!(answer.header("x-correlation"), Some("c-7"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let without = rig.send("POST", "", &headers, r#"{"type":"a"}"#);
    assert_eq!(
        (without.status, without.body.len()),
        (200, 0),
        "kept all the same"
    );
}
