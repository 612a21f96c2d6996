//! PostgreSQL is away, and with it all that is known of events: what shows configuration opens all the same and says what isn't known now, what
//! shows events says what to do, and all of it is whole again once PostgreSQL is back.

use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::http::post;
use hookplane_tests::product::{Backends, Listen, Serve, eventually};
use hookplane_tests::signers;

use super::{Visitor, text};

/// Nothing is sent anywhere: the destination is paused.
const SHOP: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec:
  connector: github
  displayName: Our code
  signatureSecrets: [{name: first, value: s3cret}]
  registeredEvents: [push]
---
apiVersion: hookplane.dev/v1
kind: Destination
metadata: {org: acme, name: crm}
spec: {http: {url: "https://hooks.example.com/orders"}, paused: true}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: pushed}
spec:
  label: What was pushed
  active: true
  events: [push]
  mapping: {active: true, base: {object: Commit__c, fields: {Ref__c: {from: payload.ref}}}}
  destinations: [{ref: crm}]
"#;

/// A page of configuration.
struct Page {
    path: &'static str,
    /// What it is for.
    has: &'static [&'static str],
    /// It also tells something of what came.
    tells: bool,
}

const fn page(path: &'static str, has: &'static [&'static str], tells: bool) -> Page {
    Page { path, has, tells }
}

const GROUP: &str = "/orgs/acme/groups/code";
const NOT_KNOWN: &str = "isn’t known now: the event log doesn’t answer";
const PAGES: [Page; 21] = [
    page("/orgs/acme", &["Our code", ">live<"], true),
    page("/orgs/acme/connectors", &["GitHub"], false),
    page("/orgs/acme/connectors/github?all=1", &["Our code"], true),
    page(GROUP, &[">live<", "pushed", "first"], true),
    page("/orgs/acme/groups/code/edit", &["Our code"], false),
    page(
        "/orgs/acme/groups/new?connector=github&function=repository",
        &["Signature Secret"],
        false,
    ),
    page(
        "/orgs/acme/groups/code/disable",
        &["Disable Our code?"],
        false,
    ),
    page("/orgs/acme/groups/code/test", &["push"], false),
    page(
        "/orgs/acme/groups/code/webhooks/template/clone",
        &["Clone"],
        false,
    ),
    page("/orgs/acme/groups/code/url", &["Make a new URL"], false),
    page("/orgs/acme/groups/code/secrets", &["first"], true),
    page(
        "/orgs/acme/groups/code/secrets?remove=first",
        &["only one"],
        true,
    ),
    page(
        "/orgs/acme/groups/code/webhooks",
        &["What was pushed"],
        false,
    ),
    page(
        "/orgs/acme/groups/code/webhooks/pushed",
        &["crm", "Commit__c", "paused"],
        false,
    ),
    page(
        "/orgs/acme/groups/code/webhooks/pushed/edit",
        &["What was pushed"],
        false,
    ),
    page(
        "/orgs/acme/groups/code/webhooks/pushed/mapping",
        &["Commit__c", "Samples of the connector"],
        true,
    ),
    page(
        "/orgs/acme/groups/code/webhooks/pushed/mapping/versions",
        &["Version 1"],
        false,
    ),
    page("/orgs/acme/destinations", &["crm"], false),
    page("/orgs/acme/destinations/crm", &["hooks.example.com"], false),
    page("/orgs/acme/tokens", &["tokens"], false),
    page("/fleet", &["edge-1"], true),
];
/// Lists of what came.
const LISTS: [&str; 3] = [
    "/orgs/acme/events",
    "/orgs/acme/deliveries",
    "/orgs/acme/refusals",
];

struct Shop {
    visitor: Visitor,
    event: String,
}

impl Shop {
    fn open(&self, path: &str) -> (u16, String) {
        let answer = self.visitor.get(path);
        (answer.status, text(&answer))
    }

    /// All at once, as several people do: each may take as long as the log does to say that it is away.
    fn open_all(&self, paths: &[&str]) -> Vec<(u16, String)> {
        std::thread::scope(|scope| {
            let open = |path| scope.spawn(move || self.open(path));
            let asked: Vec<_> = paths.iter().copied().map(open).collect();
            let answers = asked.into_iter().map(|asked| asked.join().unwrap());
            answers.collect()
        })
    }

    /// What is wrong with the first page of configuration that doesn't have what it is for, or doesn't know what it should of what came.
    fn wrong(&self, known: bool) -> Option<String> {
        let answers = self.open_all(&PAGES.each_ref().map(|page| page.path));
        let wrong = PAGES.iter().zip(answers).find(|(page, (status, text))| {
            let has = page.has.iter().all(|word| text.contains(word));
            let unknown = !known && page.tells;
            *status != 200 || !has || text.contains(NOT_KNOWN) != unknown
        });
        wrong.map(|(page, answer)| format!("{}: {answer:?}", page.path))
    }

    /// No page of what came hangs or says that nothing came.
    #[track_caller]
    fn assert_that_lists_say_what_to_do(&self) {
        let one = format!("/orgs/acme/events/{}", self.event);
        let [events, deliveries, refusals] = LISTS;
        let answers = self.open_all(&[events, deliveries, refusals, &one]);
        for (status, text) in answers {
            assert_eq!(status, 503, "{text}");
            let says = text.contains("event log") && text.contains("in a moment");
            assert!(says, "{text}");
        }
    }

    fn wait_until_whole(&self) {
        eventually("what came is shown again", || {
            let lists = LISTS.map(|path| self.open(path));
            let whole = lists.iter().all(|(status, _)| *status == 200)
                && lists[0].1.contains(&self.event)
                && self.open(GROUP).1.contains("used 1 time")
                // A busy machine may take longer than a page waits for what it tells besides.
                && self.wrong(true).is_none();
            whole.then_some(())
        });
    }
}

#[test]
fn configuration_is_shown_and_written_while_postgres_is_away_and_what_came_says_what_to_do() {
    let mut postgres = Postgres::start_alone(&[]);
    let folder = tempfile::tempdir().unwrap();
    let backends = Backends {
        store: format!("embedded:{}", folder.path().join("store").display()),
        log: postgres.database("hooks"),
    };
    let serve = Serve::start_at(folder.path(), &backends, &["--accept-weaker-durability"]);
    let listen = Listen::start(&serve, "edge-1", &[]);
    serve.apply(SHOP);
    let url = listen.url(&serve.callback_url("acme/code"));
    let push = |secret: &str| {
        let body = br#"{"ref":"refs/heads/main"}"#;
        let headers = signers::github(secret, "push", "d-1", body);
        post(&url, &headers, body).unwrap()
    };
    let kept = push("s3cret");
    assert_eq!(kept.status, 200);
    assert_eq!(push("wrong").status, 401);
    let event = kept.header("hookplane-event-id").unwrap().to_owned();
    let mut visitor = Visitor {
        base: serve.api_url().to_owned(),
        cookie: None,
    };
    let token = std::fs::read_to_string(folder.path().join("admin.token")).unwrap();
    let answer = visitor.sign_in(token.trim());
    assert_eq!(answer.status, 303, "{}", text(&answer));
    let shop = Shop { visitor, event };
    shop.wait_until_whole();

    // A server that takes connections and says nothing, and one that isn't there.
    postgres.freeze(0);
    assert_eq!(shop.wrong(false), None);
    shop.assert_that_lists_say_what_to_do();
    postgres.thaw(0);
    shop.wait_until_whole();

    postgres.kill(0);
    assert_eq!(shop.wrong(false), None);
    shop.assert_that_lists_say_what_to_do();
    let webhook = format!("{GROUP}/webhooks/pushed");
    let answer = shop
        .visitor
        .post(&format!("{webhook}/activate"), &webhook, &[]);
    assert_eq!(answer.status, 303, "{}", text(&answer));
    assert!(shop.visitor.page(&webhook).contains("not active"));
    postgres.restart(0);
    shop.wait_until_whole();
}
