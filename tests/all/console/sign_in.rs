//! Who is let in, what their session may do, and what another site may not.

use hookplane_tests::product::Dev;

use super::{Visitor, mark, same_origin, text};

/// A token of an org, or of all of them, with its id.
fn token(dev: &Dev, org: &str, role: &str) -> (String, String) {
    let made = dev.ok(&["token", "create", "--org", org, "--role", role]);
    let bearer = made.trim().to_owned();
    let id = bearer.split('_').nth(1).expect("it has its id").to_owned();
    (bearer, id)
}

/// The path of the link that is printed.
pub(super) fn link(dev: &Dev) -> String {
    let before = format!("console    {}", dev.api_url());
    hookplane_tests::product::eventually("a link is printed", || {
        let printed = dev.printed();
        let (_, rest) = printed.split_once(&before)?;
        let (path, _) = rest.split_once(char::is_whitespace)?;
        Some(path.to_owned())
    })
}

#[test]
fn the_link_that_dev_prints_signs_in_once() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let link = link(&dev);
    let mut visitor = Visitor::at(&dev);
    let answer = visitor.get(&link);
    assert_eq!(answer.status, 303);
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax"),
        "{cookie}"
    );
    assert!(
        !cookie.contains(&dev.token()),
        "the token isn't in it as it is"
    );
    visitor.keep(&answer);
    assert!(visitor.page("/").contains("demo"));
    // Again: by whoever finds it in a terminal's history.
    let again = Visitor::at(&dev).get(&link);
    assert_eq!(again.status, 401);
    assert!(again.header("set-cookie").is_none());
    assert!(text(&again).contains("used before"));
}

#[test]
fn nobody_is_shown_anything_but_the_way_in() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let mut visitor = Visitor::at(&dev);
    for path in [
        "/",
        "/orgs/demo/connectors",
        "/orgs/demo/connectors?q=a&page=1",
    ] {
        let answer = visitor.get(path);
        assert_eq!(answer.status, 303, "{path}");
        let to = answer.header("location").unwrap();
        assert!(to.starts_with("/sign-in?next="), "{to}");
    }
    let refused = visitor.sign_in("hp_made-up");
    assert_eq!(refused.status, 401);
    assert!(text(&refused).contains("unknown, expired or revoked"));
    assert!(
        !text(&refused).contains("hp_made-up"),
        "it is no place to show a token"
    );
    visitor.cookie = Some("hookplane=00ff".to_owned());
    assert_eq!(visitor.get("/").status, 303);
}

#[test]
fn a_revoked_token_ends_its_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let (bearer, id) = token(&dev, "demo", "editor");
    let visitor = Visitor::signed_in(&dev, &bearer);
    assert_eq!(visitor.get("/orgs/demo/connectors").status, 200);
    dev.ok(&["token", "revoke", &id]);
    hookplane_tests::product::eventually("the session has ended", || {
        (visitor.get("/orgs/demo/connectors").status == 303).then_some(())
    });
}

#[test]
fn a_form_from_elsewhere_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let mark = mark(&visitor.page("/"));
    let fields = [("mark", mark.as_str()), ("name", "theirs")];
    for headers in [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", "https://evil.example")],
        vec![],
    ] {
        assert_eq!(
            visitor.send("/orgs", &fields, &headers).status,
            403,
            "{headers:?}"
        );
    }
    // From here, but made for nobody or for another token's session.
    let (bearer, _) = token(&dev, "-", "admin");
    let other = super::mark(&Visitor::signed_in(&dev, &bearer).page("/"));
    for mark in ["", "00", other.as_str()] {
        let fields = [("mark", mark), ("name", "theirs")];
        let answer = visitor.send("/orgs", &fields, &same_origin());
        assert_eq!(answer.status, 403, "{}", text(&answer));
    }
    assert!(!visitor.page("/").contains("theirs"));
    let answer = visitor.post("/orgs", "/", &[("name", "ours")]);
    assert_eq!(answer.status, 303);
    assert!(visitor.page("/").contains("ours"));
}

#[test]
fn what_a_role_may_not_do_is_neither_shown_nor_taken() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let (viewer, _) = token(&dev, "-", "viewer");
    let visitor = Visitor::signed_in(&dev, &viewer);
    let page = visitor.page("/");
    assert!(!page.contains("Create org"), "{page}");
    let answer = visitor.post("/orgs", "/", &[("name", "mine")]);
    assert_eq!(answer.status, 403, "{}", text(&answer));
    assert!(!visitor.page("/").contains("mine"));
    // Of one org: the others are as good as not there.
    let (own, _) = token(&dev, "demo", "admin");
    dev.apply("apiVersion: hookplane.dev/v1\nkind: Org\nmetadata: {name: other}\nspec: {}\n");
    let visitor = Visitor::signed_in(&dev, &own);
    assert_eq!(visitor.get("/orgs/demo/connectors").status, 200);
    assert_eq!(visitor.get("/orgs/other/connectors").status, 403);
}

#[test]
fn every_answer_forbids_what_no_page_needs() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    for path in ["/", "/sign-in", "/nowhere", "/orgs/none/connectors/none"] {
        let answer = visitor.get(path);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let page = text(&answer);
        for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!page.contains(inline), "{path} has {inline}");
        }
        for script in page.split("<script").skip(1) {
            assert!(
                script.starts_with(" src=\"/assets/"),
                "{path}: {script:.80}"
            );
        }
    }
    // Of the style and the scripts a browser needs one copy.
    let page = visitor.page("/");
    for asset in ["console.css", "console.js", "icon.svg"] {
        let (before, _) = page.split_once(asset).unwrap();
        let start = before.rfind("/assets/").unwrap();
        let answer = Visitor::at(&dev).get(&format!("{}{asset}", &before[start..]));
        assert_eq!(answer.status, 200);
        assert!(
            answer
                .header("cache-control")
                .unwrap()
                .contains("immutable")
        );
    }
}

// gRPC is on the same port, and a browser's request is never taken for it.
#[test]
fn the_api_is_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    assert!(dev.ok(&["get", "orgs"]).contains("demo"));
    let answer = visitor.send("/hookplane.v1.OrgService/ListOrgs", &[], &same_origin());
    assert_eq!(answer.status, 404);
}
