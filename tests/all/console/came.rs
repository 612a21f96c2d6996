//! What came and what became of it: events, deliveries, refusals, replays and tests.

use hookplane_tests::http::{Answer, post};
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::signers;

use super::{Visitor, same_origin, text};

const GROUP: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec:
  connector: github
  signatureSecrets: [{value: s3cret-s3cret}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: all}
spec: {label: All, active: true, events: ["*"]}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: none}
spec: {label: None, active: true, events: ["*"], filter: payload.n == 99}
"#;

struct Rig {
    dev: Dev,
    visitor: Visitor,
    url: String,
    _folder: tempfile::TempDir,
}

fn rig() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    dev.apply(GROUP);
    Rig {
        visitor: Visitor::signed_in(&dev, &dev.token()),
        url: dev.callback_url("acme/code"),
        dev,
        _folder: folder,
    }
}

impl Rig {
    /// Posts it, signed, and tells its event's id.
    fn event(&self, kind: &str, delivery: &str, body: &[u8]) -> String {
        let headers = signers::github("s3cret-s3cret", kind, delivery, body);
        let answer = post(&self.url, &headers, body).unwrap();
        assert_eq!(answer.status, 200);
        answer.header("hookplane-event-id").unwrap().to_owned()
    }

    fn delivery(&self) -> String {
        let item = &self.dev.items(&["deliveries", "acme/code/all"])[0];
        item["metadata"]["name"].as_str().unwrap().to_owned()
    }
}

fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", text(answer));
    answer.header("location").unwrap()
}

#[test]
fn a_payload_is_text_on_the_page_and_a_file_that_nothing_opens() {
    let rig = rig();
    let body =
        br#"{"n": 1.50, "title": "</pre><script>alert(1)</script><img src=x onerror=alert(1)>"}"#;
    let id = rig.event("push", "<b>one</b>", body);
    let page = rig.visitor.page(&format!("/orgs/acme/events/{id}"));
    for markup in ["<script>", "<img", "<b>one"] {
        assert!(!page.contains(markup), "{markup}");
    }
    // Indented, its number as it came.
    assert!(page.contains("  &#34;n&#34;: 1.50,\n"), "{page}");
    // Each webhook with its clause.
    assert!(page.contains("matched</span>") && page.contains("not matched</span>"));
    let file = rig.visitor.get(&format!("/orgs/acme/events/{id}/body"));
    assert_eq!(file.body, body);
    let header = |name| file.header(name).unwrap_or_default();
    assert_eq!(header("content-type"), "application/octet-stream");
    let name = format!("attachment; filename=\"{id}.bin\"");
    assert_eq!(header("content-disposition"), name);
    assert_eq!(header("x-content-type-options"), "nosniff");
    // The same by another org's address isn't there.
    for path in [format!("events/{id}"), format!("events/{id}/body")] {
        assert_eq!(rig.visitor.get(&format!("/orgs/demo/{path}")).status, 404);
    }
}

#[test]
fn a_page_is_bounded_however_large_the_payload_is() {
    let rig = rig();
    let body = format!("{{\"text\": [{}\"<\"]}}", "\"<&\",".repeat(100_000));
    let id = rig.event("push", "large", body.as_bytes());
    let page = rig.visitor.page(&format!("/orgs/acme/events/{id}"));
    assert!(page.len() < 200_000, "{}", page.len());
    assert!(page.contains("This is its beginning"));
    let binary = [0xffu8, 0x00, 0x01].repeat(100_000);
    let id = rig.event("push", "binary", &binary);
    let page = rig.visitor.page(&format!("/orgs/acme/events/{id}"));
    assert!(page.len() < 200_000, "{}", page.len());
    assert!(page.contains("00000000  ff 00 01 ff") && page.contains("undecodable"));
}

