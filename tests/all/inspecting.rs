//! What an operator types to see what happened: lists and what narrows them, one delivery with all that was tried, a webhook's warnings, and what
//! is fed to a webhook that came late.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use hookplane_tests::destinations::{Receiver, Reply};
use hookplane_tests::http::post;
use hookplane_tests::product::{CODE_SECRET, Dev, eventually};
use hookplane_tests::signers;
use serde_json::{Value, json};

/// Groups for GitHub, and in each these webhooks.
fn manifest(groups: &[(&str, &str, &str)]) -> String {
    let documents = groups.iter().map(|(path, spec, webhooks)| {
        let (org, name) = path.split_once('/').unwrap();
        let group = format!(
            "apiVersion: hookplane.dev/v1\nkind: WebhookGroup\nmetadata: {{org: {org}, name: {name}}}\n\
             spec: {{connector: github, signatureSecrets: [{{value: {CODE_SECRET}}}], registeredEvents: [\"*\"]{spec}}}\n"
        );
        let webhooks = webhooks.lines().map(|line| {
            let (webhook, spec) = line.trim().split_once(": ").unwrap();
            format!(
                "---\napiVersion: hookplane.dev/v1\nkind: Webhook\nmetadata: {{org: {org}, group: {name}, name: {webhook}}}\n\
                 spec: {{label: {webhook}, active: true, {spec}}}\n"
            )
        });
        group + &webhooks.collect::<String>()
    });
    documents.collect::<Vec<_>>().join("---\n")
}

fn start(manifest: &str) -> (Dev, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(manifest);
    (dev, folder)
}

/// Posts to a group, as GitHub.
fn send(dev: &Dev, group: &str, event: &str, delivery: &str, body: &Value) {
    send_to(&dev.callback_url(group), event, delivery, body);
}

fn send_to(url: &str, event: &str, delivery: &str, body: &Value) {
    let body = body.to_string();
    let headers = signers::github(CODE_SECRET, event, delivery, body.as_bytes());
    assert_eq!(post(url, &headers, body.as_bytes()).unwrap().status, 200);
}

/// The provider's ids of what `get events` shows, the newest first.
fn events(dev: &Dev, arguments: &str) -> Vec<String> {
    let all = ["events"].into_iter().chain(arguments.split_whitespace());
    let items = dev.items(&all.collect::<Vec<_>>());
    let ids = items.iter().map(|item| &item["spec"]["deliveryId"]);
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// What `get deliveries` shows, as `d-1 all`, in order of that.
fn deliveries(dev: &Dev, arguments: &str) -> Vec<String> {
    let names = dev.items(&["events"]).into_iter().map(|event| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&event["metadata"]["name"]),
            text(&event["spec"]["deliveryId"]),
        )
    });
    let names: std::collections::HashMap<_, _> = names.collect();
    let all = ["deliveries"]
        .into_iter()
        .chain(arguments.split_whitespace());
    let items = dev.items(&all.collect::<Vec<_>>());
    let mut shown: Vec<String> = items
        .iter()
        .map(|item| {
            let webhook = item["metadata"]["webhook"].as_str().unwrap();
            format!(
                "{} {webhook}",
                names[item["spec"]["event"].as_str().unwrap()]
            )
        })
        .collect();
    shown.sort();
    shown
}

fn seconds_of(item: &Value) -> (i64, i32) {
    let text = item["metadata"]["createTime"].as_str().unwrap();
    let time: prost_types::Timestamp = text.parse().unwrap();
    (time.seconds, time.nanos)
}

