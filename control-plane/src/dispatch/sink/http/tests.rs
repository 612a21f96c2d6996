//! What is sent, and what an answer means.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::dispatch::client::{Names, Networks};
use crate::dispatch::sink::{CROWDED_PAUSE, REFUSED_PAUSE};
use crate::log::Lease;
use crate::outgoing::OutgoingTls;

struct At(i64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp(self.0)
    }
}

const NOW: i64 = 1_674_087_231_000;

fn sink(target: v1::HttpTarget) -> HttpSink {
    let second = Duration::from_secs(1);
    HttpSink::new(&target, second, HttpClient::default(), Arc::new(At(NOW))).unwrap()
}

fn secret(value: &str) -> v1::Secret {
    v1::Secret {
        value: value.to_owned(),
        ..Default::default()
    }
}

fn job(body: &'static [u8]) -> Job {
    Job {
        lease: Lease {
            token: String::new(),
            delivery: v1::Delivery {
                idempotency_key: "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(),
                attempts: 3,
                ..Default::default()
            },
            event: v1::Event {
                id: "0192-e".to_owned(),
                r#type: "orders/paid".to_owned(),
                content_type: "application/xml; charset=utf-8".to_owned(),
                body: Bytes::from_static(body),
                ..Default::default()
            },
            expires: Timestamp(0),
        },
        record: None,
        webhook: "orgs/acme/groups/shop/webhooks/paid".to_owned(),
    }
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static [u8]) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: map,
        body: Bytes::from_static(body),
        whole: true,
        broken: None,
    }
}

