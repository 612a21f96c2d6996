//! Every clause that can decide about a callback, provoked on the running product, and read as an operator reads it.

use std::collections::BTreeMap;

use hookplane_tests::http::{Answer, Connection, post};
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::signers;
use serde_json::Value;

const SETUP: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec:
  connector: github
  signatureSecrets: [{name: old, value: one-s3cret}, {name: new, value: two-s3cret}]
  registeredEvents: [push, issues]
  maxBodyBytes: 200
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: all}
spec: {label: All, active: true, events: ["*"]}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: broken}
spec: {label: Broken, active: true, events: [issues], filter: payload.number.contains('7')}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: picky}
spec:
  connector: github
  signatureSecrets: [{value: one-s3cret}]
  registeredEvents: [push, issues]
  refuseSuspectedReplays: true
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: picky, name: asleep}
spec: {label: Asleep, active: false, events: ["*"]}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: picky, name: and}
spec: {label: And, active: true, events: [push], filter: payload.n > 0 && payload.ref == 'main' && payload.n > 100}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: picky, name: or}
spec: {label: Or, active: true, events: [push], filter: (payload.n > 0 && payload.ref == 'main') || payload.n > 100}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: picky, name: gap}
spec: {label: Gap, active: true, events: [push], filter: payload.head.id == 'x'}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: picky, name: issues}
spec: {label: Issues, active: true, events: [issues]}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: paused}
spec: {connector: github, signatureSecrets: [{value: one-s3cret}], disabled: true}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: slow}
spec: {connector: github, signatureSecrets: [{value: one-s3cret}], rateLimitPerSecond: 1, registeredEvents: ["*"]}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: slow, name: all}
spec: {label: All, active: true, events: ["*"]}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: money}
spec: {connector: stripe, signatureSecrets: [{value: whsec_one-s3cret}]}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: standard}
spec: {connector: standard-webhooks, signatureSecrets: [{value: whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX}]}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: shop}
spec: {connector: shopify, signatureSecrets: [{value: one-s3cret}], externalId: acme.myshopify.com}
---
apiVersion: hookplane.dev/v1
kind: Connector
metadata: {org: acme, name: erp}
spec:
  displayName: ERP
  functions:
    - name: events
      displayName: Events
      openEvents: true
      protocol:
        schemes: [{name: token, token: {location: "json:/token"}}]
        extract: {eventType: [{from: "json:/type"}]}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: erp}
spec: {connector: erp, signatureSecrets: [{value: one-s3cret}]}
"#;

const BODY: &[u8] = br#"{"n": 7, "ref": "other"}"#;

struct Rig {
    dev: Dev,
    urls: BTreeMap<String, String>,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start(&folder.path().join("data"));
        dev.apply(SETUP);
        let groups = dev.items(&["groups", "acme"]);
        let urls = groups
            .iter()
            .map(|group| {
                (
                    text(group, "/metadata/name"),
                    text(group, "/status/callbackUrl"),
                )
            })
            .collect();
        Self {
            dev,
            urls,
            _folder: folder,
        }
    }

    fn github(&self, group: &str, secret: &str, event: &str, id: &str, body: &[u8]) -> Answer {
        let headers = signers::github(secret, event, id, body);
        post(&self.urls[group], &headers, body).unwrap()
    }

    /// What `get refusals` has of a group, once it has this clause.
    fn why(&self, arguments: &[&str], clause: &str, reason: &str) -> Value {
        eventually(&format!("{clause}: {reason}"), || {
            self.dev.items(arguments).into_iter().find(|refusal| {
                refusal["status"]["clause"] == clause && refusal["status"]["reason"] == reason
            })
        })
    }
}

fn text(item: &Value, pointer: &str) -> String {
    let found = item.pointer(pointer).and_then(Value::as_str);
    found
        .unwrap_or_else(|| panic!("{pointer} of {item}"))
        .to_owned()
}

/// The header of that name taken out.
fn without(headers: signers::Headers, name: &str) -> signers::Headers {
    let kept = headers
        .into_iter()
        .filter(|(of, _)| !of.eq_ignore_ascii_case(name));
    kept.collect()
}

fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[test]
fn what_is_turned_away_says_by_which_clause() {
    let rig = Rig::start();
    let url = |group: &str| rig.urls[group].as_str();
    let signed = |id: &str, body: &[u8]| signers::github("two-s3cret", "push", id, body);

    let unknown = format!("{}{}", &url("code")[..url("code").len() - 4], "0000");
    let unsigned = without(signed("a", BODY), "X-Hub-Signature-256");
    let mut scheme = unsigned.clone();
    scheme.push(("X-Hub-Signature-256".to_owned(), "md5=00".to_owned()));
    let plain = without(signed("a", BODY), "Content-Type");
    let large = vec![b' '; 201];
    let future = signers::standard_webhooks(
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
        "a",
        now() + 2_000,
        BODY,
    );
    let shop = |domain: &str| signers::shopify("one-s3cret", "orders/paid", "a", domain, BODY);
    let erp = vec![("Content-Type".to_owned(), "application/json".to_owned())];

    // Group, URL, headers, body, status, clause, reason.
    #[rustfmt::skip]
    let table: Vec<(&str, &str, signers::Headers, &[u8], u16, &str, &str)> = vec![
        ("", &unknown, signed("a", BODY), BODY, 404, "unknown-url", "unknown callback URL"),
        ("paused", url("paused"), signed("a", BODY), BODY, 404, "disabled", "the group is disabled"),
        ("code", url("code"), unsigned, BODY, 401, "signature", "header x-hub-signature-256 is missing"),
        ("code", url("code"), scheme, BODY, 401, "signature", "header x-hub-signature-256 does not begin with `sha256=`"),
        ("code", url("code"), signers::github("three", "push", "a", BODY), BODY, 401, "signature", "no secret matched (2 tried)"),
        ("code", url("code"), signed("a", &large), &large, 413, "body-too-large", "201 bytes are announced, 200 are taken"),
        ("code", url("code"), plain, BODY, 415, "media-type", "header content-type is missing; taken are application/json, application/x-www-form-urlencoded"),
        ("shop", url("shop"), shop("other.myshopify.com"), BODY, 403, "external-id", "it is of account `other.myshopify.com`, and the group takes only those of `acme.myshopify.com`"),
        ("shop", url("shop"), without(shop("x"), "X-Shopify-Shop-Domain"), BODY, 403, "external-id", "it names no account, and the group takes only those of `acme.myshopify.com`"),
        ("erp", url("erp"), erp, b"{\"token\": \"one-s3cret\", nonsense}", 400, "undecodable", "json:/token can't be read: not valid JSON: `\"` expected at byte 24, found 'n'"),
    ];
    for (group, url, headers, body, status, clause, reason) in &table {
        let answer = post(url, headers, body).unwrap();
        assert_eq!(answer.status, *status, "{group}: {reason}");
        let told = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            !told.contains(reason) && told.len() < 40,
            "an outsider is told: {told}"
        );
        // Those that led to no group belong to no org: whoever administers the installation sees them.
        let seen = match *group {
            "" => rig.why(&["refusals"], clause, reason),
            group => rig.why(&["refusals", &format!("acme/{group}")], clause, reason),
        };
        assert_eq!(seen["status"]["status"], *status);
        let printed = rig.dev.ok(&["get", "refusals"]);
        let line = printed.lines().find(|line| line.contains(reason));
        let line = line.unwrap_or_else(|| panic!("{reason} in {printed}"));
        assert!(
            line.contains(clause) && line.contains(&status.to_string()),
            "{line}"
        );
    }

    let get = Connection::open(url("code"))
        .and_then(|mut connection| connection.request("GET", url("code"), &[], b""))
        .unwrap();
    assert_eq!(get.status, 405);
    rig.why(
        &["refusals", "acme/code"],
        "method",
        "method GET is not taken, POST is",
    );

    // The real number of seconds: as old as it was made, and no older than this test is.
    let began = now();
    let old = signers::stripe("whsec_one-s3cret", began - 412, BODY);
    assert_eq!(post(url("money"), &old, BODY).unwrap().status, 401);
    let seen = eventually("the old timestamp", || {
        rig.dev.items(&["refusals", "acme/money"]).first().cloned()
    });
    let reasons: Vec<String> = (began..=now())
        .map(|at| format!("timestamp is {} s old, 300 s are allowed", at - began + 412))
        .collect();
    assert_eq!(seen["status"]["clause"], "timestamp");
    assert!(reasons.contains(&text(&seen, "/status/reason")), "{seen}");
    assert_eq!(post(url("standard"), &future, BODY).unwrap().status, 401);
    let seen = eventually("the timestamp ahead", || {
        rig.dev
            .items(&["refusals", "acme/standard"])
            .first()
            .cloned()
    });
    let reason = text(&seen, "/status/reason");
    assert!(
        reason.starts_with("timestamp is ")
            && reason.ends_with(" s ahead of our clock, 300 s are allowed"),
        "{reason}"
    );

    // Genuine, and too many. The bucket fills again meanwhile, so several come at once, until one is too many.
    let mut n = 0;
    eventually("the group's rate is over", || {
        let bodies: [_; 6] = std::array::from_fn(|k| format!("{{\"n\": {}}}", n + k));
        n += bodies.len();
        std::thread::scope(|scope| {
            let posts = bodies.each_ref().map(|body| {
                scope.spawn(|| rig.github("slow", "one-s3cret", "push", body, body.as_bytes()))
            });
            let statuses = posts.map(|post| post.join().unwrap().status);
            statuses.contains(&429).then_some(())
        })
    });
    rig.why(
        &["refusals", "acme/slow"],
        "group-rate",
        "more than 1 kept callbacks a second",
    );

    // The same signed bytes under another id, which isn't signed.
    let first = rig.github("picky", "one-s3cret", "issues", "a", BODY);
    assert_eq!(first.status, 200);
    let of = first.header("hookplane-event-id").unwrap();
    assert_eq!(
        rig.github("picky", "one-s3cret", "issues", "b", BODY)
            .status,
        401
    );
    let reason = format!("suspected replay of {of}, and the group refuses those");
    rig.why(&["refusals", "acme/picky"], "suspected-replay", &reason);

    // Never a body or a credential, and another group's operators see none of it.
    let all = rig.dev.ok(&["get", "refusals", "-o", "json"]);
    for secret in [
        "s3cret",
        "nonsense",
        "\"other\"",
        &unknown[unknown.len() - 32..],
    ] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    let of_shop = rig.dev.items(&["refusals", "acme/shop"]);
    assert!(
        of_shop
            .iter()
            .all(|refusal| refusal["metadata"]["group"] == "shop")
    );
}

