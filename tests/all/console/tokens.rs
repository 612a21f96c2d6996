//! Tokens and the fleet.

use hookplane_tests::product::Dev;

use super::{Visitor, text};

const TOKENS: &str = "/orgs/demo/tokens";

#[test]
fn a_token_is_shown_once_lets_in_and_is_revoked_after_a_question() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let admin = Visitor::signed_in(&dev, &dev.token());
    let answer = admin.post(TOKENS, TOKENS, &[("role", "viewer"), ("days", "30")]);
    assert_eq!(answer.status, 200);
    let page = text(&answer);
    let (_, rest) = page
        .split_once(r#"<code id="bearer">"#)
        .expect("it is shown");
    let bearer = rest.split('<').next().unwrap_or_default().to_owned();
    assert!(!admin.page(TOKENS).contains(&bearer), "never again");
    let viewer = Visitor::signed_in(&dev, &bearer);
    assert_eq!(viewer.get("/orgs/demo").status, 200);

    let id = bearer.split('_').nth(1).expect("it has its id").to_owned();
    let revoke = format!("{TOKENS}/{id}/revoke");
    assert!(admin.page(&revoke).contains("It is a viewer"));
    assert_eq!(
        viewer.get("/orgs/demo").status,
        200,
        "asking revokes nothing"
    );
    let answer = admin.post(&revoke, &revoke, &[]);
    assert_eq!(
        answer.header("location"),
        Some("/orgs/demo/tokens?done=token-revoked")
    );
    hookplane_tests::product::eventually("the session has ended", || {
        (viewer.get("/orgs/demo").status == 303).then_some(())
    });
}

#[test]
fn a_token_that_cannot_be_made_comes_back_with_what_to_mend() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let admin = Visitor::signed_in(&dev, &dev.token());
    for (fields, shown) in [
        (vec![("role", "root")], "is one of admin"),
        (vec![("role", "consumer")], "name 1 to 100"),
        (
            vec![("role", "consumer"), ("webhooks", "shop/none")],
            "there is no webhook shop/none",
        ),
        (
            vec![("role", "viewer"), ("pools", "default")],
            "this role names none",
        ),
    ] {
        let answer = admin.post(TOKENS, TOKENS, &fields);
        assert_eq!(answer.status, 422, "{fields:?}");
        let page = text(&answer);
        assert!(page.contains(shown), "{shown}: {page}");
        assert!(!page.contains(r#"id="bearer""#));
    }
}

#[test]
fn the_fleet_shows_who_is_ready_and_an_org_its_own_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let page = Visitor::signed_in(&dev, &dev.token()).page("/fleet");
    assert!(page.contains("1 listener, 1 ready, 1 pool"), "{page}");
    let own = dev.ok(&["token", "create", "--org", "demo", "--role", "admin"]);
    let page = Visitor::signed_in(&dev, own.trim()).page("/fleet");
    assert!(page.contains("No listener of this org"), "{page}");
}
