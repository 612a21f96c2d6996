//! The mapping editor without scripts: what is typed comes back, a button changes the tree, nothing is saved before Save.

use hookplane_tests::product::Dev;
use hookplane_tests::salesforce::{App, Org, Stub};
use tokio::runtime::Runtime;

use super::webhooks::{field, leads_to, set_up};
use super::{Visitor, text};

const EDITOR: &str = "/orgs/acme/groups/code/webhooks/everything/mapping";

/// A base object with one row.
const TYPED: [(&str, &str); 6] = [
    ("base.object", "Push__c"),
    ("base.key", "Ref__c"),
    ("base.fields[0].name", "Ref__c"),
    ("base.fields[0].how", "path"),
    ("base.fields[0].from", "payload.ref"),
    ("active", "on"),
];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&TYPED[..], more].concat()
}

fn version(dev: &Dev) -> String {
    let got = dev.ok(&["get", "webhook", "acme/code/everything", "-o", "json"]);
    let got: serde_json::Value = serde_json::from_str(&got).unwrap();
    got["items"][0]["status"]["mappingVersion"].to_string()
}

#[test]
fn rows_and_objects_come_and_go_with_what_is_typed_kept() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    dev.ok(&["send", "acme/code", "push"]);
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let page = visitor.page(EDITOR);
    assert!(page.contains("no version yet"), "{page}");
    assert!(page.contains(r#"data-pick="payload.ref""#), "{page}");
    assert!(page.contains("<code class=\"unscripted\">payload.ref</code>"));
    for (button, appears) in [
        ("add-row:base", "base.fields[1].name"),
        ("add-parent:base", "base.parents[0].field"),
        ("add-child:base", "base.children[0].forEach"),
    ] {
        let answer = visitor.post(EDITOR, EDITOR, &with(&[("do", button)]));
        let page = text(&answer);
        assert_eq!(answer.status, 200, "{page}");
        field(&page, appears);
        assert_eq!(field(&page, "base.fields[0].from"), "payload.ref");
    }
    let answer = visitor.post(EDITOR, EDITOR, &with(&[("do", "remove:base.fields[0]")]));
    let page = text(&answer);
    assert!(!page.contains("base.fields[0].name"), "{page}");
    assert_eq!(field(&page, "base.object"), "Push__c");
    assert_eq!(version(&dev), "0");
}

#[test]
fn a_preview_shows_the_records_and_each_problem_at_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    dev.ok(&["send", "acme/code", "push"]);
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let answer = visitor.post(EDITOR, EDITOR, &with(&[("do", "preview")]));
    let page = text(&answer);
    assert!(page.contains("<b>Push__c upsert by Ref__c</b>"), "{page}");
    let wrong = [
        ("base.fields[1].name", "Gone__c"),
        ("base.fields[1].how", "path"),
        ("base.fields[1].from", "payload.not_there"),
        ("base.fields[1].missing", "fail"),
        ("do", "preview"),
    ];
    let page = text(&visitor.post(EDITOR, EDITOR, &with(&wrong)));
    assert!(
        page.contains(r#"<p class="error" id="base.fields[1]">`payload.not_there` is missing</p>"#),
        "{page}"
    );
    assert!(page.contains("matched, and would be held"));
    // What there is of the record is shown all the same.
    assert!(page.contains("<b>Push__c upsert by Ref__c</b>"), "{page}");
    let left_out = with(&[
        ("base.fields[1].name", "Gone__c"),
        ("base.fields[1].how", "path"),
        ("base.fields[1].from", "payload.not_there"),
        ("do", "preview"),
    ]);
    let page = text(&visitor.post(EDITOR, EDITOR, &left_out));
    assert!(
        page.contains("<code>base.fields.Gone__c</code>: left out: `payload.not_there` is missing"),
        "{page}"
    );
    assert_eq!(version(&dev), "0");
}

#[test]
fn a_mapping_is_saved_as_a_version_and_activated_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    dev.ok(&["send", "acme/code", "push"]);
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let etag = field(&visitor.page(EDITOR), "etag");
    // Refused at its row, and what was typed stays.
    let wrong = [
        ("etag", etag.as_str()),
        ("base.fields[1].name", "Bad__c"),
        ("base.fields[1].how", "path"),
        ("base.fields[1].from", "payload..x"),
        ("do", "save"),
    ];
    let refused = visitor.post(EDITOR, EDITOR, &with(&wrong));
    assert_eq!(refused.status, 422);
    let page = text(&refused);
    assert!(
        page.contains(r#"id="base.fields[1]">`payload..x` is no path"#),
        "{page}"
    );
    assert_eq!(field(&page, "base.fields[1].from"), "payload..x");
    let compared = visitor.post(EDITOR, EDITOR, &with(&[("do", "compare")]));
    assert!(
        text(&compared).contains("Delivered with other fields: 1"),
        "{}",
        text(&compared)
    );
    assert_eq!(version(&dev), "0");
    let saved = visitor.post(EDITOR, EDITOR, &with(&[("etag", &etag), ("do", "save")]));
    assert!(leads_to(&saved).contains("done=mapping-saved"));
    assert_eq!(version(&dev), "1");
    // Somebody who still has the page of before.
    let late = visitor.post(EDITOR, EDITOR, &with(&[("etag", &etag), ("do", "save")]));
    assert_eq!(late.status, 422, "{}", text(&late));
    let off = visitor.post(&format!("{EDITOR}/activate"), EDITOR, &[]);
    assert!(leads_to(&off).contains("done=mapping-deactivated"));
    assert_eq!(version(&dev), "0");
    let page = visitor.page(EDITOR);
    assert!(page.contains("Newest version <b>1</b>"), "{page}");
    assert_eq!(field(&page, "base.fields[0].from"), "payload.ref");
}

#[test]
fn objects_and_fields_are_offered_as_the_destination_tells_them() {
    let runtime = Runtime::new().unwrap();
    let stub = runtime
        .block_on(Stub::start(Org::shop(App::new(0))))
        .unwrap();
    let (url, id, secret) = {
        let app = &stub.org().app;
        (stub.url(), app.client_id.clone(), app.client_secret.clone())
    };
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    dev.apply(&format!(
        r#"
apiVersion: hookplane.dev/v1
kind: Destination
metadata: {{org: acme, name: crm}}
spec:
  salesforce: {{url: "{url}", clientId: "{id}", clientSecret: {{value: "{secret}"}}}}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {{org: acme, group: code, name: everything}}
spec:
  events: ["*"]
  destinations: [{{ref: crm}}]
"#
    ));
    let visitor = Visitor::signed_in(&dev, &dev.token());
    // A page never waits for another company's server.
    let page = visitor.page(EDITOR);
    assert!(page.contains("Offer the destination's objects and fields"));
    assert!(!page.contains(r#"<datalist id="objects">"#));
    assert!(stub.seen("/describe").is_empty());
    let typed = [
        ("base.object", "Order__c"),
        ("base.key", "Shop_Id__c"),
        ("base.fields[0].name", "Shop_Id__c"),
        ("base.fields[0].how", "path"),
        ("base.fields[0].from", "payload.ref"),
        ("base.fields[1].name", "Strange__c"),
        ("base.fields[1].how", "path"),
        ("base.fields[1].from", "payload.ref"),
    ];
    let asked = |what: &'static str| {
        let fields = [&typed[..], &[("do", what)]].concat();
        text(&visitor.post(EDITOR, EDITOR, &fields))
    };
    let page = asked("names");
    assert!(page.contains("offered as crm tells them"), "{page}");
    assert!(page.contains(r#"<option value="OrderLine__c">"#), "{page}");
    let (_, fields) = page
        .split_once(r#"<datalist id="fields-Order__c">"#)
        .unwrap();
    assert!(fields.contains(r#"<option value="Shop_Id__c">"#));
    assert!(fields.contains("can be a key"));
    assert_eq!(field(&page, "base.fields[1].name"), "Strange__c");
    // Whether it would take them, at the row.
    let page = asked("check");
    let (_, error) = page.split_once(r#"id="base.fields[1]">"#).unwrap();
    let (error, _) = error.split_once("</p>").unwrap();
    assert!(error.contains("Order__c has no such field"), "{error}");
}

/// What an address is for.
fn hrefs(page: &str) -> Vec<&str> {
    let parts = page.split("href=\"").skip(1);
    parts.filter_map(|part| part.split('"').next()).collect()
}

#[test]
fn an_earlier_version_is_looked_at_compared_and_put_back_into_the_form() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let versions = format!("{EDITOR}/versions");
    assert!(visitor.page(&versions).contains("There is none yet"));
    let save = |page: &str, from: &str| {
        let etag = field(page, "etag");
        let mut fields = with(&[("do", "save"), ("etag", &etag)]);
        fields[4].1 = from;
        let answer = visitor.post(EDITOR, EDITOR, &fields);
        assert_eq!(answer.status, 303, "{}", text(&answer));
    };
    save(&visitor.page(EDITOR), "payload.ref");
    dev.ok(&["send", "acme/code", "push"]);
    save(&visitor.page(EDITOR), "payload.before");
    assert_eq!(version(&dev), "2");

    // The delivery leads to the version that mapped it.
    let delivery = &dev.items(&["deliveries", "acme/code/everything"])[0];
    let id = delivery["metadata"]["name"].as_str().unwrap();
    let page = visitor.page(&format!("/orgs/acme/deliveries/{id}"));
    let hrefs = hrefs(&page);
    let link = hrefs.iter().find(|href| href.contains("/versions/1?of="));
    let link = *link.expect("a link");
    let page = visitor.page(link);
    for told in [
        "payload.ref",
        "payload.before",
        "maps no new events",
        "with the token",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    // Of a webhook that had its name before, nothing is shown.
    let (path, _) = link.split_once('?').unwrap();
    assert_eq!(visitor.get(&format!("{path}?of=00ff")).status, 404);
    for (none, status) in [("0", 400), ("3", 400), ("x", 404)] {
        assert_eq!(visitor.get(&format!("{versions}/{none}")).status, status);
    }
    let page = visitor.page(&versions);
    assert!(
        page.contains("1 changed") && page.contains("the first"),
        "{page}"
    );

    // Into the form, where nothing is saved by itself.
    let page = visitor.page(&format!("{EDITOR}?version=1"));
    assert_eq!(field(&page, "base.fields[0].from"), "payload.ref");
    assert!(page.contains("nothing is saved yet"));
    assert_eq!(version(&dev), "2");
    save(&page, "payload.ref");
    assert_eq!(version(&dev), "3");
    assert!(
        visitor
            .page(&format!("{versions}/1"))
            .contains("It is the same")
    );

    // The command does the same.
    let then = [
        "get",
        "webhook",
        "acme/code/everything",
        "--mapping-version",
    ];
    let manifest = dev.ok(&[&then[..], &["2", "-o", "yaml"]].concat());
    assert!(manifest.contains("payload.before"), "{manifest}");
    dev.apply(&manifest);
    assert_eq!(version(&dev), "4");
    let refused = dev.run(&[&then[..], &["9", "-o", "yaml"]].concat());
    assert_eq!(refused.status.code(), Some(1));
    let usage = dev.run(&[&then[..], &["1"]].concat());
    assert_eq!(usage.status.code(), Some(2));

    // Who reads alone is offered no form.
    let made = dev.ok(&["token", "create", "--org", "acme", "--role", "viewer"]);
    let viewer = Visitor::signed_in(&dev, made.trim());
    let page = viewer.page(&format!("{versions}/1"));
    assert!(page.contains("payload.ref") && !page.contains("into the form"));
}

#[test]
fn a_mapping_of_as_many_rows_as_there_may_be_is_edited_a_part_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    dev.ok(&["send", "acme/code", "push"]);
    let rows = |indent: &str| -> String {
        let row = |row: usize| {
            format!("{indent}Shipping_Line_{row}__c: {{from: payload.some.lines.of_{row}}}\n")
        };
        (0..400).map(row).collect()
    };
    let child = |index: usize| {
        format!(
            "        - object: Line_{index}__c\n          parentField: Order__r\n          fields:\n{}",
            rows("            ")
        )
    };
    let children: String = (0..4).map(child).collect();
    dev.apply(&format!(
        r#"
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {{org: acme, group: code, name: everything}}
spec:
  events: ["*"]
  destinations: [{{subscribe: {{}}}}]
  mapping:
    active: true
    base:
      object: Order__c
      fields:
{}      children:
{children}"#,
        rows("        ")
    ));
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let page = visitor.page(EDITOR);
    assert!(page.len() < 200_000, "{}", page.len());
    assert!(visitor.page(EDITOR.trim_end_matches("/mapping")).len() < 200_000);
    // Every field that a browser would send with the open part.
    let sent = |page: &str, button: &str| {
        let names = page.split(" name=\"").skip(1);
        let names = names.map(|rest| rest.split('"').next().unwrap().to_owned());
        let fields = names.filter(|name| name.starts_with("base.") || name == "rest");
        let mut all = Vec::new();
        for name in fields.chain(["at".to_owned(), "from".to_owned(), "etag".to_owned()]) {
            if page.contains(&format!("name=\"{name}\" value=\"")) {
                all.push((name.clone(), field(page, &name)));
            } else if name.ends_with(".how") {
                all.push((name, "path".to_owned()));
            }
        }
        all.push(("active".to_owned(), "on".to_owned()));
        all.push(("do".to_owned(), button.to_owned()));
        all
    };
    let post = |fields: &[(String, String)]| {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        visitor.post(EDITOR, EDITOR, &fields)
    };
    let page = text(&post(&sent(&page, "go:base.children[2]:100")));
    assert!(page.len() < 200_000, "{}", page.len());
    let renamed = "base.children[2].fields[101].from";
    let mut fields = sent(&page, "go:base:0");
    let at = fields.iter().position(|(name, _)| name == renamed).unwrap();
    fields[at].1 = "payload.changed".to_owned();
    // It goes along with what isn't open, and is saved from wherever one is.
    let page = text(&post(&fields));
    assert!(!page.contains("payload.changed"));
    let answer = post(&sent(&page, "save"));
    assert!(leads_to(&answer).contains("done=mapping-saved"));
    let got = dev.ok(&["get", "webhook", "acme/code/everything", "-o", "json"]);
    let got: serde_json::Value = serde_json::from_str(&got).unwrap();
    let base = &got["items"][0]["spec"]["mapping"]["base"];
    let rows = |object: &serde_json::Value| object["fields"].as_object().unwrap().len();
    assert_eq!(rows(base), 400);
    let children = base["children"].as_array().unwrap();
    assert_eq!(children.iter().map(rows).sum::<usize>(), 1_600);
    let changed = |child: &serde_json::Value| child.to_string().matches("payload.changed").count();
    assert_eq!(
        children.iter().map(changed).collect::<Vec<_>>(),
        [0, 0, 1, 0]
    );
}