#[test]
fn events_and_deliveries_are_listed_by_scope_type_status_time_and_text() {
    let (dev, _folder) = start(&manifest(&[
        (
            "acme/code",
            ", captureUnmatched: true",
            "all: events: [\"*\"], filter: \"!has(payload.quiet)\"
             pulls: events: [pull_request]",
        ),
        (
            "acme/lab",
            "",
            "odd: events: [\"*\"], filter: \"payload.words - 1 == 2\"",
        ),
        ("bolt/code", "", "all: events: [\"*\"]"),
    ]));
    let words = |text: &str| json!({"words": text});
    let opened = |text: &str| json!({"action": "opened", "words": text});
    send(&dev, "acme/code", "push", "d-1", &words("red Apples"));
    send(
        &dev,
        "acme/code",
        "pull_request",
        "d-2",
        &opened("green apples"),
    );
    send(
        &dev,
        "acme/code",
        "push",
        "d-3",
        &json!({"quiet": true, "words": "pears"}),
    );
    send(&dev, "acme/lab", "push", "d-4", &words("plums"));
    send(&dev, "bolt/code", "push", "d-5", &words("red plums"));
    send(
        &dev,
        "acme/code",
        "pull_request",
        "d-6",
        &opened("red pears"),
    );

    for (arguments, expected) in [
        ("", &["d-6", "d-5", "d-4", "d-3", "d-2", "d-1"][..]),
        ("acme", &["d-6", "d-4", "d-3", "d-2", "d-1"]),
        ("acme/code", &["d-6", "d-3", "d-2", "d-1"]),
        ("bolt/code", &["d-5"]),
        ("--type push", &["d-5", "d-4", "d-3", "d-1"]),
        ("acme --type pull_request", &["d-6", "d-2"]),
        ("acme --type pull_request.opened", &["d-6", "d-2"]),
        ("acme --type pull", &[]),
        ("--unmatched", &["d-3"]),
        ("acme/code --unmatched --type pull_request", &[]),
        ("--max 2", &["d-6", "d-5"]),
        ("acme/code --type push --max 1", &["d-3"]),
        ("acme --since 1h", &["d-6", "d-4", "d-3", "d-2", "d-1"]),
        ("--until 2020-01-01T00:00:00Z", &[]),
    ] {
        assert_eq!(events(&dev, arguments), expected, "{arguments}");
    }
    for (arguments, expected) in [
        (
            "acme/code",
            &["d-1 all", "d-2 all", "d-2 pulls", "d-6 all", "d-6 pulls"][..],
        ),
        ("acme/code/pulls", &["d-2 pulls", "d-6 pulls"]),
        ("bolt", &["d-5 all"]),
        ("--status held", &["d-4 odd"]),
        ("acme --status pending --type push", &["d-1 all"]),
        ("acme/lab --status pending", &[]),
        ("--status delivered", &[]),
        ("acme/lab --destination subscribe", &["d-4 odd"]),
        ("--destination http", &[]),
        ("acme/code/all --type pull_request", &["d-2 all", "d-6 all"]),
        ("--until 2020-01-01T00:00:00Z", &[]),
        ("bolt --since 1h", &["d-5 all"]),
    ] {
        assert_eq!(deliveries(&dev, arguments), expected, "{arguments}");
    }
    // From this one on, and before it: what came in the same millisecond belongs to the first.
    let all = dev.items(&["events"]);
    let third = all
        .iter()
        .find(|item| item["spec"]["deliveryId"] == "d-3")
        .unwrap();
    let time = third["metadata"]["createTime"].as_str().unwrap();
    let is_from = |item: &&Value| seconds_of(item) >= seconds_of(third);
    let from = all.iter().filter(is_from).count();
    assert_eq!(events(&dev, &format!("--since {time}")).len(), from);
    assert_eq!(
        events(&dev, &format!("--until {time}")).len(),
        all.len() - from
    );
    assert!(!deliveries(&dev, &format!("--since {time}")).contains(&"d-1 all".to_owned()));

    // Words, in any order and whatever their case, the last as far as it goes; once they are findable.
    let found = |arguments: &str, expected: &[&str]| {
        eventually(&format!("{arguments} finds {expected:?}"), || {
            (events(&dev, arguments) == expected).then_some(())
        });
    };
    found("--text apples", &["d-2", "d-1"]);
    found("--text pears", &["d-6", "d-3"]);
    for (arguments, expected) in [
        ("--text RED", &["d-6", "d-5", "d-1"][..]),
        ("--text app", &["d-2", "d-1"]),
        ("acme --text red --type push", &["d-1"]),
        ("bolt --text plum", &["d-5"]),
        ("--text pears --unmatched", &["d-3"]),
        ("--text nothing", &[]),
    ] {
        assert_eq!(events(&dev, arguments), expected, "{arguments}");
    }
    let both = dev.items(&["events", "acme", "--text", "pears red"]);
    assert_eq!(both.len(), 1);
    assert_eq!(both[0]["spec"]["deliveryId"], "d-6");
    assert_eq!(
        deliveries(&dev, "--text apples --status pending"),
        ["d-1 all", "d-2 all", "d-2 pulls"]
    );

    for (arguments, code) in [
        (&["get", "events", "--status", "held"][..], 2),
        (&["get", "deliveries", "--unmatched"], 2),
        (&["get", "events", "--destination", "http"], 2),
        (&["get", "deliveries", "--status", "gone"], 2),
        (&["get", "groups", "--type", "push"], 2),
        (&["get", "events", "--since", "yesterday"], 2),
        (&["get", "events", "--max", "0"], 2),
        (&["get", "events", "--text", "!?"], 1),
        (&["get", "events", "nobody"], 1),
        (&["get", "deliveries", "acme/nothing"], 1),
    ] {
        assert!(!dev.refused(arguments, code).is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_list_of_many_pages_has_each_event_once_while_others_arrive() {
    const BEFORE: usize = 130;
    let (dev, _folder) = start(&manifest(&[("acme/code", "", "all: events: [\"*\"]")]));
    let url = dev.callback_url("acme/code");
    let ids: Vec<String> = (0..BEFORE).map(|n| format!("d-{n}")).collect();
    for (n, id) in ids.iter().enumerate() {
        send_to(&url, "push", id, &json!({"n": n}));
    }
    let listed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut sent = 0;
            while !listed.load(Ordering::Relaxed) && sent < 1_000 {
                send_to(&url, "push", &format!("late-{sent}"), &json!({"n": sent}));
                sent += 1;
            }
            sent
        });
        for _ in 0..3 {
            let shown = events(&dev, "acme/code");
            let each: BTreeSet<&String> = shown.iter().collect();
            assert_eq!(each.len(), shown.len(), "none is there twice");
            let of_before = shown.iter().filter(|id| id.starts_with("d-"));
            assert!(of_before.eq(ids.iter().rev()), "in their order");
            let shown = dev.items(&["deliveries", "acme/code/all"]);
            let ids = shown.iter().map(|one| one["metadata"]["name"].to_string());
            assert_eq!(ids.collect::<BTreeSet<_>>().len(), shown.len());
            assert!(shown.len() >= BEFORE);
        }
        listed.store(true, Ordering::Relaxed);
        assert!(sending.join().unwrap() > 0, "others did arrive");
    });
}

