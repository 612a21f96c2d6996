//! Callbacks as GitHub sends them: headers, a body of its shape and of a given size, signed. No two are alike, or the control plane would
//! take them for replays; what differs stands at the end of the body, so that signing one costs the load generator two hash blocks and not
//! the whole body.

use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The secret of every group.
pub(super) const SECRET: &str = "bench";
/// Digits of the number that makes a callback unlike the others.
const DIGITS: usize = 16;
const SIGNATURE_DIGITS: usize = 64;

/// One request, to be sent over and over with another number.
#[derive(Clone)]
pub(super) struct Callback {
    bytes: Vec<u8>,
    delivery: Range<usize>,
    signature: Range<usize>,
    number: Range<usize>,
    /// Has taken in the body up to its number. None for a forgery.
    signed: Option<Hmac<Sha256>>,
}

impl Callback {
    /// `event` is GitHub's, without the action; a forgery has a well-formed signature of another text.
    pub(super) fn new(path: &str, event: &str, body_bytes: usize, forged: bool) -> Self {
        let body = body(body_bytes);
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nHost: hooks.example.com\r\nUser-Agent: GitHub-Hookshot/1a2b3c4\r\nAccept: */*\r\n\
             Content-Type: application/json\r\nX-GitHub-Event: {event}\r\nX-GitHub-Hook-ID: 292430182\r\n\
             X-GitHub-Hook-Installation-Target-ID: 79929171\r\nX-GitHub-Hook-Installation-Target-Type: repository\r\n\
             X-Hub-Signature: sha1={}\r\nContent-Length: {}\r\n",
            "7".repeat(40),
            body.len()
        )
        .into_bytes();
        let mut blank = |name: &str, digits: usize| {
            bytes.extend_from_slice(name.as_bytes());
            let place = bytes.len()..bytes.len() + digits;
            bytes.resize(place.end, b'0');
            bytes.extend_from_slice(b"\r\n");
            place
        };
        let delivery = blank("X-GitHub-Delivery: 72d3162e-cc78-11e3-", DIGITS);
        let signature = blank("X-Hub-Signature-256: sha256=", SIGNATURE_DIGITS);
        bytes.extend_from_slice(b"\r\n");
        let end = bytes.len() + body.len() - BODY_END.len();
        let signed = &body[..body.len() - BODY_END.len() - DIGITS];
        let mut mac =
            Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("an HMAC takes any key");
        mac.update(signed.as_bytes());
        bytes.extend_from_slice(body.as_bytes());
        Self {
            bytes,
            delivery,
            signature,
            number: end - DIGITS..end,
            signed: (!forged).then_some(mac),
        }
    }

    /// The bytes of the callback with this number.
    pub(super) fn numbered(&mut self, number: u64) -> &[u8] {
        let digits = number.to_be_bytes();
        for place in [&self.delivery, &self.number] {
            hex_into(&digits, &mut self.bytes[place.clone()]);
        }
        if let Some(mac) = &self.signed {
            let mut mac = mac.clone();
            mac.update(&self.bytes[self.number.start..]);
            let signature = mac.finalize().into_bytes();
            hex_into(&signature, &mut self.bytes[self.signature.clone()]);
        }
        &self.bytes
    }
}

fn hex_into(bytes: &[u8], out: &mut [u8]) {
    hex::encode_to_slice(bytes, out).expect("there are two digits for each byte");
}

const BODY_END: &str = "\"}";
/// What every body begins with. The filters of the bench read it.
const BODY_START: &str = r#"{"action":"opened","number":2,"pull_request":{"url":"https://api.github.com/repos/acme/widgets/pulls/2","id":279147437,"state":"open","locked":false,"title":"Mend the gate","base":{"ref":"main"}}"#;

/// A `pull_request` event of exactly so many bytes, or of as few as one takes: users and repositories as there is room, then a text.
fn body(bytes: usize) -> String {
    let mut body = BODY_START.to_owned();
    let end = format!(r#","number_text":"{}{BODY_END}"#, "0".repeat(DIGITS));
    let filler = (r#","body":""#, r#"""#);
    let room = bytes.saturating_sub(end.len() + filler.0.len() + filler.1.len());
    for number in 0.. {
        let part = match number % 3 {
            0 => format!(r#","repository_{number}":{}"#, repository(number)),
            _ => format!(r#","sender_{number}":{}"#, user(number)),
        };
        if body.len() + part.len() > room {
            // A repository is large: a user may still fit.
            if number % 3 == 0 {
                continue;
            }
            break;
        }
        body.push_str(&part);
    }
    let text = "One line of a description, as people write them, and its end.\\r\\n";
    body.push_str(filler.0);
    while body.len() + text.len() <= room + filler.0.len() {
        body.push_str(text);
    }
    while body.len() < room + filler.0.len() {
        body.push('.');
    }
    body.push_str(filler.1);
    body.push_str(&end);
    body
}

fn user(number: usize) -> String {
    let mut object = format!(
        r#"{{"login":"octo-sample-{number}","id":2103{number:04},"node_id":"MDQ6VXNlcjIxMDMxMDY3","gravatar_id":"","type":"User","site_admin":false"#
    );
    for name in [
        "avatar_url",
        "url",
        "html_url",
        "followers_url",
        "following_url",
        "gists_url",
        "starred_url",
        "subscriptions_url",
        "organizations_url",
        "repos_url",
        "events_url",
        "received_events_url",
    ] {
        object.push_str(&format!(
            r#","{name}":"https://api.github.com/users/octo-sample-{number}/{name}""#
        ));
    }
    object.push('}');
    object
}

fn repository(number: usize) -> String {
    let mut object = format!(
        r#"{{"id":1868{number:04},"name":"widgets","full_name":"acme/widgets-{number}","private":false,"owner":{},"description":null,"fork":false"#,
        user(number)
    );
    for name in [
        "html",
        "forks",
        "keys",
        "collaborators",
        "teams",
        "hooks",
        "issue_events",
        "events",
        "assignees",
        "branches",
        "tags",
        "blobs",
        "git_tags",
        "git_refs",
        "trees",
        "statuses",
        "languages",
        "stargazers",
        "contributors",
        "subscribers",
        "subscription",
        "commits",
        "git_commits",
        "comments",
        "issue_comment",
        "contents",
        "compare",
        "merges",
        "archive",
        "downloads",
        "issues",
        "pulls",
        "milestones",
        "notifications",
        "labels",
        "releases",
        "deployments",
        "git",
        "ssh",
        "clone",
        "svn",
    ] {
        object.push_str(&format!(
            r#","{name}_url":"https://api.github.com/repos/acme/widgets/{name}""#
        ));
    }
    for name in [
        "size",
        "stargazers_count",
        "watchers_count",
        "forks_count",
        "open_issues_count",
        "forks",
        "open_issues",
        "watchers",
    ] {
        object.push_str(&format!(r#","{name}":{number}"#));
    }
    for name in [
        "has_issues",
        "has_projects",
        "has_downloads",
        "has_wiki",
        "has_pages",
        "archived",
        "disabled",
    ] {
        object.push_str(&format!(r#","{name}":true"#));
    }
    object.push_str(r#","created_at":"2019-05-15T15:19:25Z","updated_at":"2019-05-15T15:20:41Z","mirror_url":null,"license":null,"default_branch":"main"}"#);
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signers;

    #[test]
    fn a_body_is_json_of_the_size_that_was_asked_for() {
        for bytes in [1024, 7168, 25_600, 300_000] {
            let body = body(bytes);
            assert_eq!(body.len(), bytes);
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(value["pull_request"]["base"]["ref"], "main");
        }
        assert!(serde_json::from_str::<serde_json::Value>(&body(0)).is_ok());
    }

    #[test]
    fn a_callback_is_signed_as_github_signs_and_no_two_are_alike() {
        let mut callback = Callback::new("/x", "pull_request", 2000, false);
        let mut seen = std::collections::HashSet::new();
        for number in 0..3 {
            let request = String::from_utf8(callback.numbered(number).to_vec()).unwrap();
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}", body.len())));
            let headers = signers::github(SECRET, "pull_request", "", body.as_bytes());
            let signature = &headers.last().unwrap().1;
            assert!(head.contains(signature.as_str()), "{head}");
            assert!(seen.insert(request));
        }
        let mut forged = Callback::new("/x", "pull_request", 2000, true);
        assert!(String::from_utf8_lossy(forged.numbered(1)).contains(&"0".repeat(64)));
    }
}