#[test]
fn an_address_is_a_search_and_a_slip_in_it_is_told_at_its_field() {
    let rig = rig();
    rig.event("push", "one", br#"{"n": 1, "who": "miranda"}"#);
    rig.event("issues", "two", br#"{"action": "opened", "n": 2}"#);
    let found = |path: &str| {
        let page = rig.visitor.page(&format!("/orgs/acme/{path}"));
        let rows = page.matches("<td data-label=\"Event type\">").count();
        (rows, page)
    };
    assert_eq!(found("deliveries").0, 2);
    assert_eq!(found("deliveries?group=code&webhook=all&type=issues").0, 1);
    assert_eq!(found("deliveries?webhook=none&group=code").0, 0);
    assert_eq!(found("deliveries?since=1h&destination=subscribe").0, 2);
    assert_eq!(found("deliveries?until=2020-01-01").0, 0);
    assert_eq!(found("events?type=issues").0, 1);
    assert_eq!(found("events?unmatched=on").0, 0);
    eventually("the text is found", || {
        (found("events?text=miranda").0 == 1).then_some(())
    });
    let (_, page) = found("events?text=nobody+has+this");
    assert!(page.contains("No event is as you look for it"));
    for (path, told) in [
        ("deliveries?since=yesterday", "since-error"),
        ("deliveries?webhook=all", "group-error"),
        ("deliveries?group=no-such-group", "group-error"),
        ("events?text=--", "text-error"),
        ("events?group=..%2f..%2fdemo", "group-error"),
        ("refusals?group=no-such-group", "group-error"),
        ("live?group=no-such-group", "group-error"),
    ] {
        let answer = rig.visitor.get(&format!("/orgs/acme/{path}"));
        assert_eq!(answer.status, 422, "{path}");
        assert!(text(&answer).contains(told), "{path}: {}", text(&answer));
    }
}

#[test]
fn what_is_chosen_is_replayed_and_so_is_all_that_a_search_finds_with_its_progress() {
    let rig = rig();
    rig.event("push", "one", br#"{"n": 1}"#);
    let id = rig.delivery();
    rig.dev
        .ok(&["tail", "acme/code/all", "--from-start", "--max", "1"]);
    let list = "/orgs/acme/deliveries";
    // Why it waits, and no time to wait for that is over.
    for page in [list.to_owned(), format!("{list}/{id}")] {
        let page = rig.visitor.page(&page);
        assert!(page.contains("No subscriber has taken it yet"), "{page}");
        assert!(!page.contains("Next attempt"), "{page}");
    }
    // What is pending isn't on offer; an empty choice changes nothing.
    assert!(!rig.visitor.page(list).contains("name=\"id\""));
    let answer = rig.visitor.post("/orgs/acme/deliveries/replay", list, &[]);
    assert!(location(&answer).contains("done=none-chosen"));
    let replay = "/orgs/acme/deliveries/replay";
    let answer = rig.visitor.post(
        replay,
        list,
        &[("id", &id), ("one", "on"), ("mapping", "then")],
    );
    // So many as were really put back: it is on its way.
    let back = format!("{list}/{id}?done=replayed&count=0");
    assert_eq!(location(&answer), back);
    assert!(rig.visitor.page(&back).contains("Nothing is put back"));
    let answer = rig
        .visitor
        .post(replay, list, &[("id", &id), ("status", "dead")]);
    assert_eq!(
        location(&answer),
        format!("{list}?status=dead&done=replayed&count=0")
    );

    let all = "/orgs/acme/deliveries/replay-all";
    let asked = format!("{all}?status=dropped");
    assert!(
        rig.visitor
            .page(&asked)
            .contains("as long as that page is open")
    );
    let answer = rig.visitor.post(all, &asked, &[("status", "pending")]);
    assert_eq!(answer.status, 422);
    let answer = rig
        .visitor
        .post(all, &asked, &[("status", "dropped"), ("rate", "100000")]);
    assert_eq!(answer.status, 422);
    assert!(text(&answer).contains("rate-error") || text(&answer).contains("rate_per_second"));
    rig.dev
        .ok(&["delete", "webhook", "acme/code/all", "--discard"]);
    // Of a deleted webhook there is nothing to look at, nor to replay; of one that has its name neither.
    for again in [false, true] {
        if again {
            rig.dev.apply(GROUP);
        }
        let page = rig.visitor.page(&format!("{list}/{id}"));
        assert!(page.contains("Its webhook was deleted"), "{page}");
        assert!(!page.contains("/webhooks/all\"") && !page.contains(">Replay</button>"));
    }
    let counted = rig.visitor.page(&asked);
    assert!(counted.contains("Counted now: "), "{counted}");
    let answer = rig.visitor.post(all, &asked, &[("status", "dropped")]);
    let page = text(&answer);
    assert_eq!(answer.status, 200, "{page}");
    assert!(
        page.contains("Done: looked at ") && page.trim_end().ends_with("</html>"),
        "{page}"
    );
}

#[test]
fn a_test_is_posted_to_the_groups_own_url_and_judged() {
    let rig = rig();
    let path = "/orgs/acme/groups/code/test";
    let answer = rig
        .visitor
        .post(path, path, &[("event", "push"), ("what", "one")]);
    let page = text(&answer);
    assert!(page.contains("Answered 200 synced"), "{page}");
    // Whatever else a form says, nothing else is signed and no other place is posted to.
    let answer = rig.visitor.post(
        path,
        path,
        &[
            ("event", "push"),
            ("what", "one"),
            ("url", "http://127.0.0.1:1/"),
            ("body", "mine"),
        ],
    );
    assert!(text(&answer).contains("Answered 200"));
    let answer = rig
        .visitor
        .post(path, path, &[("event", "push"), ("what", "all")]);
    let page = text(&answer);
    assert!(page.contains(" as they should be, 0 not, "), "{page}");
    assert!(page.contains("401 signature") && page.contains("413 body-too-large"));
    let answer = rig
        .visitor
        .post(path, path, &[("event", "nothing-such"), ("what", "one")]);
    assert_eq!(answer.status, 422);
    assert!(!page.contains("s3cret"));
    // What was turned away is there with its reason and its advice.
    eventually("the refusals are told", || {
        let page = rig.visitor.page("/orgs/acme/refusals?group=code");
        (page.contains("the signature is missing or wrong")
            && page.contains("the method isn&#39;t taken"))
        .then_some(())
    });
}

#[test]
fn a_chart_counts_what_came_what_was_refused_and_what_went_out() {
    let rig = rig();
    let path = "/orgs/acme/live?group=code";
    let page = rig.visitor.page(path);
    assert!(page.contains("0 accepted") && !page.contains("As numbers"));
    rig.event("push", "one", br#"{"n": 1}"#);
    rig.event("push", "one", br#"{"n": 1}"#);
    let forged = signers::github("another-secret", "push", "two", b"{}");
    assert_eq!(post(&rig.url, &forged, b"{}").unwrap().status, 401);
    // Listeners tell theirs once a second.
    eventually("what came is counted", || {
        let page = rig.visitor.page(path);
        let all = ["1 accepted", "1 duplicates", "1 refused", "0 delivered"];
        all.into_iter()
            .all(|told| page.contains(told))
            .then_some(())
    });
    // The same of the whole org, and nothing of another.
    assert!(rig.visitor.page("/orgs/acme/live").contains("1 accepted"));
    // The starter is made after the API is there.
    eventually("the starter takes a callback", || {
        let sent = rig.dev.run(&["send", "demo/github", "push"]);
        sent.status.success().then_some(())
    });
    eventually("what went out is counted", || {
        let page = rig.visitor.page("/orgs/demo/live");
        (page.contains("1 accepted") && page.contains("1 delivered")).then_some(())
    });
}

#[test]
fn a_viewer_sees_what_came_and_changes_nothing() {
    let rig = rig();
    rig.event("push", "one", br#"{"n": 1}"#);
    let made = rig
        .dev
        .ok(&["token", "create", "--org", "acme", "--role", "viewer"]);
    let viewer = Visitor::signed_in(&rig.dev, made.trim());
    let id = rig.delivery();
    for path in [
        "deliveries",
        "events",
        "refusals",
        "live",
        "groups/code/test",
        &format!("deliveries/{id}"),
    ] {
        let page = viewer.page(&format!("/orgs/acme/{path}"));
        assert!(
            !page.contains("Replay<") && !page.contains("name=\"id\""),
            "{path}"
        );
        assert!(!page.contains("value=\"all\">Send"), "{path}");
    }
    for (path, fields) in [
        ("deliveries/replay", vec![("id", id.as_str())]),
        ("deliveries/replay-all", vec![("status", "dead")]),
        ("groups/code/test", vec![("event", "push"), ("what", "one")]),
    ] {
        let answer = viewer.post(&format!("/orgs/acme/{path}"), "/orgs/acme/events", &fields);
        assert_eq!(answer.status, 403, "{path}: {}", text(&answer));
    }
    // And nothing is sent by who only follows a link.
    let answer = rig.visitor.send(
        "/orgs/acme/groups/code/test",
        &[("what", "one")],
        &same_origin(),
    );
    assert_eq!(answer.status, 403);
}
