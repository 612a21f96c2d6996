//! Live views, and pages that ask again by themselves, while a session ends or there is no room.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use hookplane_tests::product::{Dev, eventually};

use super::{Visitor, text};

const LIVE: &str = "/orgs/demo/live/stream?group=";
/// Of one token.
const BOUND: usize = 8;

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
        let mut all = String::new();
        loop {
            let ended = self.0.read_line(&mut all).unwrap() == 0;
            assert!(!ended, "it ends without {event}: {all}");
            if all.contains(&format!("event: {event}\ndata: ")) && all.ends_with('\n') {
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
