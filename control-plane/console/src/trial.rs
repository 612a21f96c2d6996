//! A sample that was posted, and what came back against what should have: the same for the command line and the console.
//!
//! What is expected is the server's word, by the rules that the listener runs. Each request has a header of its own name: among refusals, which
//! show the names of a request's headers, it is known by that, however many others there are.

use std::collections::BTreeMap;
use std::pin::Pin;

use bytes::Bytes;
use hookplane_proto::v1;

/// How a listener refuses what it has to fetch a key for, and can't.
const KEY_UNAVAILABLE: (u16, &str) = (503, "key-unavailable");

/// A request to be posted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// POST mostly.
    pub method: String,
    /// Whole.
    pub url: String,
    /// As they are sent.
    pub headers: Vec<(String, String)>,
    /// Or its beginning.
    pub body: Bytes,
    /// Filled up with spaces to so many bytes; 0: it is whole.
    pub padded_to: u64,
}

/// A post that is under way. Dropped, it is broken off.
pub type Posting = Pin<Box<dyn Future<Output = Got> + Send>>;

/// Posts samples to this installation's own callback URLs, and nowhere else, in bounded time and size, and follows no answer that leads
/// elsewhere. A browser can't do it: our pages may talk to us alone, and listeners answer no other site's scripts.
pub trait Poster: Send + Sync {
    /// What comes back, or why nothing does. The org is whose test it is: none has all the turns.
    fn post(&self, org: &str, sample: Sample) -> Posting;
}

impl Sample {
    /// One of all variants, taken out of the request that tells it, with the header by which its refusal is known.
    pub fn of(request: &mut v1::SampleRequest, mark: String) -> Self {
        let mut headers: Vec<_> = std::mem::take(&mut request.headers).into_iter().collect();
        headers.push((mark, "1".to_owned()));
        Self {
            method: std::mem::take(&mut request.method),
            url: std::mem::take(&mut request.url),
            headers,
            body: std::mem::take(&mut request.body),
            padded_to: request.padded_to,
        }
    }
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Got {
    /// 0: no answer.
    pub status: u16,
    /// Of a refusal, as far as it was told in time.
    pub clause: String,
    /// For people: why it was refused, or why there is no answer.
    pub reason: String,
    /// Lower-case names.
    pub headers: BTreeMap<String, String>,
    /// The answer's, whole.
    pub body: Vec<u8>,
}

impl Got {
    /// An answer.
    pub fn of(answer: http::Response<Bytes>) -> Self {
        let (head, body) = answer.into_parts();
        let headers = head.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        Self {
            status: head.status.as_u16(),
            headers: headers.collect(),
            body: body.to_vec(),
            ..Self::default()
        }
    }

    /// Nothing came back, and why.
    pub fn nothing(reason: String) -> Self {
        Self {
            reason,
            ..Self::default()
        }
    }

    /// What `Hookplane-Receipt` says.
    pub fn receipt(&self) -> &str {
        self.header("hookplane-receipt")
    }

