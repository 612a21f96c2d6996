//! TLS on both servers, with certificates that are replaced while they run.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hookplane_tests::http::{Answer, Connection};
use hookplane_tests::pki::Pki;
use hookplane_tests::product::{CODE, CODE_SECRET, Listen, Serve, eventually};
use hookplane_tests::signers;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection};

const DAY: Duration = Duration::from_secs(86_400);
/// Of the certificates that expire under load. Longer than starting both servers takes.
const SHORT: Duration = Duration::from_secs(15);

/// Posts a signed callback on a connection of its own.
fn post(url: &str, client: &Arc<ClientConfig>, id: &str) -> std::io::Result<Answer> {
    let headers = signers::github(CODE_SECRET, "push", id, b"{}");
    Connection::open_tls(url, client)?.request("POST", url, &headers, b"{}")
}

/// The certificate that is shown to a new connection.
fn shown(url: &str, client: &Arc<ClientConfig>) -> Option<CertificateDer<'static>> {
    let host = url.split('/').nth(2)?;
    let mut stream = TcpStream::connect(host).ok()?;
    let name = ServerName::IpAddress(stream.peer_addr().ok()?.ip().into());
    let mut tls = ClientConnection::new(client.clone(), name).ok()?;
    tls.complete_io(&mut stream).ok()?;
    Some(tls.peer_certificates()?.first()?.clone().into_owned())
}

fn until_shown(url: &str, client: &Arc<ClientConfig>, certificate: &CertificateDer<'static>) {
    eventually("the new certificate is shown", || {
        (shown(url, client).as_ref() == Some(certificate)).then_some(())
    });
}

struct Both {
    pki: Pki,
    listen: Listen,
    serve: Serve,
    url: String,
    // Last, so that it outlives them.
    folder: tempfile::TempDir,
}

/// Both servers, with certificates good for this long.
fn both(good_for: Duration) -> Both {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    pki.issue("api", good_for);
    pki.issue("one", good_for);
    let serve = Serve::start_tls(folder.path(), &pki, &[]);
    let listen = Listen::start_tls(&serve, "one", &pki, &[]);
    serve.apply(CODE);
    let url = serve.callback_url("acme/code");
    Both {
        pki,
        listen,
        serve,
        url,
        folder,
    }
}

async fn post_over_http2(url: &str, client: Arc<ClientConfig>) -> u16 {
    let uri: hyper::Uri = url.parse().unwrap();
    let stream = tokio::net::TcpStream::connect(uri.authority().unwrap().as_str())
        .await
        .unwrap();
    let name = ServerName::IpAddress(stream.peer_addr().unwrap().ip().into());
    let stream = tokio_rustls::TlsConnector::from(client)
        .connect(name, stream)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut request = hyper::Request::post(url);
    for (name, value) in signers::github(CODE_SECRET, "push", "h2", b"{}") {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from_static(b"{}"))).unwrap();
    sender
        .send_request(request)
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[test]
fn callbacks_and_the_api_come_over_tls() {
    let both = both(DAY);
    assert!(both.url.starts_with("https://"), "{}", both.url);
    let client = both.pki.client(&[b"http/1.1"]);
    assert_eq!(post(&both.url, &client, "h1").unwrap().status, 200);
    // Without ALPN, as old senders come.
    assert_eq!(
        post(&both.url, &both.pki.client(&[]), "bare")
            .unwrap()
            .status,
        200
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = both.pki.client(&[b"h2", b"http/1.1"]);
    assert_eq!(runtime.block_on(post_over_http2(&both.url, client)), 200);
    assert_eq!(both.serve.tail("acme/code/all", &[]).len(), 3);

    // The CLI posts over TLS as well, and believes nobody but whom it is told to.
    let sent = both.serve.ok(&["send", "acme/code", "push"]);
    assert!(sent.starts_with("200 OK"), "{sent}");
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Pki::new(elsewhere.path()).ca_file();
    let refused = both
        .serve
        .refused(&["get", "orgs", "--tls-ca", other.to_str().unwrap()], 1);
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    assert!(post(&both.url, &Pki::new(elsewhere.path()).client(&[]), "x").is_err());

    // Plain text on either port is no way in.
    for url in [&both.url, both.serve.api_url()] {
        let answer = Connection::open(url)
            .unwrap()
            .request("POST", url, &[], b"");
        assert!(answer.is_err(), "{answer:?}");
    }
}

// Risk 30: identities are loaded again on both ends.
#[test]
fn certificates_that_expire_under_load_are_replaced_without_a_failed_request() {
    let began = Instant::now();
    let Both {
        pki,
        listen,
        serve,
        url,
        folder,
    } = both(SHORT);
    let client = pki.client(&[b"http/1.1"]);
    let over = AtomicBool::new(false);
    let posted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for poster in 0..2 {
            let (over, posted, url, client) = (&over, &posted, &url, &client);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let answer = post(url, client, &format!("{poster}-{number}"));
                    assert_eq!(answer.map(|answer| answer.status).ok(), Some(200));
                    posted.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let (api, one) = (pki.issue("api", DAY), pki.issue("one", DAY));
        until_shown(serve.api_url(), &pki.client(&[b"h2"]), &api);
        until_shown(&url, &client, &one);
        eventually("the first certificates expire", || {
            (began.elapsed() > SHORT + Duration::from_secs(2)).then_some(())
        });
        // New connections of both kinds, now that nothing old would do.
        let before = posted.load(Ordering::SeqCst);
        eventually("the load goes on", || {
            (posted.load(Ordering::SeqCst) > before + 10).then_some(())
        });
        serve.ok(&["get", "listeners"]);
        over.store(true, Ordering::SeqCst);
    });
    assert_eq!(serve.tail("acme/code/all", &[]).len(), posted.into_inner());
    drop((listen, serve, folder));
}

