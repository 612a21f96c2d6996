//! What operators do with backups of etcd and PostgreSQL, with the tools that come with those, and what becomes of everybody who was ahead of them.

mod etcd;
mod moments;
mod postgres;

use hookplane_tests::http::Connection;
use hookplane_tests::product::{CODE_SECRET, Listen, eventually};
use hookplane_tests::signers;

/// Posts a push for the group `code`, signed by its secret. The status, the receipt and the event's id; none where nobody answers.
fn post(listen: &Listen, callback_url: &str, delivery: &str) -> Option<(u16, String, String)> {
    let url = listen.url(callback_url);
    let headers = signers::github(CODE_SECRET, "push", delivery, b"{}");
    let mut to = Connection::open(&url).ok()?;
    let answer = to.request("POST", &url, &headers, b"{}").ok()?;
    let id = answer.header("hookplane-event-id").unwrap_or_default();
    Some((answer.status, answer.receipt().to_owned(), id.to_owned()))
}

/// The same until it is answered with this status.
fn post_until(
    listen: &Listen,
    callback_url: &str,
    delivery: &str,
    status: u16,
) -> (String, String) {
    let what = format!("{delivery} is answered {status}");
    eventually(&what, || {
        let (is, receipt, id) = post(listen, callback_url, delivery)?;
        (is == status).then_some((receipt, id))
    })
}