#[test]
fn a_signature_is_that_of_the_specification() {
    // Worked out apart, with Python's hmac and base64: key bytes 0 to 23, over `msg_1.1674087231.{"a": 1}`.
    let secret = format!("whsec_{}", STANDARD.encode((0u8..24).collect::<Vec<_>>()));
    let key = signing_key(&secret).unwrap();
    let signed = sign(&key, "msg_1", 1_674_087_231, br#"{"a": 1}"#).unwrap();
    assert_eq!(signed, "v1,127PWvq5HSmM7XqIP3UvahK6XtsNhDIP740VmCas04w=");
    for wrong in ["whsec_", "whsec_c2hvcnQ=", "c2hvcnQ=", "whsec_***"] {
        assert!(signing_key(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn without_a_mapping_the_bytes_go_out_as_they_came() {
    let request = sink(v1::HttpTarget {
        url: "https://example.com/in?x=1".to_owned(),
        headers: [("Authorization".to_owned(), secret("Bearer 0815-4711"))].into(),
        ..Default::default()
    })
    .request(&job(b"<a>\xff</a>\r\n"))
    .unwrap();
    assert_eq!(&request.body()[..], b"<a>\xff</a>\r\n");
    let header = |name: &str| request.headers()[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/xml; charset=utf-8");
    assert_eq!(header("webhook-id"), "msg_p5jXN8AQM9LWM0D4loKWxJek");
    assert_eq!(header("webhook-timestamp"), "1674087231");
    assert_eq!(header("hookplane-event-type"), "orders/paid");
    assert_eq!(header("hookplane-attempt"), "3");
    assert_eq!(header("authorization"), "Bearer 0815-4711");
    assert!(!request.headers().contains_key("webhook-signature"));
    assert!(!request.headers().contains_key("content-encoding"));
}

#[test]
fn what_came_compressed_goes_out_with_its_encoding_and_what_is_mapped_without() {
    let sink = sink(v1::HttpTarget {
        url: "https://example.com/".to_owned(),
        ..Default::default()
    });
    let mut job = job(b"\x1f\x8b as it came");
    let encoding = ("content-encoding".to_owned(), "gzip".to_owned());
    job.lease.event.headers.extend([encoding]);
    let request = sink.request(&job).unwrap();
    assert_eq!(request.headers()["content-encoding"], "gzip");
    assert_eq!(&request.body()[..], b"\x1f\x8b as it came");
    job.record = Some(crate::mapping::Record {
        object: "Order__c".to_owned(),
        operation: v1::RecordOperation::Insert,
        key: None,
        fields: Vec::new(),
        parents: Vec::new(),
        children: Vec::new(),
    });
    let request = sink.request(&job).unwrap();
    assert!(!request.headers().contains_key("content-encoding"));
}

#[test]
fn an_event_type_that_no_header_can_hold_is_encoded() {
    assert_eq!(sendable("a\r\nX-Evil: 1"), "a%0D%0AX-Evil:%201");
    assert_eq!(sendable("größe"), "gr%C3%B6%C3%9Fe");
    assert_eq!(sendable("orders/paid now"), "orders/paid now");
}

#[test]
fn an_answer_decides_what_follows() {
    let sink = sink(v1::HttpTarget {
        url: "https://example.com/".to_owned(),
        headers: [("X-Key".to_owned(), secret("planted-key"))].into(),
        ..Default::default()
    });
    let of = |status, headers: &[(&'static str, &str)]| {
        sink.judged(Ok(answer(status, headers, b"you sent planted-key")))
    };
    for (status, verdict) in [
        (200, Verdict::Done),
        (204, Verdict::Done),
        (410, Verdict::GiveUp),
        (301, Verdict::Retry { after: None }),
        (400, Verdict::Retry { after: None }),
        (404, Verdict::Retry { after: None }),
        (500, Verdict::Retry { after: None }),
    ] {
        let outcome = of(status, &[]);
        assert_eq!(outcome.verdict, verdict, "{status}");
        assert_eq!(outcome.status, Some(status));
        assert_eq!(outcome.excerpt, "you sent ***");
    }
    for (value, seconds) in [
        ("7", Some(7)),
        ("999999999", Some(86_400)),
        // Ten seconds after the clock's now, and a minute before it.
        ("Thu, 19 Jan 2023 00:14:01 GMT", Some(10)),
        ("Thu, 19 Jan 2023 00:12:51 GMT", Some(0)),
        ("soon", None),
    ] {
        let after = seconds.map(Duration::from_secs);
        assert_eq!(
            of(429, &[("retry-after", value)]).verdict,
            Verdict::Retry { after },
            "{value}"
        );
    }
    let cut = Answer {
        whole: false,
        broken: Some("the answer breaks off".to_owned()),
        ..answer(200, &[], b"taken, thank you for all of it: planted")
    };
    let taken = sink.judged(Ok(cut));
    assert_eq!(taken.verdict, Verdict::Done);
    assert_eq!(
        taken.excerpt,
        "taken, thank you for all of  [the answer breaks off]"
    );
    let lost = sink.judged(Err(SendError::Broken("connection reset".to_owned())));
    assert_eq!(lost.verdict, Verdict::Retry { after: None });
    assert_eq!(lost.reason, "connection reset");
    let why = "10.0.0.1 is not a public address".to_owned();
    let refused = sink.judged(Err(SendError::Refused(why.clone())));
    let time = REFUSED_PAUSE;
    assert_eq!(refused.verdict, Verdict::Pause { time });
    assert_eq!(refused.reason, why);
    let crowded = sink.judged(Err(SendError::Crowded(why)));
    let time = CROWDED_PAUSE;
    assert_eq!(crowded.verdict, Verdict::Pause { time });
}

#[tokio::test]
async fn what_was_answered_2xx_is_delivered_though_the_answer_breaks_off() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", socket.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhi";
        let mut request = Vec::with_capacity(4096);
        stream.read_buf(&mut request).await.unwrap();
        stream.write_all(cut).await.unwrap();
    });
    let none: OutgoingTls = Arc::new(|| Err("no TLS here".to_owned()));
    let client = HttpClient::new(Networks::loopback(), none, Names::default());
    let target = v1::HttpTarget {
        url,
        ..Default::default()
    };
    let patient = Duration::from_secs(60);
    let sink = HttpSink::new(&target, patient, client, Arc::new(At(NOW))).unwrap();
    let [outcome] = &sink.deliver(&[job(b"{}")]).await[..] else {
        panic!("one outcome")
    };
    assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
    assert_eq!(outcome.status, Some(200));
    let shown = &outcome.excerpt;
    assert!(shown.starts_with("hi [the answer breaks off"), "{shown}");
    serving.await.unwrap();
}

#[test]
fn a_preview_shows_the_request_without_its_credentials() {
    let key = format!("whsec_{}", STANDARD.encode([7; 32]));
    let sink = sink(v1::HttpTarget {
        url: "https://example.com/in".to_owned(),
        signing_secret: Some(secret(&key)),
        headers: [("X-Key".to_owned(), secret("planted-key"))].into(),
    });
    let [shown] = &sink.preview(&job(b"{}"))[..] else {
        panic!("one request")
    };
    assert_eq!(
        (&*shown.method, &*shown.url, &*shown.body),
        ("POST", "https://example.com/in", "{}")
    );
    assert_eq!(shown.headers["x-key"], "***");
    assert_eq!(shown.headers["webhook-signature"], "v1,***");
    assert!(!format!("{shown:?}").contains("planted"));
}
