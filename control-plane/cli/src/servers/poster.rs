//! What posts the console's tests: to this installation's own public URL, and nowhere else.
//!
//! A server that posts for whoever asks is a way into its network. Here the URL has to begin as every callback URL of this installation does, as
//! the operator set it; redirects aren't followed; time and size are bounded, and so is how many are under way,
//! of each org as well. An org writes its connectors itself,
//! and so the headers of their samples: none that a proxy or a server on the way believes is posted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hookplane_console::trial::{Got, Poster, Posting, Sample};
use hookplane_control_plane::outgoing::OutgoingTls;
use hyper::Uri;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::post::post;

/// At a time, of all who send tests, and of those of one org. Each may take half a minute.
const AT_ONCE: usize = 8;
const OF_ONE_ORG: usize = 2;

/// Of the connection, which is ours to say.
const OF_THE_CONNECTION: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What proxies tell of whom they speak for, and servers believe from inside.
const OF_PROXIES: [&str; 6] = [
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-real-ip",
];

/// Posts to callback URLs.
pub(super) struct OwnUrls {
    public_url: String,
    tls: OutgoingTls,
    turns: Arc<Semaphore>,
    /// Those of orgs that are posting.
    of_org: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl OwnUrls {
    pub(super) fn new(public_url: String, tls: OutgoingTls) -> Self {
        Self {
            public_url,
            tls,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            of_org: Mutex::default(),
        }
    }

    /// None: it has as many as it may. Whoever waited here would keep others from theirs.
    fn turn_of(&self, org: &str) -> Option<OwnedSemaphorePermit> {
        let mut known = self.of_org.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, one| Arc::strong_count(one) > 1);
        let one = known.entry(org.to_owned());
        let one = one.or_insert_with(|| Arc::new(Semaphore::new(OF_ONE_ORG)));
        Arc::clone(one).try_acquire_owned().ok()
    }
}

impl Poster for OwnUrls {
    fn post(&self, org: &str, sample: Sample) -> Posting {
        if !is_below(&self.public_url, &sample.url) {
            let reason = format!(
                "{} is not below this installation's public URL, {}: nothing is posted elsewhere",
                sample.url, self.public_url
            );
            return Box::pin(async { Got::nothing(reason) });
        }
        if let Some(name) = sample
            .headers
            .iter()
            .map(|(name, _)| name)
            .find(is_not_ours)
        {
            let reason = format!(
                "the sample has the header `{name}`, which is not posted from here: take it out of the connector's sample, or post it from where you are, with `hookplane send`"
            );
            return Box::pin(async { Got::nothing(reason) });
        }
        let Some(own) = self.turn_of(org) else {
            let reason = format!(
                "{OF_ONE_ORG} tests of this org are under way, and there can be no more: send it again when one of them is done"
            );
            return Box::pin(async { Got::nothing(reason) });
        };
        let (tls, turns) = (self.tls.clone(), self.turns.clone());
        Box::pin(async move {
            let _turns = (own, turns.acquire_owned().await);
            match post(sample, || tls()).await {
                Ok(answer) => Got::of(answer),
                Err(failure) => Got::nothing(failure.message()),
            }
        })
    }
}

/// Whether it says something of the way here that isn't the sample's to say.
fn is_not_ours(name: &&String) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.as_str();
    OF_THE_CONNECTION.contains(&name)
        || OF_PROXIES.contains(&name)
        || name.starts_with("x-forwarded-")
}

/// The same scheme, host and port, and a path below.
fn is_below(public_url: &str, url: &str) -> bool {
    let (Ok(ours), Ok(url)) = (public_url.parse::<Uri>(), url.parse::<Uri>()) else {
        return false;
    };
    let path = ours.path().trim_end_matches('/');
    let below = url.path().strip_prefix(path);
    ours.authority().is_some()
        && ours.scheme() == url.scheme()
        && ours.authority() == url.authority()
        && below.is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The console's test is no way to have the server call another address.
    #[test]
    fn only_what_is_below_the_public_url_is_posted_to() {
        let ours = "https://hooks.example.com/in";
        for (url, posted) in [
            ("https://hooks.example.com/in/acme/shop/t0ken?x=1", true),
            ("https://hooks.example.com/other", false),
            ("https://hooks.example.com/inner/t0ken", false),
            ("http://hooks.example.com/in/t0ken", false),
            ("https://hooks.example.com:8443/in/t0ken", false),
            ("https://hooks.example.com@evil.example/in/t0ken", false),
            ("https://hooks.example.com.evil.example/in/t0ken", false),
            ("https://169.254.169.254/in/t0ken", false),
            ("/in/t0ken", false),
            ("", false),
        ] {
            assert_eq!(is_below(ours, url), posted, "{url}");
        }
        assert!(is_below(
            "http://127.0.0.1:8080/",
            "http://127.0.0.1:8080/h/t"
        ));
        assert!(!is_below("", "/h/t"));
    }

    // What an org writes into its connector's sample is no way to speak as a proxy from inside the network, or to have one request read as two.
    #[tokio::test]
    async fn no_header_that_servers_believe_of_their_proxies_is_posted() {
        let tls: OutgoingTls = Arc::new(|| Err("it was to be posted".to_owned()));
        let poster = OwnUrls::new("https://127.0.0.1".to_owned(), tls);
        let posted = async |name: &str| {
            let sample = Sample {
                url: "https://127.0.0.1/x".to_owned(),
                headers: vec![(name.to_owned(), "1".to_owned())],
                ..Default::default()
            };
            let got = poster.post("acme", sample).await;
            assert_eq!(got.status, 0);
            got.reason.contains("it was to be posted")
        };
        for name in [
            "Host",
            "connection",
            "Upgrade",
            "Content-Length",
            "Transfer-Encoding",
            "Forwarded",
            "X-Forwarded-For",
            "x-forwarded-host",
            "X-Real-IP",
        ] {
            assert!(!posted(name).await, "{name}");
        }
        for name in [
            "x-signature",
            "content-type",
            "content-encoding",
            "user-agent",
        ] {
            assert!(posted(name).await, "{name}");
        }
    }

    // Promise 8: whatever one org posts, another's test has its turn.
    #[tokio::test]
    async fn one_org_takes_no_more_than_its_own_turns() {
        let tls: OutgoingTls = Arc::new(|| Err("it was to be posted".to_owned()));
        let poster = OwnUrls::new("https://127.0.0.1".to_owned(), tls);
        let post = |org: &str| {
            let sample = Sample {
                url: "https://127.0.0.1/x".to_owned(),
                ..Default::default()
            };
            poster.post(org, sample)
        };
        let held: Vec<Posting> = (0..OF_ONE_ORG).map(|_| post("greedy")).collect();
        assert!(post("greedy").await.reason.contains("under way"));
        assert!(post("other").await.reason.contains("to be posted"));
        drop(held);
        assert!(post("greedy").await.reason.contains("to be posted"));
        assert!(poster.of_org.lock().unwrap().len() <= 2);
    }

    #[tokio::test]
    async fn what_is_not_ours_is_refused_before_anything_is_opened() {
        let tls: OutgoingTls = Arc::new(|| Err("not asked for".to_owned()));
        let poster = OwnUrls::new("https://hooks.example.com".to_owned(), tls);
        let sample = Sample {
            url: "https://127.0.0.1/x".to_owned(),
            ..Default::default()
        };
        let got = poster.post("acme", sample).await;
        assert_eq!(got.status, 0);
        assert!(
            got.reason.contains("nothing is posted elsewhere"),
            "{got:?}"
        );
    }
}