#[test]
fn a_delivery_is_shown_with_every_attempt_and_what_was_answered() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let answers = |one: &hookplane_tests::destinations::Received| match one.number {
        0 => Reply::With(503, "x-why: busy".to_owned(), "come back later".to_owned()),
        _ => Reply::With(200, "x-why: done".to_owned(), "thanks".to_owned()),
    };
    let receiver = runtime.block_on(Receiver::start(answers)).unwrap();
    let (dev, _folder) = start(&manifest(&[(
        "acme/code",
        "",
        &format!(
            "all: events: [\"*\"], destinations: [{{http: {{url: \"{}/in\", signingSecret: {{value: whsec_bXlzZWNyZXRteXNlY3JldG15c2VjcmV0}}}}}}, {{subscribe: {{}}}}]",
            receiver.url
        ),
    )]));
    send(&dev, "acme/code", "push", "d-1", &json!({"n": 1}));
    let one = eventually("it is delivered", || {
        let done = [
            "deliveries",
            "acme/code/all",
            "--destination",
            "http",
            "--status",
            "delivered",
        ];
        dev.items(&done).into_iter().next()
    });
    let id = one["metadata"]["name"].as_str().unwrap();
    let shown = dev.items(&["delivery", id]).remove(0);
    assert_eq!(shown["spec"]["destination"], "http");
    assert_eq!(shown["status"]["attempts"], 2, "{shown}");
    let history = shown["status"]["history"].as_array().unwrap();
    let told = |name: &str| {
        history
            .iter()
            .map(|one| one[name].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(told("number"), [1, 2]);
    assert_eq!(told("status"), [503, 200]);
    assert_eq!(told("outcome"), ["retry", "delivered"]);
    assert_eq!(told("excerpt")[0], "come back later");
    assert!(!history[0]["reason"].as_str().unwrap().is_empty());
    assert!(
        history
            .iter()
            .all(|one| one["startTime"].is_string() && one["latencyMilliseconds"].is_u64())
    );
    let table = dev.ok(&["get", "delivery", id]);
    for told in [
        "ATTEMPT",
        "STARTED",
        "LATENCY",
        "503",
        "it said: come back later",
        "idempotency key: ",
        "event: ",
    ] {
        assert!(table.contains(told), "`{told}` is missing: {table}");
    }
    // The one for subscribers waits, and a list has each with its destination.
    let waiting = dev.items(&["deliveries", "acme/code/all", "--status", "pending"]);
    let waiting = dev.ok(&[
        "get",
        "delivery",
        waiting[0]["metadata"]["name"].as_str().unwrap(),
    ]);
    assert!(
        waiting.contains("waits: until a subscriber takes it"),
        "{waiting}"
    );
    assert!(!waiting.contains("next attempt"), "{waiting}");
    // A paused destination is the reason of what waits for it, and is told where its webhook is shown.
    dev.ok(&["pause", "destination", "acme/code/all/http"]);
    let webhook = dev.ok(&["get", "webhook", "acme/code/all"]);
    assert!(webhook.contains("http: paused"), "{webhook}");
    send(&dev, "acme/code", "push", "d-2", &json!({"n": 2}));
    let paused = [
        "deliveries",
        "acme/code/all",
        "--destination",
        "http",
        "--status",
        "pending",
    ];
    let paused = eventually("it waits", || dev.items(&paused).into_iter().next());
    let paused = dev.ok(&[
        "get",
        "delivery",
        paused["metadata"]["name"].as_str().unwrap(),
    ]);
    assert!(
        paused.contains("waits: for its destination, which is paused"),
        "{paused}"
    );
    assert_eq!(deliveries(&dev, "acme/code/all").len(), 4);
    let nobody = "00000000-0000-7000-8000-000000000000-1";
    assert!(
        dev.refused(&["get", "delivery", nobody], 1)
            .contains(nobody)
    );
}

// A path that a filter reads and that is gone is told where people look at their webhook, until it is there again. Without it the filter doesn't
// match, and what isn't kept is seen by nobody: hence the capture.
#[test]
fn what_a_webhook_reads_and_is_gone_is_told_in_get_webhooks() {
    let (dev, _folder) = start(&manifest(&[(
        "acme/code",
        ", captureUnmatched: true",
        "all: events: [\"*\"], filter: \"payload.user.email != 'x' && payload.n > 0\"",
    )]));
    let url = dev.callback_url("acme/code");
    let warned = || dev.items(&["webhooks", "acme/code/all"])[0]["status"]["warnings"].clone();
    let mut sent = 0;
    let mut send = |times: usize, user: &Value| {
        for _ in 0..times {
            sent += 1;
            let body = json!({"n": sent, "user": user});
            send_to(&url, "push", &format!("d-{sent}"), &body);
        }
    };
    send(21, &json!({"email": "a@b.c", "id": 1}));
    send(21, &json!({"id": 1}));
    let warnings = eventually("it is warned of", || {
        let warnings = warned();
        (warnings.as_array().unwrap().len() == 1).then_some(warnings)
    });
    assert_eq!(warnings[0]["path"], "payload.user.email");
    assert_eq!(warnings[0]["eventType"], "push");
    assert!(warnings[0]["since"].is_string());
    let list = dev.ok(&["get", "webhooks", "acme/code"]);
    assert!(list.contains("WARNINGS"), "{list}");
    let one = dev.ok(&["get", "webhook", "acme/code/all"]);
    assert!(one.contains("push: payload.user.email is gone"), "{one}");
    send(1, &json!({"email": "a@b.c"}));
    eventually("the warning goes away", || {
        warned().as_array().unwrap().is_empty().then_some(())
    });
}

#[test]
fn what_nobody_wanted_is_kept_where_the_group_says_so_and_fed_to_a_later_webhook() {
    let before = [
        ("acme/code", ", captureUnmatched: true, captureDays: 2", ""),
        ("acme/lab", "", ""),
    ];
    let (dev, _folder) = start(&manifest(&before));
    for group in ["acme/code", "acme/lab"] {
        for n in 0..3 {
            send(&dev, group, "push", &format!("d-{n}"), &json!({"n": n}));
        }
    }
    assert_eq!(events(&dev, "acme/code").len(), 3);
    assert_eq!(events(&dev, "acme/lab").len(), 0, "unless it is asked for");
    let webhook = "late: events: [\"*\"], filter: payload.n > 0";
    dev.apply(&manifest(
        &before.map(|(path, spec, _)| (path, spec, webhook)),
    ));
    assert_eq!(deliveries(&dev, "acme"), [""; 0]);
    let feed = |arguments: &[&str]| {
        let all = [&["replay", "acme/code/late", "--feed"], arguments].concat();
        dev.ok(&all).trim().to_owned()
    };
    assert_eq!(feed(&["--dry-run"]), "would replay 2");
    assert_eq!(deliveries(&dev, "acme"), [""; 0]);
    assert_eq!(feed(&["--type", "push", "--max", "1"]), "replayed 1");
    assert_eq!(feed(&["--since", "1h"]), "replayed 1");
    assert_eq!(feed(&[]), "replayed 0", "each once");
    assert_eq!(deliveries(&dev, "acme"), ["d-1 late", "d-2 late"]);
    let preview = dev.ok(&["preview", "acme/code/late"]);
    assert!(preview.contains("push"), "{preview}");
}
