//! Over real sockets: what is connected to, and what isn't.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const PATIENT: Duration = Duration::from_secs(10);

/// Answers each request on each connection with the same bytes, and counts connections.
async fn server(answer: &'static [u8]) -> (u16, Arc<AtomicUsize>, tokio::task::JoinHandle<()>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = socket.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut buf = vec![0; 4096];
                while stream.read(&mut buf).await.is_ok_and(|n| n > 0) {
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, count, serving)
}

fn client(
    networks: Networks,
    lookup: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static,
) -> HttpClient {
    let none: OutgoingTls = Arc::new(|| Err("no TLS here".to_owned()));
    HttpClient::new(networks, none, Names::fixed(lookup))
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_before_anything_is_connected() {
    let (port, connections, serving) =
        server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    // In clothes of every kind; and one of several is enough.
    for address in [
        vec![ip("127.0.0.1")],
        vec![ip("::ffff:127.0.0.1")],
        vec![ip("8.8.8.8"), ip("127.0.0.1")],
        vec![ip("169.254.169.254")],
    ] {
        let client = client(Networks::default(), move |_| address.clone());
        for scheme in ["https", "http"] {
            let url = format!("{scheme}://public.example:{port}/");
            let refused = client
                .send(get(&url), PATIENT, Wanted::Body(10))
                .await
                .unwrap_err();
            assert!(matches!(&refused, SendError::Refused(_)), "{refused:?}");
        }
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    serving.abort();
}

#[tokio::test]
async fn what_was_checked_is_what_is_connected_to_and_each_connection_is_checked() {
    let (port, connections, serving) =
        server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // Good at first, and bad whenever it is asked again.
    let client = client(Networks::loopback(), move |_| {
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => vec![ip("127.0.0.1")],
            _ => vec![ip("10.0.0.1")],
        }
    });
    let url = format!("http://rebinding.example:{port}/");
    for _ in 0..3 {
        let answer = client
            .send(get(&url), PATIENT, Wanted::Body(10))
            .await
            .unwrap();
        assert_eq!((&answer.body[..], answer.whole), (&b"hi"[..], true));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(
        connections.load(Ordering::SeqCst),
        1,
        "the connection is used again"
    );
    // Another host needs a connection of its own.
    let url = format!("http://other.example:{port}/");
    let refused = client
        .send(get(&url), PATIENT, Wanted::Body(10))
        .await
        .unwrap_err();
    assert!(matches!(refused, SendError::Refused(_)), "{refused:?}");
    serving.abort();
}

#[tokio::test]
async fn an_answer_is_read_to_its_bound_and_no_further() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n0123456789";
    let (port, _, serving) = server(ANSWER).await;
    let client = client(Networks::loopback(), |_| vec![ip("127.0.0.1")]);
    let url = format!("http://big.example:{port}/");
    let answer = client
        .send(get(&url), PATIENT, Wanted::Body(5))
        .await
        .unwrap();
    assert_eq!((&answer.body[..], answer.whole), (&b"01234"[..], false));
    serving.abort();
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_leads_nowhere() {
    const ANSWER: &[u8] =
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let (port, connections, serving) = server(ANSWER).await;
    let client = client(Networks::loopback(), |_| vec![ip("127.0.0.1")]);
    let url = format!("http://moved.example:{port}/");
    let answer = client
        .send(get(&url), PATIENT, Wanted::Body(5))
        .await
        .unwrap();
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    serving.abort();
}

#[tokio::test]
async fn the_timeout_is_over_everything() {
    // Begins to answer, and never ends.
    let (port, _, serving) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
    let client = client(Networks::loopback(), |_| vec![ip("127.0.0.1")]);
    let url = format!("http://slow.example:{port}/");
    let short = Duration::from_millis(50);
    let late = client
        .send(get(&url), short, Wanted::Body(5))
        .await
        .unwrap_err();
    assert_eq!(late, SendError::Timeout(short));
    serving.abort();
}

#[tokio::test]
async fn an_answer_whose_head_is_there_stands_even_if_its_body_breaks_off_or_never_ends() {
    let cut = {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = socket.accept().await.unwrap();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhi";
                stream
                    .read_buf(&mut Vec::with_capacity(4096))
                    .await
                    .unwrap();
                stream.write_all(answer).await.unwrap();
            }
        });
        (port, serving)
    };
    let late = server(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhi").await;
    let endless = endless(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n",
        b"1;extended=yes",
    )
    .await;
    let hour = Duration::from_secs(3_600);
    for (port, first, why) in [
        (cut.0, hour, "the answer breaks off"),
        // As long as it takes for the head to be there: what is late then is the body.
        (
            late.0,
            Duration::from_millis(50),
            "the answer has no end within",
        ),
        (endless.0, hour, "the answer breaks off"),
    ] {
        let client = client(Networks::loopback(), |_| vec![ip("127.0.0.1")]);
        let url = format!("http://broken.example:{port}/");
        let mut timeout = first;
        let answer = loop {
            match client.send(get(&url), timeout, Wanted::Head(10)).await {
                Err(SendError::Timeout(_)) => timeout *= 2,
                answer => break answer.unwrap(),
            }
        };
        assert_eq!((answer.status, answer.whole), (StatusCode::OK, false));
        assert_eq!(&answer.body[..], b"hi", "{why}");
        let told = answer.broken.unwrap();
        assert!(told.starts_with(why), "{told}");
        // Who needs the body has none.
        let none = client.send(get(&url), timeout, Wanted::Body(10)).await;
        assert!(none.is_err(), "{none:?}");
    }
    for serving in [cut.1, late.2, endless.1] {
        serving.abort();
    }
}

