//! SIGTERM: both servers end inside their grace whatever clients do, and what was answered 2xx is kept.
//!
//! A server with a stalled client has to end by itself with 0. [`GRACE`] is shorter than a test waits, and no test looks at the time.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use hookplane_proto::v1;
use hookplane_proto::v1::event_service_client::EventServiceClient;
use hookplane_proto::v1::subscription_service_client::SubscriptionServiceClient;
use hookplane_tests::http::Connection;
use hookplane_tests::pki::Pki;
use hookplane_tests::product::{CODE, CODE_SECRET, Listen, PATIENCE, Serve, eventually};
use hookplane_tests::signers;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Streaming};
use v1::subscribe_request::Kind;

const GRACE: [&str; 2] = ["--grace", "5"];

struct Both {
    listen: Listen,
    serve: Serve,
    url: String,
    // Last, so that it outlives them.
    folder: tempfile::TempDir,
}

fn both() -> Both {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &GRACE);
    let listen = Listen::start(&serve, "one", &GRACE);
    serve.apply(CODE);
    let url = serve.callback_url("acme/code");
    Both {
        listen,
        serve,
        url,
        folder,
    }
}

fn host(url: &str) -> &str {
    url.split('/').nth(2).unwrap()
}

/// Asks again and again and reads no answer, until nothing more goes in.
fn fill(mut stream: &TcpStream, request: &[u8]) {
    stream.set_nonblocking(true).unwrap();
    let many = request.repeat(100);
    let mut full = 0;
    eventually("the server stops reading", || {
        full += 1;
        while stream.write(&many).is_ok() {
            full = 0;
        }
        (full > 30).then_some(())
    });
}

/// Sends SIGTERM, and waits for an end with 0.
fn ends(process: &mut hookplane_tests::product::Process) {
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0), "{}", process.printed());
}

#[test]
fn nothing_answered_2xx_is_lost_when_both_end_under_load() {
    let Both {
        mut listen,
        mut serve,
        url,
        folder,
    } = both();
    let two = Mutex::new(Listen::start(&serve, "two", &GRACE));
    let kept = Mutex::new(Vec::new());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for poster in 0..4 {
            let urls = [url.clone(), two.lock().unwrap().url(&url)];
            let (kept, over) = (&kept, &over);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let id = format!("{poster}-{number}");
                    let headers = signers::github(CODE_SECRET, "push", &id, b"{}");
                    let url = &urls[number % 2];
                    let answer = Connection::open(url)
                        .and_then(|mut c| c.request("POST", url, &headers, b"{}"));
                    match answer {
                        Ok(answer) if answer.status == 200 => kept.lock().unwrap().push(id),
                        Ok(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
                        // Not taken: the listener is gone.
                        Err(_) => {}
                    }
                }
            });
        }
        let goes_on = || {
            let before = kept.lock().unwrap().len();
            eventually("the load goes on", || {
                (kept.lock().unwrap().len() > before + 20).then_some(())
            });
        };
        goes_on();
        ends(&mut listen);
        goes_on();
        ends(serve.process());
        ends(&mut two.lock().unwrap());
        over.store(true, Ordering::SeqCst);
    });
    serve.process().restart();
    serve.wait_until_ready();
    let mut found: Vec<String> = serve
        .tail("acme/code/all", &[])
        .iter()
        .map(|line| line["event"]["deliveryId"].as_str().unwrap().to_owned())
        .collect();
    found.sort();
    let mut kept = kept.into_inner().unwrap();
    kept.sort();
    let lost: Vec<_> = kept
        .iter()
        .filter(|id| found.binary_search(id).is_err())
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    drop(folder);
}

// Behind a load balancer that has not heard yet: callbacks are taken while it says that it is not ready.
#[test]
fn a_listener_that_ends_is_unready_at_once_and_takes_callbacks_a_moment_longer() {
    let Both {
        mut listen,
        serve,
        url,
        folder,
    } = both();
    let mut kept_alive = Connection::open(&url).unwrap();
    let post = |id: &str, connection: Option<&mut Connection>| {
        let headers = signers::github(CODE_SECRET, "push", id, b"{}");
        let mut fresh;
        let connection = match connection {
            Some(connection) => connection,
            None => {
                fresh = Connection::open(&url).unwrap();
                &mut fresh
            }
        };
        connection.request("POST", &url, &headers, b"{}").unwrap()
    };
    assert_eq!(
        post("before", Some(&mut kept_alive)).header("connection"),
        None
    );
    listen.signal("TERM");
    eventually("it says that it isn't ready", || {
        (listen.probe("/readyz") == Some(503)).then_some(())
    });
    let answer = post("after", Some(&mut kept_alive));
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(post("fresh", None).status, 200);
    assert_eq!(listen.wait(), Some(0));
    assert_eq!(serve.tail("acme/code/all", &[]).len(), 3);
    drop(folder);
}

// Risk 22: shutdown hangs on a stalled client.
#[test]
fn stalled_callers_dont_keep_a_listener_from_ending() {
    let Both {
        mut listen,
        serve,
        url,
        folder,
    } = both();
    let open = || TcpStream::connect(host(&url)).unwrap();
    let path = url.splitn(4, '/').nth(3).unwrap();
    let silent = open();
    let mut half_head = open();
    half_head.write_all(b"POST / HTTP/1.1\r\nhost").unwrap();
    let mut half_body = open();
    let head = format!("POST /{path} HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n{{");
    half_body.write_all(head.as_bytes()).unwrap();
    let unread = open();
    fill(
        &unread,
        format!("POST /{path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").as_bytes(),
    );
    let mut idle = Connection::open(&url).unwrap();
    idle.request("POST", &url, &[], b"").unwrap();
    // HTTP/2: the preface, settings, and a request whose body never comes.
    let mut http2 = open();
    http2
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    http2
        .write_all(b"\0\0\x05\x01\x04\0\0\0\x01\x83\x86\x84\x41\0")
        .unwrap();
    ends(&mut listen);
    drop((
        silent, half_head, half_body, unread, idle, http2, serve, folder,
    ));
}