#[test]
fn a_certificate_that_cant_be_used_keeps_the_old_one_and_is_said_once() {
    let both = both(DAY);
    let client = both.pki.client(&[]);
    let old = shown(&both.url, &client).unwrap();
    let said = || {
        both.listen
            .printed()
            .matches("the last good one stays in use")
            .count()
    };
    // A key that is not the certificate's.
    std::fs::copy(both.pki.path("api", "key"), both.pki.path("one", "key")).unwrap();
    eventually("the first fault is said", || (said() == 1).then_some(()));
    std::fs::write(both.pki.path("one", "crt"), "no certificate").unwrap();
    eventually("the second fault is said", || (said() == 2).then_some(()));
    std::fs::remove_file(both.pki.path("one", "crt")).unwrap();
    eventually("the third fault is said", || (said() == 3).then_some(()));
    assert_eq!(shown(&both.url, &client).unwrap(), old);
    let new = both.pki.issue("one", DAY);
    until_shown(&both.url, &client, &new);
    assert_eq!(said(), 3, "{}", both.listen.printed());
}

// Risk 30, with certificates instead of tokens: what a listener shows expires under load, and so does nothing that it was asked.
#[test]
fn a_listener_whose_certificate_expires_under_load_shows_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    for name in ["api", "one"] {
        pki.issue(name, DAY);
    }
    let names = ["hookplane://listener/-/default"];
    let at = |path: std::path::PathBuf| path.display().to_string();
    let believed = folder.path().join("listeners.crt");
    std::fs::copy(pki.ca_file(), &believed).unwrap();
    let serve = Serve::start_tls(folder.path(), &pki, &["--client-ca", &at(believed.clone())]);
    pki.issue_for("shown", &names, SHORT);
    let began = Instant::now();
    let (cert, key) = (at(pki.path("shown", "crt")), at(pki.path("shown", "key")));
    let shown = ["--client-cert", &cert, "--client-key", &key];
    let listen = Listen::start_tls(&serve, "one", &pki, &shown);
    serve.apply(CODE);
    let url = serve.callback_url("acme/code");
    let client = pki.client(&[b"http/1.1"]);
    let over = AtomicBool::new(false);
    let posted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let answer = post(&url, &client, &number.to_string());
                assert_eq!(answer.map(|answer| answer.status).ok(), Some(200));
                posted.fetch_add(1, Ordering::SeqCst);
            }
        });
        pki.issue_for("shown", &names, DAY);
        let first = listen.printed().matches("config stream connected").count();
        eventually("its streams end and come again", || {
            let now = listen.printed().matches("config stream connected").count();
            (now > first && began.elapsed() > SHORT).then_some(())
        });
        let before = posted.load(Ordering::SeqCst);
        eventually("the load goes on", || {
            (posted.load(Ordering::SeqCst) > before + 10).then_some(())
        });
        over.store(true, Ordering::SeqCst);
    });
    assert_eq!(serve.tail("acme/code/all", &[]).len(), posted.into_inner());

    // Whom the server believes goes with the file: what the listener shows is worth nothing then.
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::copy(Pki::new(elsewhere.path()).ca_file(), &believed).unwrap();
    eventually("it is let in no more", || {
        serve.items(&["listeners"]).is_empty().then_some(())
    });
}

// Risk 30, the other end: what a client trusts, and its token.
#[test]
fn a_listener_takes_a_new_authority_and_a_new_token_without_a_restart() {
    let Both {
        listen,
        mut serve,
        folder,
        ..
    } = both(DAY);
    let connected = || listen.printed().matches("config stream connected").count();
    let before = connected();
    let new = Pki::new(folder.path());
    new.issue("api", DAY);
    let token = folder.path().join("admin.token");
    std::fs::write(&token, "another-token-of-the-installation").unwrap();
    serve.process().restart();
    serve.wait_until_ready();
    eventually("the listener is connected again", || {
        (connected() > before).then_some(())
    });
    assert_eq!(listen.probe("/readyz"), Some(200));
}

#[test]
fn handshakes_that_stall_or_are_none_hold_nobody_up() {
    let both = both(DAY);
    let mut stuck = Vec::new();
    for url in [&both.url, both.serve.api_url()] {
        let host = url.split('/').nth(2).unwrap();
        for number in 0..100 {
            let mut stream = TcpStream::connect(host).unwrap();
            match number % 3 {
                // Silent; a record begun, and no more; no TLS at all.
                0 => {}
                1 => stream.write_all(&[22, 3, 1, 2, 0, 1]).unwrap(),
                _ => stream.write_all(b"POST / HTTP/1.1\r\n\r\n").unwrap(),
            }
            stuck.push(stream);
        }
    }
    let client = both.pki.client(&[]);
    assert_eq!(post(&both.url, &client, "1").unwrap().status, 200);
    both.serve.ok(&["get", "listeners"]);
    // What is no TLS is told so, and ended.
    let mut none = stuck.swap_remove(2);
    none.set_read_timeout(Some(hookplane_tests::http::ANSWER_TIMEOUT))
        .unwrap();
    let mut alert = Vec::new();
    none.read_to_end(&mut alert).unwrap();
    assert_eq!(alert.first(), Some(&21), "an alert: {alert:?}");
}