    /// What `Hookplane-Event-Id` says.
    pub fn event_id(&self) -> &str {
        self.header("hookplane-event-id")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// It was refused, and nobody knows yet by which clause.
    pub fn lacks_clause(&self) -> bool {
        self.status >= 300 && self.clause.is_empty()
    }

    /// Takes the clause of the refusal whose request had this header.
    pub fn explain(&mut self, mark: &str, refusals: &[v1::Refusal]) {
        let is_its = |refusal: &&v1::Refusal| refusal.header_names.iter().any(|name| name == mark);
        if let Some(refusal) = refusals.iter().find(is_its) {
            self.clause.clone_from(&refusal.clause);
            self.reason.clone_from(&refusal.reason);
        }
    }

    /// Whether it is what should have come.
    pub fn is(&self, expected: &v1::SampleExpectation) -> bool {
        if expected.or_key_unavailable && (self.status, self.clause.as_str()) == KEY_UNAVAILABLE {
            return true;
        }
        let receipt_fits = match expected.receipts.as_slice() {
            [] => self.receipt().is_empty(),
            receipts => receipts.iter().any(|receipt| receipt == self.receipt()),
        };
        let body = expected.body.as_ref();
        let body_fits = body.is_none_or(|body| **body == *self.body);
        let mut headers = expected.headers.iter();
        u32::from(self.status) == expected.status
            && self.clause == expected.clause
            && receipt_fits
            && body_fits
            && headers.all(|(name, value)| self.headers.get(name) == Some(value))
    }

    /// In short: status, clause, receipt.
    pub fn shown(&self) -> String {
        shown(self.status.into(), &self.clause, self.receipt())
    }
}

/// A request's header, by which its refusal is known: of a run with this random number, the request at this place.
pub fn mark(run: [u8; 8], index: usize) -> String {
    format!("hookplane-sample-{}-{index}", hex::encode(run))
}

/// A variant, as people type it.
pub fn variant(variant: v1::SampleVariant) -> String {
    let name = variant.as_str_name();
    let name = name.strip_prefix("SAMPLE_VARIANT_").unwrap_or(name);
    name.to_lowercase().replace('_', "-")
}

/// What should come, in short.
pub fn expectation(expected: &v1::SampleExpectation) -> String {
    let receipts = expected.receipts.join("|");
    let mut text = shown(expected.status, &expected.clause, &receipts);
    if expected.or_key_unavailable {
        let (status, clause) = KEY_UNAVAILABLE;
        text.push_str(&format!(" or {}", shown(status.into(), clause, "")));
    }
    text
}

fn shown(status: u32, clause: &str, receipt: &str) -> String {
    let status = match status {
        0 => "no answer".to_owned(),
        status => status.to_string(),
    };
    let rest = [clause, receipt].join(" ");
    format!("{status} {}", rest.trim()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> (v1::SampleExpectation, Got) {
        let expected = v1::SampleExpectation {
            status: 401,
            clause: "signature".into(),
            ..Default::default()
        };
        let got = Got {
            status: 401,
            clause: "signature".into(),
            ..Default::default()
        };
        (expected, got)
    }

    #[test]
    fn another_status_clause_receipt_body_or_header_is_not_what_was_expected() {
        let (expected, got) = refused();
        assert!(got.is(&expected));
        for change in [
            |got: &mut Got| got.status = 200,
            |got: &mut Got| got.clause = "timestamp".into(),
            |got: &mut Got| got.clause.clear(),
            |got: &mut Got| {
                let receipt = ("hookplane-receipt".to_owned(), "synced".to_owned());
                got.headers.extend([receipt]);
            },
        ] {
            let (_, mut other) = refused();
            change(&mut other);
            assert!(!other.is(&expected), "{other:?}");
        }
        let (mut expected, _) = refused();
        let unavailable = Got {
            status: 503,
            clause: "key-unavailable".into(),
            ..Default::default()
        };
        assert!(!unavailable.is(&expected));
        expected.or_key_unavailable = true;
        assert!(unavailable.is(&expected) && refused().1.is(&expected));
        let expected = v1::SampleExpectation {
            status: 200,
            body: Some("pong".into()),
            headers: [("x-echo".to_owned(), "abc".to_owned())].into(),
            ..Default::default()
        };
        let mut got = Got {
            status: 200,
            body: b"pong".to_vec(),
            headers: expected.headers.clone().into_iter().collect(),
            ..Default::default()
        };
        assert!(got.is(&expected));
        got.body.push(b'!');
        assert!(!got.is(&expected));
        got.body.pop();
        got.headers.clear();
        assert!(!got.is(&expected));
    }

    #[test]
    fn a_refusal_is_known_by_the_name_of_a_header() {
        let refusal = |name: String, clause: &str| v1::Refusal {
            header_names: vec!["host".into(), name],
            clause: clause.into(),
            ..Default::default()
        };
        let refusals = [
            refusal(mark([1; 8], 0), "timestamp"),
            refusal(mark([1; 8], 1), "signature"),
        ];
        let mut got = Got {
            status: 401,
            ..Default::default()
        };
        got.explain(&mark([2; 8], 1), &refusals);
        assert!(got.lacks_clause());
        got.explain(&mark([1; 8], 1), &refusals);
        assert_eq!(
            (got.clause.as_str(), got.lacks_clause()),
            ("signature", false)
        );
        assert_eq!(got.shown(), "401 signature");
    }
}
