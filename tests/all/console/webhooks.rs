//! Webhooks in the console: cloned, written, switched on and off, deleted.

use std::path::Path;

use hookplane_tests::http::Answer;
use hookplane_tests::product::Dev;

use super::{Visitor, same_origin, text};

/// An org with a group that takes what GitHub sends, and a webhook whose deliveries wait for a subscriber.
const SET_UP: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec:
  connector: github
  signatureSecrets: [{value: s3cret-of-the-test}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: everything}
spec:
  label: Everything
  active: true
  events: ["*"]
  destinations:
    - subscribe: {}
"#;

/// With that, live.
pub(super) fn set_up(folder: &Path) -> Dev {
    let dev = Dev::start(folder);
    dev.apply(SET_UP);
    dev
}

const ALL: &str = "/orgs/acme/groups/code/webhooks";

fn at(webhook: &str, part: &str) -> String {
    format!("{ALL}/{webhook}{part}")
}

/// The value of a field of the page's forms.
pub(super) fn field(page: &str, name: &str) -> String {
    let (_, rest) = page
        .split_once(&format!(r#"name="{name}" value=""#))
        .unwrap_or_else(|| panic!("no field {name} in {page}"));
    rest.split('"').next().unwrap().to_owned()
}

pub(super) fn leads_to(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", text(answer));
    answer.header("location").unwrap()
}

#[test]
fn the_template_is_cloned_with_label_events_and_filter() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    assert!(visitor.page(ALL).contains("/webhooks/template/clone"));
    let clone = at("template", "/clone");
    // Refused: it comes back as it was typed, with the error at its field.
    let typed = [
        ("label", "Pushes <b>to main</b>"),
        ("event", "push"),
        ("filter", "payload.ref =="),
        ("active", "on"),
    ];
    let answer = visitor.post(&clone, &clone, &typed);
    let page = text(&answer);
    assert_eq!(answer.status, 422, "{page}");
    assert!(page.contains(r#"id="filter-error""#), "{page}");
    assert!(page.contains("payload.ref ==</textarea>"), "{page}");
    assert!(page.contains(r#"value="Pushes &#60;b&#62;to main&#60;/b&#62;""#));
    assert!(page.contains(r#"name="event" value="push" checked"#));
    let mut mended = typed;
    mended[2] = ("filter", "payload.ref == 'refs/heads/main'");
    let answer = visitor.post(&clone, &clone, &mended);
    // The name is made of the label.
    let made = at("pushes-b-to-main-b", "");
    assert_eq!(leads_to(&answer), format!("{made}?done=webhook-cloned"));
    let page = visitor.page(&made);
    assert!(page.contains("Pushes &#60;b&#62;to main") && !page.contains("<b>to main"));
    let got = dev.ok(&[
        "get",
        "webhook",
        "acme/code/pushes-b-to-main-b",
        "-o",
        "json",
    ]);
    assert!(
        got.contains(r#""filter": "payload.ref == 'refs/heads/main'""#),
        "{got}"
    );
    let again = visitor.post(&clone, &clone, &mended);
    assert_eq!(again.status, 422, "{}", text(&again));
    // What was unticked isn't taken from the original.
    let of_made = at("pushes-b-to-main-b", "/clone");
    let none = visitor.post(&of_made, &of_made, &[("label", "None")]);
    assert!(none.status == 422 && text(&none).contains("choose one or more"));
}

#[test]
fn two_editors_do_not_overwrite_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let edit = at("everything", "/edit");
    let etag = field(&visitor.page(&edit), "etag");
    let save = |label: &str| {
        let fields = [
            ("etag", etag.as_str()),
            ("label", label),
            ("active", "on"),
            ("event", "*"),
            ("destination", "subscribe"),
            ("destination", "keep:subscribe"),
        ];
        visitor.post(&edit, &edit, &fields)
    };
    leads_to(&save("First"));
    let second = save("Second");
    assert_eq!(second.status, 422, "{}", text(&second));
    assert!(text(&second).contains("Second"), "what was typed stays");
    let page = visitor.page(&at("everything", ""));
    assert!(page.contains("First") && !page.contains("Second"));
}

#[test]
fn a_changed_filter_is_compared_over_recorded_events_before_it_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    dev.ok(&["send", "acme/code", "push"]);
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let edit = at("everything", "/edit");
    let fields = [
        ("label", "All"),
        ("active", "on"),
        ("event", "*"),
        ("filter", "has(payload.nothing_such)"),
        ("destination", "subscribe"),
        ("destination", "keep:subscribe"),
        ("do", "compare"),
        ("last", "100"),
    ];
    let answer = visitor.post(&edit, &edit, &fields);
    let page = text(&answer);
    assert_eq!(answer.status, 200, "{page}");
    assert!(page.contains("No longer delivered: 1"), "{page}");
    let got = dev.ok(&["get", "webhook", "acme/code/everything", "-o", "json"]);
    assert!(!got.contains("nothing_such"), "nothing is saved: {got}");
}

#[test]
fn a_button_switches_a_webhook_off_and_on() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let (path, page) = (at("everything", "/activate"), at("everything", ""));
    let to = visitor.post(&path, &page, &[]);
    assert!(leads_to(&to).ends_with("?done=webhook-deactivated"));
    assert!(visitor.page(&page).contains(">not active<"));
    let to = visitor.post(&path, &page, &[("active", "on")]);
    assert!(leads_to(&to).ends_with("?done=webhook-activated"));
    assert!(visitor.page(&page).contains(">active<"));
}

#[test]
fn deleting_asks_what_becomes_of_deliveries_that_wait() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    dev.ok(&["send", "acme/code", "push"]);
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let delete = at("everything", "/delete");
    let drain = visitor.post(&delete, &delete, &[("waiting", "drain")]);
    assert_eq!(drain.status, 409);
    let refused = text(&drain);
    assert!(refused.contains("1 pending"), "{refused}");
    // As the page calls it, and what it was about.
    for told in ["webhook code/everything", "Nothing is deleted yet"] {
        assert!(refused.contains(told), "{told} in {refused}");
    }
    assert!(!refused.contains("orgs/acme/groups/code/webhooks/everything`"));
    let discard = visitor.post(&delete, &delete, &[("waiting", "discard")]);
    assert!(leads_to(&discard).ends_with("?done=webhook-deleted"));
    assert_eq!(visitor.get(&at("everything", "")).status, 404);
}

#[test]
fn a_viewer_reads_webhooks_and_is_offered_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    let viewer = dev.ok(&["token", "create", "--org", "acme", "--role", "viewer"]);
    let visitor = Visitor::signed_in(&dev, viewer.trim());
    for page in [ALL.to_owned(), at("everything", "")] {
        let page = visitor.page(&page);
        for offered in [
            "/edit\"",
            "/clone\"",
            "/delete\"",
            "/activate\"",
            "/mapping\"",
        ] {
            assert!(!page.contains(offered), "{offered} in {page}");
        }
    }
    let to = visitor.get(&at("everything", "/mapping"));
    assert!(leads_to(&to).ends_with("/webhooks/everything#mapping"));
    let mark = super::mark(&visitor.page(ALL));
    let fields = [("mark", mark.as_str())];
    for part in ["/activate", "/edit", "/clone", "/delete", "/mapping"] {
        let answer = visitor.send(&at("everything", part), &fields, &same_origin());
        assert!(
            matches!(answer.status, 403 | 422),
            "{part}: {} {}",
            answer.status,
            text(&answer)
        );
    }
    let got = dev.ok(&["get", "webhook", "acme/code/everything", "-o", "json"]);
    assert!(got.contains(r#""active": true"#), "{got}");
}

#[test]
fn a_webhook_is_found_in_its_groups_rows_and_under_its_connector() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let group = visitor.page("/orgs/acme/groups/code");
    assert!(group.contains(&at("template", "/clone")), "{group}");
    for part in ["", "/edit", "/clone", "/mapping", "/activate", "/delete"] {
        let offered = format!("\"{}\"", at("everything", part));
        assert!(group.contains(&offered), "{offered} in {group}");
    }
    // One way to all of its pages.
    let way = "Connectors</a> › <a href=\"/orgs/acme/connectors/github?all=1\">GitHub</a> › <a href=\"/orgs/acme/groups/code\">";
    for part in [
        "",
        "/edit",
        "/clone",
        "/mapping",
        "/mapping/versions",
        "/delete",
    ] {
        let page = visitor.page(&at("everything", part));
        assert!(page.contains(way), "{part}: {page}");
    }
    let connector = visitor.page("/orgs/acme/connectors/github");
    let (_, inbound) = connector.split_once("Your webhooks as functions").unwrap();
    assert!(inbound.contains(">Inbound</td>"), "{inbound}");
    assert!(inbound.contains(&at("everything", "/mapping")), "{inbound}");
    assert!(!inbound.contains("/webhooks/template"), "{inbound}");
}

#[test]
fn a_destination_of_the_webhooks_own_is_added_beside_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let edit = at("everything", "/edit");
    let etag = field(&visitor.page(&edit), "etag");
    let typed = |url: &'static str| {
        vec![
            ("etag", etag.as_str()),
            ("label", "Everything"),
            ("active", "on"),
            ("event", "*"),
            ("destination", "subscribe"),
            ("own_url", url),
            ("own_name", "mine"),
            ("own_header", "authorization"),
            ("own_header_value", "Bearer of-mine"),
        ]
    };
    // Refused: what was typed comes back, but for the secret.
    let refused = visitor.post(&edit, &edit, &typed("ftp://a.example/"));
    let page = text(&refused);
    assert_eq!(refused.status, 422, "{page}");
    assert_eq!(field(&page, "own_url"), "ftp://a.example/");
    assert!(
        page.contains("type them again") && !page.contains("of-mine"),
        "{page}"
    );
    let saved = visitor.post(&edit, &edit, &typed("https://a.example/"));
    assert_eq!(saved.status, 303, "{}", text(&saved));
    let spec = dev.items(&["webhook", "acme/code/everything"])[0]["spec"].clone();
    let destinations = spec["destinations"].as_array().unwrap();
    assert_eq!(destinations.len(), 2, "{spec}");
    assert!(destinations[0]["subscribe"].is_object());
    assert_eq!(destinations[1]["name"], "mine");
    assert_eq!(destinations[1]["http"]["url"], "https://a.example/");
    let page = visitor.page(&at("everything", ""));
    assert!(page.contains("headers authorization"), "{page}");
}
