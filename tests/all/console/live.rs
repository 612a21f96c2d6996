//! Live views, and pages that ask again by themselves, while a session ends or there is no room.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use hookplane_tests::http::post;
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::signers;

use super::{Visitor, text};

const LIVE: &str = "/orgs/demo/live/stream?group=";
/// Of one token.
const BOUND: usize = 8;
/// Its callbacks have several events.
const SEVERAL: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: demo, name: several}
spec:
  connector: attio
  signatureSecrets: [{value: s3cret-s3cret}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: demo, group: several, name: all}
spec: {label: All, active: true, events: ["*"]}
"#;

/// An answer that is read as it comes.
pub(crate) struct Stream(BufReader<TcpStream>);

impl Stream {
    pub(crate) fn open(base: &str, path: &str, cookie: &str) -> Self {
        let host = base.strip_prefix("http://").expect("no TLS");
        let mut socket = TcpStream::connect(host).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        Self(BufReader::new(socket))
    }

    /// What comes up to an event of that name, its data included.
    fn until(&mut self, event: &str) -> String {
        self.until_has(&format!("event: {event}\ndata: "))
    }

    /// What comes up to this text, and to the end of its line.
    fn until_has(&mut self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let ended = self.0.read_line(&mut all).unwrap() == 0;
            assert!(!ended, "it ends without {text}: {all}");
            if all.contains(text) && all.ends_with('\n') {
                return all;
            }
        }
    }
}

/// A viewer of `demo`, and the token's id.
fn viewer(dev: &Dev) -> (Visitor, String) {
    // The org is there by then.
    Visitor::at(dev);
    let made = dev.ok(&["token", "create", "--org", "demo", "--role", "viewer"]);
    let bearer = made.trim();
    let id = bearer.split('_').nth(1).expect("it has its id");
    (Visitor::signed_in(dev, bearer), id.to_owned())
}

#[test]
fn a_revoked_token_ends_what_is_open_and_the_page_is_told_where_to_sign_in() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let (visitor, id) = viewer(&dev);
    let page = "/orgs/demo/groups/github?webhooks=";
    let part = "/orgs/demo/groups/github/live?was=nothing";
    assert_eq!(visitor.part(part, page).status, 200);
    let mut open = visitor.stream(LIVE);
    open.until("begun");
    dev.ok(&["token", "revoke", &id]);
    let sign_in = "<a href=\"/sign-in?next=%2Forgs%2Fdemo%2Flive%3Fgroup%3D\">sign in again</a>";
    let told = open.until("over");
    assert!(
        told.contains("Signed out: ") && told.contains(sign_in),
        "{told}"
    );
    // Who comes again is told the same, as a stream: a page would be none to its reader.
    let again = visitor.get(LIVE);
    assert_eq!(again.header("content-type"), Some("text/event-stream"));
    let told = text(&again);
    assert!(
        told.contains("event: over\n") && told.contains(sign_in),
        "{told}"
    );
    // What asks for a part gets no page to put there: the whole page goes to sign in, and comes back.
    let part = visitor.part(part, page);
    assert_eq!((part.status, text(&part).as_str()), (401, ""));
    let to = part.header("hx-redirect").unwrap();
    assert_eq!(
        to,
        "/sign-in?next=%2Forgs%2Fdemo%2Fgroups%2Fgithub%3Fwebhooks%3D"
    );
    let page = visitor.get("/orgs/demo/groups/github");
    assert_eq!(page.status, 303);
}

// Give the view's tail no bound, and it shows each of the two hundred.
#[test]
fn more_than_can_be_read_is_left_out_and_said_and_the_newest_is_shown() {
    const FLOOD: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    dev.apply(SEVERAL);
    let url = dev.callback_url("demo/several");
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let mut open = visitor.stream("/orgs/demo/live/stream?group=several");
    open.until("begun");
    let send = |events: std::ops::Range<usize>| {
        let named = events.map(|n| format!(r#"{{"event_type":"record.e{n}-"}}"#));
        let body = format!(r#"{{"events":[{}]}}"#, named.collect::<Vec<_>>().join(","));
        let signature = signers::hmac_sha256_hex("s3cret-s3cret", body.as_bytes());
        let headers = [
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Attio-Signature".to_owned(), signature),
        ];
        assert_eq!(post(&url, &headers, body.as_bytes()).unwrap().status, 200);
    };
    let rows_of = |told: &str, n: usize| told.matches(&format!(">record.e{n}-</a>")).count();
    // At an ordinary rate each is there, once.
    let mut told = String::new();
    for n in 0..3 {
        send(n..n + 1);
        told += &open.until_has(&format!("record.e{n}-"));
    }
    assert!((0..3).all(|n| rows_of(&told, n) == 1), "{told}");
    assert!(!told.contains("left out"), "{told}");
    send(3..FLOOD);
    let newest = FLOOD - 1;
    told += &open.until_has(&format!("record.e{newest}-"));
    assert!((0..FLOOD).all(|n| rows_of(&told, n) <= 1), "{told}");
    let shown = (0..FLOOD).map(|n| rows_of(&told, n)).sum::<usize>();
    assert!(shown < FLOOD / 2, "{shown} of them: {told}");
    assert!(told.contains("some were left out here"), "{told}");
    let list = "<a href=\"/orgs/demo/events?group=several\">events</a>";
    assert!(told.contains(list), "{told}");
    // And it goes on.
    send(FLOOD..FLOOD + 1);
    let told = open.until_has(&format!("record.e{FLOOD}-"));
    assert!(!told.contains("left out"), "{told}");
}

#[test]
fn a_part_of_what_is_gone_has_the_whole_page_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let (visitor, _) = viewer(&dev);
    let gone = "/orgs/demo/groups/gone";
    let part = visitor.part(&format!("{gone}/live"), gone);
    assert_eq!(
        (part.status, part.header("hx-refresh")),
        (404, Some("true"))
    );
    assert_eq!(visitor.get(gone).header("hx-refresh"), None);
}

#[test]
fn a_live_view_too_many_says_why_and_begins_when_another_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let (visitor, _) = viewer(&dev);
    let mut open: Vec<Stream> = (0..BOUND).map(|_| visitor.stream(LIVE)).collect();
    for stream in &mut open {
        stream.until("begun");
    }
    let told = text(&visitor.get(LIVE));
    assert!(
        told.contains("event: full\ndata: 8 live views are open"),
        "{told}"
    );
    assert!(told.contains("close one of the others") && told.contains("retry: 5000"));
    // Another token's are counted by themselves.
    viewer(&dev).0.stream(LIVE).until("begun");
    open.pop();
    let begins = || {
        let mut stream = visitor.stream(LIVE);
        let mut said = String::new();
        while !said.contains("event: ") {
            assert!(stream.0.read_line(&mut said).unwrap() > 0, "{said}");
        }
        said.contains("event: begun").then_some(())
    };
    eventually("there is room", begins);
}