/// Answers each request with a beginning, and then the same again and again until nobody reads it.
async fn endless(first: &'static [u8], again: &'static [u8]) -> (u16, tokio::task::JoinHandle<()>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = socket.accept().await.unwrap();
            tokio::spawn(async move {
                let mut buf = vec![0; 4096];
                let again = again.repeat(64 * 1024 / again.len());
                if stream.read(&mut buf).await.is_ok() && stream.write_all(first).await.is_ok() {
                    while stream.write_all(&again).await.is_ok() {}
                }
            });
        }
    });
    (port, serving)
}

#[tokio::test]
async fn what_a_server_sends_without_end_ends_long_before_the_timeout() {
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (first, again) in [
        // Answers that aren't one yet.
        (&b""[..], &b"HTTP/1.1 100 Continue\r\n\r\n"[..]),
        // One head, and no end of it.
        (b"HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n"),
        (b"HTTP/1.1 200 OK\r\nx-long: ", b"and longer"),
        (b"", b"no HTTP at all"),
        // A body of nothing.
        (CHUNKED, b"1;extended=yes"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            b"x-trailer: a\r\n",
        ),
    ] {
        let (port, serving) = endless(first, again).await;
        let client = client(Networks::loopback(), |_| vec![ip("127.0.0.1")]);
        let url = format!("http://endless.example:{port}/");
        // Of an hour: what ends it is no timeout.
        let told = client.send(get(&url), Duration::from_secs(3_600), Wanted::Body(5));
        let told = tokio::time::timeout(Duration::from_secs(60), told).await;
        let told = told.expect("it ends by itself");
        let shown = String::from_utf8_lossy(again);
        assert!(
            matches!(told, Err(SendError::Broken(_))),
            "{shown}: {told:?}"
        );
        serving.abort();
    }
}

#[tokio::test]
async fn a_server_that_drips_its_answer_is_given_up_with_the_timeout() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        let drip = async {
            stream.read_buf(&mut Vec::with_capacity(4096)).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nx-slow: ").await?;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok::<_, std::io::Error>(())
        };
        drip.await.unwrap();
    });
    let client = client(Networks::loopback(), |_| vec![ip("127.0.0.1")]);
    let url = format!("http://drips.example:{port}/");
    let short = Duration::from_millis(200);
    let late = client
        .send(get(&url), short, Wanted::Body(5))
        .await
        .unwrap_err();
    assert_eq!(late, SendError::Timeout(short));
    // And hung up on.
    tokio::time::timeout(PATIENT, serving)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn those_apart_share_no_connection() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    let (port, connections, serving) = server(ANSWER).await;
    let one = client(Networks::loopback(), |_| vec![ip("127.0.0.1")]);
    let (same, other) = (one.clone(), one.apart("acme"));
    let url = format!("http://shared.example:{port}/");
    for (client, so_far) in [(&one, 1), (&same, 1), (&other, 2), (&one, 2), (&other, 2)] {
        client
            .send(get(&url), PATIENT, Wanted::Body(10))
            .await
            .unwrap();
        assert_eq!(connections.load(Ordering::SeqCst), so_far);
    }
    serving.abort();
}

#[tokio::test]
async fn what_came_to_no_look_up_of_its_org_was_not_sent_and_says_so() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    let (port, connections, serving) = server(ANSWER).await;
    let none: OutgoingTls = Arc::new(|| Err("no TLS here".to_owned()));
    let all = HttpClient::new(Networks::loopback(), none, Names::default());
    let (one, other) = (all.apart("one"), all.apart("other"));
    let hung = all.connector.resolver.fill("one");
    let url = format!("http://localhost:{port}/");
    // With a timeout that is over before its turn, and without.
    for timeout in [Duration::from_millis(50), Duration::from_secs(3_600)] {
        let unsent = one.send(get(&url), timeout, Wanted::Body(5)).await;
        assert!(matches!(unsent, Err(SendError::Crowded(_))), "{unsent:?}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    let hour = Duration::from_secs(3_600);
    other.send(get(&url), hour, Wanted::Body(5)).await.unwrap();
    drop(hung);
    one.send(get(&url), hour, Wanted::Body(5)).await.unwrap();
    serving.abort();
}