// Risk 22, before there is a request at all.
#[test]
fn stuck_handshakes_keep_neither_server_from_ending() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    for name in ["api", "one"] {
        pki.issue(name, std::time::Duration::from_secs(86_400));
    }
    let mut serve = Serve::start_tls(folder.path(), &pki, &GRACE);
    let mut listen = Listen::start_tls(&serve, "one", &pki, &GRACE);
    serve.apply(CODE);
    let url = serve.callback_url("acme/code");
    let begun = |url: &str| {
        let mut stream = TcpStream::connect(host(url)).unwrap();
        stream.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
        stream
    };
    let stuck = [begun(&url), begun(serve.api_url())];
    ends(&mut listen);
    ends(serve.process());
    drop(stuck);
}

// Risk 22: what never comes back from a disk can't be called off, and nothing waits for it.
#[test]
fn a_read_that_never_ends_doesnt_keep_a_server_from_ending() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    for name in ["api", "one"] {
        pki.issue(name, std::time::Duration::from_secs(86_400));
    }
    let mut serve = Serve::start_tls(folder.path(), &pki, &GRACE);
    let mut listen = Listen::start_tls(&serve, "one", &pki, &GRACE);
    let stuck = ["api", "one"].map(|name| {
        let file = pki.path(name, "crt");
        std::fs::remove_file(&file).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&file).status();
        assert!(made.unwrap().success());
        let (opened, reader) = std::sync::mpsc::channel();
        // It can be opened once somebody reads it, who then waits for what is never written.
        std::thread::spawn(move || opened.send(std::fs::File::options().write(true).open(file)));
        reader.recv_timeout(PATIENCE).unwrap().unwrap()
    });
    ends(&mut listen);
    ends(serve.process());
    drop(stuck);
}

struct Client {
    channel: Channel,
    token: String,
}

impl Client {
    async fn new(serve: &Serve, folder: &tempfile::TempDir) -> Self {
        let token = std::fs::read_to_string(folder.path().join("admin.token")).unwrap();
        let channel = Channel::from_shared(serve.api_url().to_owned()).unwrap();
        Self {
            channel: channel.connect().await.unwrap(),
            token: token.trim().to_owned(),
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.token).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        request
    }

    async fn tail(&self) -> Streaming<v1::TailResponse> {
        let request = v1::TailRequest {
            parent: "orgs/acme/groups/code/webhooks/all".to_owned(),
            ..Default::default()
        };
        let mut client = EventServiceClient::new(self.channel.clone());
        client
            .tail(self.request(request))
            .await
            .unwrap()
            .into_inner()
    }

    async fn subscribe(
        &self,
    ) -> (
        tokio::sync::mpsc::Sender<v1::SubscribeRequest>,
        Streaming<v1::SubscribeResponse>,
    ) {
        let (send, requests) = tokio::sync::mpsc::channel(1);
        let start = v1::SubscribeStart {
            webhook: "orgs/acme/groups/code/webhooks/all".to_owned(),
            ..Default::default()
        };
        send.send(v1::SubscribeRequest {
            kind: Some(Kind::Start(start)),
        })
        .await
        .unwrap();
        let mut client = SubscriptionServiceClient::new(self.channel.clone());
        let stream = client
            .subscribe(self.request(ReceiverStream::new(requests)))
            .await
            .unwrap();
        (send, stream.into_inner())
    }
}

// Risks 21 and 22: streams are told to go, and what doesn't go is cut.
#[test]
fn open_streams_dont_keep_a_control_plane_from_ending() {
    let Both {
        listen,
        mut serve,
        url,
        folder,
    } = both();
    let runtime = Runtime::new().unwrap();
    let mut streams = runtime.block_on(async {
        let client = Client::new(&serve, &folder).await;
        (client.tail().await, client.subscribe().await, client)
    });
    // Stalled beneath HTTP/2: connected, and silent.
    let silent = TcpStream::connect(host(serve.api_url())).unwrap();
    let headers = signers::github(CODE_SECRET, "push", "1", b"{}");
    let answer = Connection::open(&url)
        .unwrap()
        .request("POST", &url, &headers, b"{}")
        .unwrap();
    assert_eq!(answer.status, 200);
    let lease = runtime.block_on(streams.1.1.message()).unwrap().unwrap();
    assert!(!lease.lease_token.is_empty());
    ends(serve.process());
    // Not before: what a client holds open is still open.
    drop((silent, listen));
    drop(streams);
}

// A second signal doesn't wait for anything.
#[test]
fn a_second_signal_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &[]);
    // Longer than the test waits.
    let mut listen = Listen::start(&serve, "one", &["--grace", "3600"]);
    serve.apply(CODE);
    let url = serve.callback_url("acme/code");
    let mut half_body = TcpStream::connect(host(&url)).unwrap();
    half_body
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{")
        .unwrap();
    listen.signal("TERM");
    eventually("it drains", || {
        (listen.probe("/readyz") == Some(503)).then_some(())
    });
    listen.signal("TERM");
    assert_eq!(listen.wait(), Some(130));
}