#[test]
fn what_is_not_kept_says_why_for_each_webhook() {
    let rig = Rig::start();
    let not_kept = ["refusals", "acme/picky", "--not-kept"];
    let answer = rig.github("picky", "one-s3cret", "star", "id-1", BODY);
    assert_eq!((answer.status, answer.receipt()), (200, "not-kept"));
    let seen = rig.why(&not_kept, "not-registered", "event not registered: `star`");
    assert_eq!(
        (&seen["spec"]["type"], &seen["spec"]["deliveryId"]),
        (&"star".into(), &"id-1".into())
    );
    assert_eq!(seen["status"]["status"], 200);

    let answer = rig.github("picky", "one-s3cret", "push", "id-2", BODY);
    assert_eq!((answer.status, answer.receipt()), (200, "not-kept"));
    let seen = eventually("the example", || {
        let mut all = rig.dev.items(&not_kept).into_iter();
        all.find(|example| example["status"]["clause"] == "not-matched")
    });
    let clauses = [
        ("and", "false at: payload.ref == 'main'"),
        ("asleep", "webhook inactive"),
        (
            "gap",
            "payload.head is missing; has() tells (in `payload.head.id == 'x'`)",
        ),
        ("issues", "not one of its events: `push`"),
        (
            "or",
            "false at: payload.ref == 'main', and at: payload.n > 100",
        ),
    ];
    let mut verdicts: Vec<(String, String)> = seen["status"]["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| (text(verdict, "/webhook"), text(verdict, "/reason")))
        .collect();
    verdicts.sort();
    let expected = clauses.map(|(webhook, reason)| (webhook.to_owned(), reason.to_owned()));
    assert_eq!(verdicts, expected);
    let mut arguments = vec!["get"];
    arguments.extend(not_kept);
    let printed = rig.dev.ok(&arguments);
    for (webhook, reason) in clauses {
        let line = printed.lines().find(|line| line.ends_with(reason));
        let line = line.unwrap_or_else(|| panic!("{reason} in {printed}"));
        for word in ["acme/picky", "push", "id-2", "not-matched", webhook] {
            assert!(line.contains(word), "{word} in {line}");
        }
    }

    // A repeat names what it repeats.
    let kept = rig.github("picky", "one-s3cret", "issues", "id-3", BODY);
    let of = kept.header("hookplane-event-id").unwrap().to_owned();
    let again = rig.github("picky", "one-s3cret", "issues", "id-3", BODY);
    assert_eq!((again.status, again.receipt()), (200, "duplicate"));
    let reason = format!("a repeat of event {of}, which is kept");
    let seen = rig.why(&not_kept, "duplicate", &reason);
    assert_eq!(seen["spec"]["deliveryId"], "id-3");

    // They are apart from what was turned away, and counted in full.
    assert!(rig.dev.items(&["refusals", "acme/picky"]).is_empty());
    let counts = &rig.dev.items(&["groups", "acme/picky"])[0]["status"]["counts"];
    assert_eq!(
        (&counts["notRegistered"], &counts["notMatched"]),
        (&1.into(), &1.into())
    );
    let all = rig.dev.ok(&["get", "refusals", "--not-kept", "-o", "json"]);
    assert!(
        !all.contains("s3cret") && !all.contains("\"other\""),
        "{all}"
    );
}

#[test]
fn a_kept_event_shows_each_webhooks_clause_and_delivery() {
    let rig = Rig::start();
    let id_of = |answer: Answer| {
        assert_eq!(answer.status, 200);
        answer.header("hookplane-event-id").unwrap().to_owned()
    };
    let verdict = |event: &str, webhook: &str| {
        let item = rig.dev.items(&["event", event]).remove(0);
        let verdicts = item["status"]["verdicts"].as_array().unwrap();
        let found = verdicts
            .iter()
            .find(|verdict| verdict["webhook"] == webhook);
        found
            .unwrap_or_else(|| panic!("{webhook} in {item}"))
            .clone()
    };

    // A filter that can't be told: held, with the cause, for the one webhook alone.
    let held = id_of(rig.github("code", "two-s3cret", "issues", "id-1", br#"{"number": 7}"#));
    let of = verdict(&held, "broken");
    let cause = text(&of, "/reason");
    assert!(
        cause.contains("contains") && cause.ends_with("(in `payload.number.contains('7')`)"),
        "{cause}"
    );
    assert_eq!(
        (&of["matched"], &of["delivery"]["status"]),
        (&true.into(), &"held".into())
    );
    assert_eq!(of["delivery"]["reason"], cause.as_str());
    assert_eq!(verdict(&held, "all")["delivery"]["status"], "pending");
    let printed = rig.dev.ok(&["get", "event", &held]);
    let line = printed.lines().find(|line| line.starts_with("broken "));
    assert!(
        line.is_some_and(|line| line.contains("held") && line.ends_with(&cause)),
        "{printed}"
    );
    let held_deliveries = rig
        .dev
        .items(&["deliveries", "acme/code", "--status", "held"]);
    assert_eq!(held_deliveries.len(), 1, "{held_deliveries:?}");

    // A body that nobody can read: why, and where.
    let torn = id_of(rig.github("code", "two-s3cret", "issues", "id-2", br#"{"number": 7,}"#));
    let item = rig.dev.items(&["event", &torn]).remove(0);
    let why = text(&item, "/status/undecodable");
    assert_eq!(why, "not valid JSON: `\"` expected at byte 13, found '}'");
    assert_eq!(
        verdict(&torn, "broken")["reason"],
        format!("the body can't be decoded: {why}").as_str()
    );
    assert!(rig.dev.ok(&["get", "event", &torn]).contains(&why));

    // The same signed bytes under another id, where the group takes them: flagged, and it says of which.
    let replay = id_of(rig.github("code", "two-s3cret", "issues", "id-3", br#"{"number": 7}"#));
    let item = rig.dev.items(&["event", &replay]).remove(0);
    assert_eq!(item["status"]["duplicateOf"], held.as_str());
    assert!(
        item["status"]["flags"]
            .to_string()
            .contains("suspected-replay"),
        "{item}"
    );
    assert!(
        rig.dev
            .ok(&["get", "event", &replay])
            .contains(&format!("It repeats event: {held}"))
    );

    // Its webhook is deleted: the delivery says so.
    rig.dev
        .ok(&["delete", "webhook", "acme/code/broken", "--discard"]);
    let of = eventually("it is dropped", || {
        Some(verdict(&held, "broken")).filter(|of| of["delivery"]["status"] == "dropped")
    });
    assert_eq!(of["delivery"]["reason"], "its webhook was deleted");
}
