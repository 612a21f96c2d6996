//! Destinations in the console: made, paused, deleted; and their secrets, which go in and never come out.

use super::webhooks::{field, leads_to, set_up};
use super::{Visitor, text};

const ALL: &str = "/orgs/acme/destinations";
const NEW: &str = "/orgs/acme/destinations/new?kind=http";
const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

#[test]
fn a_secret_is_kept_by_an_empty_field_and_shown_by_no_page() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let typed = |name: &'static str| {
        vec![
            ("name", name),
            ("kind", "http"),
            ("url", "https://erp.example.com/hooks"),
            ("signing_secret", SECRET),
            ("header_name_0", "authorization"),
            ("header_value_0", "Bearer of-mine"),
        ]
    };
    // Refused: all that was typed comes back, but no secret.
    let refused = visitor.post(ALL, NEW, &typed("Not A Name"));
    let page = text(&refused);
    assert_eq!(refused.status, 422, "{page}");
    assert!(page.contains("Not A Name") && page.contains("authorization"));
    assert!(
        !page.contains("whsec_MDE") && !page.contains("of-mine"),
        "{page}"
    );
    let made = visitor.post(ALL, NEW, &typed("erp"));
    assert!(leads_to(&made).ends_with("/erp?done=destination-saved"));
    let (one, edit) = (format!("{ALL}/erp"), format!("{ALL}/erp/edit"));
    for path in [ALL, &one, &edit, &format!("{one}/delete")] {
        let page = visitor.page(path);
        assert!(
            !page.contains("whsec_MDE") && !page.contains("of-mine"),
            "{path}"
        );
    }
    let page = visitor.page(&edit);
    assert!(page.contains("One is stored: leave this empty to keep it."));
    let etag = field(&page, "etag");
    let saved = |url: &str| {
        let fields = [
            ("etag", etag.as_str()),
            ("kind", "http"),
            ("url", url),
            ("stored_header", "authorization"),
            ("max_attempts", "3"),
        ];
        visitor.post(&edit, &edit, &fields)
    };
    // What was trusted to one place is not sent to another.
    let moved = saved("https://other.example.com/");
    assert_eq!(moved.status, 422);
    assert!(
        text(&moved).contains("must be given again"),
        "{}",
        text(&moved)
    );
    leads_to(&saved("https://erp.example.com/hooks"));
    let page = visitor.page(&one);
    assert!(page.contains("as Standard Webhooks has it"), "{page}");
    assert!(page.contains("<code>authorization</code>"), "{page}");
}

#[test]
fn a_destination_is_paused_resumed_and_deleted_once_nothing_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    dev.apply(
        "apiVersion: hookplane.dev/v1\nkind: Destination\nmetadata: {org: acme, name: erp}\nspec: {http: {url: https://erp.example.com/}}\n",
    );
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let one = format!("{ALL}/erp");
    let pause = format!("{one}/pause");
    leads_to(&visitor.post(&pause, &one, &[("paused", "on")]));
    assert!(visitor.page(ALL).contains(">paused<"));
    leads_to(&visitor.post(&pause, &one, &[]));
    assert!(!visitor.page(ALL).contains(">paused<"));
    // A webhook takes it by a box.
    let edit = "/orgs/acme/groups/code/webhooks/everything/edit";
    let fields = [
        ("label", "All"),
        ("event", "*"),
        ("active", "on"),
        ("destination", "add:erp"),
    ];
    leads_to(&visitor.post(edit, edit, &fields));
    let delete = format!("{one}/delete");
    let named = visitor.post(&delete, &delete, &[]);
    assert_eq!(named.status, 409);
    assert!(text(&named).contains("everything"), "{}", text(&named));
    let fields = [
        ("label", "All"),
        ("event", "*"),
        ("destination", "subscribe"),
    ];
    leads_to(&visitor.post(edit, edit, &fields));
    leads_to(&visitor.post(&delete, &delete, &[]));
    assert_eq!(visitor.get(&one).status, 404);
}

#[test]
fn salesforce_needs_one_of_two_ways_in() {
    let folder = tempfile::tempdir().unwrap();
    let dev = set_up(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let new = format!("{ALL}/new?kind=salesforce");
    let typed = [
        ("name", "crm"),
        ("kind", "salesforce"),
        ("url", "https://acme.my.salesforce.com"),
        ("client_id", "app"),
    ];
    let neither = visitor.post(ALL, &new, &typed);
    assert_eq!(neither.status, 422);
    assert!(text(&neither).contains("neither a client secret nor a private key"));
    let given = [
        &typed[..],
        &[("client_secret", "s3cret"), ("all_or_none", "on")],
    ]
    .concat();
    leads_to(&visitor.post(ALL, &new, &given));
    let page = visitor.page(&format!("{ALL}/crm"));
    assert!(page.contains("a client secret") && page.contains("all records of an event or none"));
    assert!(!page.contains("s3cret"));
}
