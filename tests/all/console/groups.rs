//! Manage Webhooks, its first half: a connector's functions and groups, the form, and what is done with a group.

use hookplane_tests::http::Answer;
use hookplane_tests::product::{Dev, eventually};

use super::{Visitor, text};

const NEW: &str = "/orgs/demo/groups/new?connector=github&function=repository";
const GROUP: &str = "/orgs/demo/groups/shop-production";
const SECRET: &str = "s3cret-of-the-shop";

/// Somebody who may do everything, with a group of GitHub's.
fn with_group(dev: &Dev) -> Visitor {
    let visitor = Visitor::signed_in(dev, &dev.token());
    let fields = [
        ("display_name", "Shop, production"),
        ("external_id", "octo/shop"),
        ("secret", SECRET),
        ("event", "push"),
        ("event", "pull_request"),
    ];
    let answer = visitor.post(NEW, NEW, &fields);
    let leads_to = format!("{GROUP}?done=group-created");
    assert_eq!(location(&answer), leads_to, "{}", text(&answer));
    visitor
}

fn location(answer: &Answer) -> &str {
    answer.header("location").unwrap_or_default()
}

/// Of a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let (_, rest) = page
        .split_once(&format!(r#"name="{name}" value=""#))
        .unwrap_or_else(|| panic!("no `{name}` in {page}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// Sends a form with the etag that its page shows.
fn send(visitor: &Visitor, path: &str, from: &str, fields: &[(&str, &str)]) -> Answer {
    let etag = hidden(&visitor.page(from), "etag");
    let mut all = vec![("etag", etag.as_str())];
    all.extend_from_slice(fields);
    visitor.post(path, from, &all)
}

#[test]
fn a_group_is_made_in_the_browser_and_its_url_is_live_only_when_listeners_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let form = Visitor::signed_in(&dev, &dev.token()).page(NEW);
    for shown in [
        "Signature Secret (required)",
        "Commits or a tag were pushed to a branch",
        "<li>In the repository open Settings, Webhooks, Add webhook.</li>",
        r#"value="*" data-all checked"#,
    ] {
        assert!(form.contains(shown), "{shown}");
    }
    let visitor = with_group(&dev);
    let url = dev.callback_url("demo/shop-production");
    let page = eventually("the group is live", || {
        let page = visitor.page(GROUP);
        page.contains("give it to the provider.").then_some(page)
    });
    assert!(page.contains(&url), "{page}");
    // Nothing asks again once it is live; who asked before is told once.
    assert!(!page.contains("hx-trigger"), "{page}");
    let part = visitor.get(&format!("{GROUP}/live?was=on+its+way"));
    assert_eq!(part.status, 200);
    assert!(text(&part).contains(&url) && !text(&part).contains("<html"));
    let same = visitor.get(&format!("{GROUP}/live?was=live"));
    assert_eq!(same.status, 204);
    // As the API has it.
    let group = &dev.items(&["group", "demo/shop-production"])[0];
    assert_eq!(group["spec"]["externalId"], "octo/shop");
    let events = &group["spec"]["registeredEvents"];
    assert_eq!(events, &serde_json::json!(["push", "pull_request"]));
    // And in its connector's rows, and the org's.
    for path in ["/orgs/demo/connectors/github", "/orgs/demo"] {
        let page = visitor.page(path);
        assert!(page.contains("Shop, production") && page.contains("shop-production/delete"));
    }
}

// A name that nobody typed is made of the other one, and gets a number where it is taken; one that was typed doesn't.
#[test]
fn a_name_that_is_taken_gets_a_number_unless_somebody_typed_it() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = with_group(&dev);
    let fields = [("display_name", "Shop production"), ("secret", SECRET)];
    let answer = visitor.post(NEW, NEW, &fields);
    assert_eq!(
        location(&answer),
        "/orgs/demo/groups/shop-production-2?done=group-created"
    );
    let fields = [("name", "shop-production"), ("secret", SECRET)];
    let answer = visitor.post(NEW, NEW, &fields);
    assert_eq!(answer.status, 422);
    assert!(text(&answer).contains(r#"id="name-error""#));
}

// Item 6 of the console's manners, and: a secret is in no page.
#[test]
fn a_refused_form_keeps_what_was_typed_but_secrets_and_names_every_field() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let fields = [
        ("display_name", "Kept <b>as typed</b>"),
        ("secret", SECRET),
        ("event", "push"),
        ("more_events", "no-such-event"),
        ("max_body_bytes", "1 MiB"),
        ("capture_days", "400"),
        ("redact_path", "payload.email"),
        ("redact_how", "mask"),
    ];
    let answer = visitor.post(NEW, NEW, &fields);
    assert_eq!(answer.status, 422);
    let page = text(&answer);
    assert!(!page.contains(SECRET), "{page}");
    for shown in [
        r#"value="Kept &#60;b&#62;as typed&#60;/b&#62;""#,
        r#"id="max_body_bytes-error">is a whole number"#,
        r#"id="capture_days-error">is at most 90"#,
        r#"value="1 MiB""#,
        r#"value="payload.email""#,
        r#"<option value="mask" selected>"#,
        r#"value="push" checked"#,
        "no-such-event</textarea>",
        "type it again",
        r#"<details class="more" open>"#,
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    // None of it was made.
    assert_eq!(
        visitor.get("/orgs/demo/groups/kept-b-as-typed-b").status,
        404
    );
    // Without the secret: said at its field.
    let answer = visitor.post(NEW, NEW, &[("display_name", "Shop")]);
    assert!(text(&answer).contains(r#"id="secret-error">is empty"#));
}

// Two editors: the second one's form is of a version that is gone.
#[test]
fn an_edit_of_an_older_version_is_refused_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = with_group(&dev);
    let edit = format!("{GROUP}/edit");
    let old = hidden(&visitor.page(&edit), "etag");
    let first = [("display_name", "First"), ("event", "push")];
    let answer = send(&visitor, &edit, &edit, &first);
    assert_eq!(location(&answer), format!("{GROUP}?done=group-saved"));
    let second = [
        ("etag", old.as_str()),
        ("display_name", "Second"),
        ("event", "*"),
    ];
    for _ in 0..2 {
        let answer = visitor.post(&edit, &edit, &second);
        assert_eq!(answer.status, 422);
        let page = text(&answer);
        assert!(
            page.contains(r#"value="Second""#) && page.contains("What you typed is still here")
        );
        assert_eq!(hidden(&page, "etag"), old, "sent again it is refused again");
    }
    let group = &dev.items(&["group", "demo/shop-production"])[0];
    assert_eq!(group["spec"]["displayName"], "First");
    // What the form doesn't have stays, the secret among it.
    assert_eq!(group["spec"]["signatureSecrets"][0]["name"], "secret-1");
}

#[test]
fn a_secret_is_rotated_one_beside_the_other_and_the_last_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = with_group(&dev);
    let secrets = format!("{GROUP}/secrets");
    let names = || {
        let group = &dev.items(&["group", "demo/shop-production"])[0];
        let secrets = group["spec"]["signatureSecrets"].as_array().cloned();
        let names = secrets.unwrap_or_default().into_iter();
        names
            .map(|secret| secret["name"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let answer = send(
        &visitor,
        &secrets,
        &secrets,
        &[("name", "no good!"), ("secret", "newer-secret")],
    );
    assert_eq!(answer.status, 422);
    assert!(
        text(&answer).contains(r#"id="name-error""#) && !text(&answer).contains("newer-secret")
    );
    let answer = send(&visitor, &secrets, &secrets, &[("secret", "newer-secret")]);
    assert_eq!(location(&answer), format!("{secrets}?done=secret-added"));
    assert_eq!(names(), ["secret-1", "secret-2"]);

    let question = format!("{secrets}?remove=secret-1");
    let asked = visitor.page(&question);
    assert!(
        asked.contains("Remove the secret secret-1?") && asked.contains("<code>secret-2</code>")
    );
    assert_eq!(names().len(), 2, "asking removes nothing");
    let answer = send(&visitor, &secrets, &question, &[("remove", "secret-1")]);
    assert_eq!(location(&answer), format!("{secrets}?done=secret-removed"));
    assert_eq!(names(), ["secret-2"]);
    let answer = send(&visitor, &secrets, &secrets, &[("remove", "secret-2")]);
    assert_eq!(answer.status, 422);
    assert_eq!(names(), ["secret-2"]);
}

#[test]
fn a_url_is_rotated_with_the_overlap_that_was_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = with_group(&dev);
    let old = dev.callback_url("demo/shop-production");
    let url = format!("{GROUP}/url");
    assert!(visitor.page(&url).contains(&old));
    let answer = send(&visitor, &url, &url, &[("overlap", "12345")]);
    assert_eq!(answer.status, 422, "only what is offered");
    let answer = send(&visitor, &url, &url, &[("overlap", "86400")]);
    assert_eq!(location(&answer), format!("{GROUP}?done=url-rotated"));
    let new = dev.callback_url("demo/shop-production");
    assert_ne!(new, old);
    let page = visitor.page(GROUP);
    assert!(
        page.contains(&new)
            && page.contains("Old URLs that are still taken")
            && page.contains(&old)
    );
    let answer = send(&visitor, &url, &url, &[("overlap", "0")]);
    assert_eq!(answer.status, 303);
    assert!(!visitor.page(GROUP).contains(&new), "it ended at once");
}

#[test]
fn a_group_is_disabled_enabled_and_deleted_after_a_question() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = with_group(&dev);
    let disable = format!("{GROUP}/disable");
    let answer = send(&visitor, &disable, &disable, &[("to", "disabled")]);
    assert_eq!(location(&answer), format!("{GROUP}?done=group-disabled"));
    assert!(visitor.page(GROUP).contains("its URL answers 404"));
    assert!(visitor.page(&disable).contains("Enable Shop, production?"));
    let answer = send(&visitor, &disable, &disable, &[("to", "enabled")]);
    assert_eq!(location(&answer), format!("{GROUP}?done=group-enabled"));

    // A delivery that nobody takes: only whoever says so discards it.
    dev.apply(
        "apiVersion: hookplane.dev/v1\nkind: Webhook\nmetadata: {org: demo, group: shop-production, name: waits}\n\
         spec: {label: Waits, active: true, events: [push]}\n",
    );
    dev.apply(
        "apiVersion: hookplane.dev/v1\nkind: WebhookGroup\nmetadata: {org: demo, name: shop-production}\n\
         spec: {connector: github, function: repository, registeredEvents: [push]}\n",
    );
    dev.ok(&["send", "demo/shop-production", "push"]);
    let delete = format!("{GROUP}/delete");
    let asked = eventually("the delivery waits", || {
        let page = visitor.page(&delete);
        page.contains("Deliveries wait: 1 pending").then_some(page)
    });
    assert!(asked.contains("<code>waits</code>"), "{asked}");
    let answer = send(&visitor, &delete, &delete, &[("waiting", "drain")]);
    assert_eq!(answer.status, 422);
    assert!(text(&answer).contains("Nothing is deleted yet"));
    assert_eq!(visitor.get(GROUP).status, 200);
    let answer = send(&visitor, &delete, &delete, &[("waiting", "discard")]);
    assert_eq!(location(&answer), "/orgs/demo?done=group-deleted");
    assert_eq!(visitor.get(GROUP).status, 404);
}

#[test]
fn a_viewer_sees_groups_and_changes_none() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let editor = with_group(&dev);
    let viewer = dev.ok(&["token", "create", "--org", "demo", "--role", "viewer"]);
    let visitor = Visitor::signed_in(&dev, viewer.trim());
    for path in ["/orgs/demo", "/orgs/demo/connectors/github", GROUP] {
        let page = visitor.page(path);
        assert!(page.contains("Shop, production"), "{path}");
        for forbidden in ["/edit\"", "/delete\"", "/groups/new", "/tokens\""] {
            assert!(!page.contains(forbidden), "{path}: {forbidden}");
        }
    }
    for rest in ["/edit", "/url", "/disable", "/delete"] {
        let path = format!("{GROUP}{rest}");
        assert_eq!(visitor.get(&path).status, 403, "{path}");
    }
    assert_eq!(visitor.get(NEW).status, 403);
    assert_eq!(visitor.get("/orgs/demo/tokens").status, 403);
    // Whatever a page thinks, the API refuses.
    let etag = hidden(&editor.page(&format!("{GROUP}/disable")), "etag");
    for (rest, fields) in [
        ("/disable", ("to", "disabled")),
        ("/url", ("overlap", "0")),
        ("/delete", ("waiting", "discard")),
        ("/secrets", ("secret", "theirs")),
        ("/edit", ("display_name", "Theirs")),
    ] {
        let path = format!("{GROUP}{rest}");
        let fields = [("etag", etag.as_str()), fields];
        assert_eq!(
            visitor.post(&path, "/orgs/demo", &fields).status,
            403,
            "{path}"
        );
    }
    assert!(editor.page(GROUP).contains("Shop, production"));
}

// The first time there is nothing to look at: straight to the form.
#[test]
fn a_connector_of_one_function_leads_to_the_form_until_it_has_a_group() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let connector = "/orgs/demo/connectors/asana";
    let form = location(&visitor.get(connector)).to_owned();
    assert!(
        form.starts_with("/orgs/demo/groups/new?connector=asana&function="),
        "{form}"
    );
    assert!(visitor.page(&form).contains("Set it up at Asana"));
    assert!(
        visitor
            .page(&format!("{connector}?all=1"))
            .contains("How sure we are")
    );
    assert_eq!(visitor.get("/orgs/demo/connectors/no-such").status, 404);
    assert_eq!(visitor.get("/orgs/none/connectors").status, 404);
    // The demo's own group is counted where connectors are chosen.
    assert!(
        visitor
            .page("/orgs/demo/connectors?q=github")
            .contains("1 group here")
    );
    assert_eq!(
        visitor
            .get("/orgs/demo/groups/new?connector=asana&function=none")
            .status,
        404
    );
}

#[test]
fn the_overview_says_what_needs_a_look() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = with_group(&dev);
    let mapped = "apiVersion: hookplane.dev/v1\nkind: Webhook\nmetadata: {org: demo, group: shop-production, name: held}\n\
         spec:\n  label: Held\n  active: true\n  events: [push]\n  mapping: {active: true, base: {object: A, operation: insert, \
         fields: {B: {from: payload.none, type: decimal, onMissing: fail}}}}\n  destinations: [{http: {url: \"http://127.0.0.1:9/\"}}]\n";
    dev.apply(mapped);
    let edit = format!("{GROUP}/edit");
    let fields = [("display_name", "Shop, production"), ("event", "*")];
    assert_eq!(send(&visitor, &edit, &edit, &fields).status, 303);
    dev.run(&["send", "demo/shop-production", "push"]);
    let page = eventually("the delivery is held", || {
        let page = visitor.page("/orgs/demo");
        page.contains("Held deliveries").then_some(page)
    });
    let link = "/orgs/demo/deliveries?group=shop-production&amp;webhook=held&amp;status=held";
    assert!(page.contains(link), "{page}");
    // A search narrows the rows, and says when nothing is left.
    assert!(
        visitor
            .page("/orgs/demo?q=SHOP")
            .contains("shop-production/edit")
    );
    let none = visitor.page("/orgs/demo?q=none");
    assert!(none.contains("No group has “none”"), "{none}");
}

#[test]
fn a_group_that_is_called_new_has_pages_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let fields = [("name", "new"), ("secret", SECRET), ("event", "*")];
    let answer = visitor.post(NEW, NEW, &fields);
    let group = "/orgs/demo/groups/new";
    assert_eq!(location(&answer), format!("{group}?done=group-created"));
    let page = visitor.page(location(&answer));
    assert!(page.contains(&dev.callback_url("demo/new")), "{page}");
    for part in [
        "",
        "/edit",
        "/secrets",
        "/url",
        "/disable",
        "/delete",
        "/test",
        "/webhooks",
    ] {
        visitor.page(&format!("{group}{part}"));
    }
    visitor.page(&format!("{group}/webhooks/template/clone"));
    assert_eq!(visitor.get(&format!("{group}/live?was=")).status, 200);
    // And so have a destination and a webhook of that name.
    dev.apply("apiVersion: hookplane.dev/v1\nkind: Destination\nmetadata: {org: demo, name: new}\nspec: {http: {url: \"https://a.example/\"}}\n");
    let page = visitor.page("/orgs/demo/destinations/new");
    assert!(page.contains("https://a.example/"), "{page}");
    visitor.page("/orgs/demo/destinations/new/edit");
    let clone = [("label", "New"), ("name", "new"), ("event", "*")];
    let from = format!("{group}/webhooks/template/clone");
    assert_eq!(visitor.post(&from, &from, &clone).status, 303);
    visitor.page(&format!("{group}/webhooks/new"));
}

#[test]
fn a_secret_is_rotated_where_the_function_checks_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = with_group(&dev);
    dev.apply("apiVersion: hookplane.dev/v1\nkind: WebhookGroup\nmetadata: {org: demo, name: images}\nspec: {connector: docker-hub, acceptUnsigned: true, registeredEvents: [\"*\"]}\n");
    let offers = |page: &str, group: &str| {
        let link = format!("/orgs/demo/groups/{group}/secrets\"");
        visitor.page(page).contains(&link)
    };
    let images = "/orgs/demo/groups/images";
    assert!(offers(GROUP, "shop-production") && !offers(images, "images"));
    assert!(offers("/orgs/demo", "shop-production") && !offers("/orgs/demo", "images"));
    let page = visitor.page(&format!("{images}/secrets"));
    assert!(
        page.contains("aren&#39;t checked with a Signature Secret")
            || page.contains("aren't checked with a Signature Secret")
    );
    assert!(!page.contains("Add a secret"), "{page}");
}
