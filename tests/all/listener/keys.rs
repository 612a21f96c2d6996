//! Providers' public keys, fetched from a real server over TLS.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hookplane_listener::KeyServers;
use hookplane_proto::v1;
use hookplane_tests::clock::TestClock;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519,
    SigningKey as _,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::resources::keyless;
use super::rig::{Answer, NOW_MS, Rig, TOKEN, request};
use crate::fake_control_plane::{Failure, soon};

const HOST: &str = "keys.example.com";
const BODY: &[u8] = br#"{"zen": "Keep it logically awesome."}"#;

/// What the key server does with a request.
#[derive(Clone)]
enum Reply {
    Keys(String),
    /// Elsewhere, where the keys would be.
    Redirect,
    /// More than is read.
    Endless,
    Status(u16),
    /// Nothing.
    Hang,
}

/// A key server: answers in this order, the last one for good, and none before its gate is open.
struct KeyServer {
    address: SocketAddr,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<String>>>,
    gate: watch::Sender<bool>,
    roots: RootCertStore,
    /// Ends with this.
    _tasks: JoinSet<()>,
}

impl KeyServer {
    async fn start(reply: Reply) -> Result<Self, Failure> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "root");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let mut params = CertificateParams::new(vec![HOST.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "keys");
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &authority)?;
        let private = PrivateKeyDer::try_from(key.serialize_der())?;
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone())?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (gate, opened) = watch::channel(true);
        let replies = Arc::new(Mutex::new(VecDeque::from([reply])));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (next, noted) = (replies.clone(), seen.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, mut opened) = (acceptor.clone(), opened.clone());
                let (next, noted) = (next.clone(), noted.clone());
                open.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    lock(&noted).push(String::from_utf8_lossy(&head).into_owned());
                    if opened.wait_for(|open| *open).await.is_err() {
                        return;
                    }
                    let reply = {
                        let mut next = lock(&next);
                        match next.len() {
                            1 => next.front().cloned(),
                            _ => next.pop_front(),
                        }
                    };
                    let text = match reply {
                        None | Some(Reply::Hang) => std::future::pending().await,
                        Some(Reply::Keys(body)) => format!(
                            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                            body.len()
                        ),
                        Some(Reply::Redirect) => format!(
                            "HTTP/1.1 302 Found\r\nlocation: https://{HOST}/moved\r\ncontent-length: 0\r\n\r\n"
                        ),
                        Some(Reply::Endless) => {
                            format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(300_000))
                        }
                        Some(Reply::Status(status)) => {
                            format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n")
                        }
                    };
                    let _ = stream.write_all(text.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Ok(Self {
            address,
            replies,
            seen,
            gate,
            roots,
            _tasks: tasks,
        })
    }

    fn answers(&self, replies: impl IntoIterator<Item = Reply>) {
        *lock(&self.replies) = replies.into_iter().collect();
    }

    fn requests(&self) -> usize {
        lock(&self.seen).len()
    }

    fn as_the_internet(&self) -> KeyServers {
        let hosts = HashMap::from([(HOST.to_owned(), self.address)]);
        KeyServers::fixed(hosts, self.roots.roots.clone().into())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A provider's key, by its name.
struct Provider {
    id: &'static str,
    key: KeyPair,
}

impl Provider {
    fn new(id: &'static str) -> Result<Self, Failure> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        Ok(Self { id, key })
    }

    fn jwks(keys: &[&Self]) -> Reply {
        let keys: Vec<String> = keys
            .iter()
            .map(|one| {
                let x = URL_SAFE_NO_PAD.encode(one.key.public_key_raw());
                format!(
                    r#"{{"kty":"OKP","crv":"Ed25519","kid":"{}","x":"{x}"}}"#,
                    one.id
                )
            })
            .collect();
        Reply::Keys(format!(r#"{{"keys":[{}]}}"#, keys.join(",")))
    }

    fn headers(&self, file: &str, delivery: &str) -> Result<Vec<(&'static str, String)>, Failure> {
        Ok(vec![
            ("content-type", "application/json".to_owned()),
            ("x-event", "push".to_owned()),
            ("x-delivery", delivery.to_owned()),
            ("x-key", self.id.to_owned()),
            ("x-file", file.to_owned()),
            ("x-signature", STANDARD.encode(self.key.sign(BODY)?)),
        ])
    }

    async fn post(&self, rig: &Rig, delivery: &str) -> Result<Answer, Failure> {
        post(rig.address, &self.headers("keys.json", delivery)?).await
    }

    async fn post_to(&self, rig: &Rig, file: &str) -> Result<Answer, Failure> {
        post(rig.address, &self.headers(file, "d-1")?).await
    }
}

async fn post(address: SocketAddr, headers: &[(&str, String)]) -> Result<Answer, Failure> {
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    request(address, "POST", &format!("/c/{TOKEN}"), &headers, BODY).await
}

fn scheme() -> v1::Scheme {
    v1::Scheme {
        name: "ed25519".to_owned(),
        public_key: Some(v1::PublicKeySignature {
            algorithm: v1::SignatureAlgorithm::Ed25519.into(),
            content: "{body}".to_owned(),
            signature: "header:X-Signature".to_owned(),
            encoding: v1::Encoding::Base64.into(),
            key: Some(v1::PublicKey {
                format: v1::PublicKeyFormat::Jwks.into(),
                remote: Some(v1::RemoteKeys {
                    url: format!("https://{HOST}/{{header:X-File}}"),
                    hosts: vec!["*.example.com".to_owned()],
                    path_suffix: ".json".to_owned(),
                    key_id: "header:X-Key".to_owned(),
                    ..Default::default()
                }),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

struct Setting {
    server: KeyServer,
    clock: Arc<TestClock>,
    rig: Rig,
}

async fn setting(reply: Reply) -> Result<Setting, Failure> {
    let server = KeyServer::start(reply).await?;
    let clock = Arc::new(TestClock::at(NOW_MS));
    let rig = Rig::start_with(server.as_the_internet(), clock.clone(), keyless(scheme())).await?;
    Ok(Setting { server, clock, rig })
}

fn refused_for_now(answer: &Answer) {
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(answer.body, "Service Unavailable");
}

/// Limits fill up within a second; until then it is refused for now.
async fn until_taken(provider: &Provider, rig: &Rig) -> Result<(), Failure> {
    soon(async {
        loop {
            let answer = provider.post(rig, "d-2").await?;
            if answer.status == 202 {
                return Ok(());
            }
            refused_for_now(&answer);
        }
    })
    .await?
}

async fn until_asked(server: &KeyServer, times: usize) -> Result<(), Failure> {
    soon(async {
        while server.requests() < times {
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn fifty_callbacks_at_once_have_the_key_fetched_once() -> Result<(), Failure> {
    let provider = Provider::new("k1")?;
    let Setting { server, rig, .. } = setting(Provider::jwks(&[&provider])).await?;
    server.gate.send_replace(false);
    let mut posts = JoinSet::new();
    for n in 0..50 {
        let headers = provider.headers("keys.json", &format!("d-{n}"))?;
        let address = rig.address;
        posts.spawn(async move { post(address, &headers).await });
    }
    until_asked(&server, 1).await?;
    server.gate.send_replace(true);
    for answer in posts.join_all().await {
        assert_eq!(answer?.status, 202);
    }
    assert_eq!(rig.seen().len(), 50);
    // Kept from then on.
    assert_eq!(provider.post(&rig, "later").await?.status, 202);
    assert_eq!(server.requests(), 1);
    let head = lock(&server.seen)[0].to_ascii_lowercase();
    assert!(head.starts_with("get /keys.json http/1.1\r\n"), "{head}");
    assert!(head.contains("host: keys.example.com\r\n"), "{head}");
    // Signed by nobody known: refused, without asking anybody again.
    let forged = Provider::new("k1")?;
    assert_eq!(forged.post(&rig, "forged").await?.status, 401);
    assert_eq!(server.requests(), 1);
    Ok(())
}

#[tokio::test]
async fn a_new_key_is_fetched_once_a_minute_and_no_oftener() -> Result<(), Failure> {
    let (old, new) = (Provider::new("k1")?, Provider::new("k2")?);
    let Setting { server, clock, rig } = setting(Provider::jwks(&[&old])).await?;
    assert_eq!(old.post(&rig, "d-1").await?.status, 202);
    clock.advance(Duration::from_secs(1));
    server.answers([Provider::jwks(&[&old, &new])]);
    // A forger could name a new one each time.
    for n in 0..5 {
        refused_for_now(&new.post(&rig, &format!("early-{n}")).await?);
    }
    assert_eq!(server.requests(), 1);
    clock.advance(Duration::from_secs(60));
    assert_eq!(new.post(&rig, "d-2").await?.status, 202);
    assert_eq!(old.post(&rig, "d-3").await?.status, 202);
    assert_eq!(server.requests(), 2);
    // What isn't in the newest set either is nobody's.
    clock.advance(Duration::from_secs(61));
    let nobody = Provider::new("k3")?;
    assert_eq!(nobody.post(&rig, "d-4").await?.status, 401);
    assert_eq!(server.requests(), 3);
    // After an hour a set is old.
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(old.post(&rig, "d-5").await?.status, 202);
    assert_eq!(server.requests(), 4);
    Ok(())
}

#[tokio::test]
async fn while_the_keys_cannot_be_had_nobody_is_refused_for_good_and_nothing_is_taken()
-> Result<(), Failure> {
    let provider = Provider::new("k1")?;
    let Setting { server, clock, rig } = setting(Reply::Status(500)).await?;
    for (n, reply) in [
        Reply::Status(500),
        Reply::Status(404),
        Reply::Redirect,
        Reply::Endless,
        Reply::Keys("<html>".to_owned()),
        Reply::Keys(r#"{"keys":[]}"#.to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        server.answers([reply]);
        // What was never there is fetched for one group twice a second.
        soon(async {
            while server.requests() <= n {
                refused_for_now(&provider.post(&rig, "d-1").await?);
            }
            Ok::<_, Failure>(())
        })
        .await??;
        // Told once, it isn't asked again at once: a forger can't make a flooder of us.
        refused_for_now(&provider.post(&rig, "d-1").await?);
        assert_eq!(server.requests(), n + 1);
        clock.advance(Duration::from_secs(10));
    }
    let asked = lock(&server.seen).clone();
    assert!(
        asked.iter().all(|head| head.starts_with("GET /keys.json ")),
        "nothing is followed"
    );
    assert!(rig.seen().is_empty());
    server.answers([Provider::jwks(&[&provider])]);
    until_taken(&provider, &rig).await
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_the_callbacks_time_and_no_more() -> Result<(), Failure> {
    let provider = Provider::new("k1")?;
    let Setting { server, rig, .. } = setting(Reply::Hang).await?;
    refused_for_now(&provider.post(&rig, "d-1").await?);
    assert_eq!(server.requests(), 1);
    drop(server);
    Ok(())
}

#[tokio::test]
async fn what_is_not_vouched_for_by_the_roots_is_not_believed() -> Result<(), Failure> {
    let provider = Provider::new("k1")?;
    let server = KeyServer::start(Provider::jwks(&[&provider])).await?;
    let other = KeyServer::start(Reply::Hang).await?;
    let hosts = HashMap::from([(HOST.to_owned(), server.address)]);
    let keys = KeyServers::fixed(hosts, other.roots.roots.clone().into());
    let clock = Arc::new(TestClock::at(NOW_MS));
    let rig = Rig::start_with(keys, clock, keyless(scheme())).await?;
    refused_for_now(&provider.post(&rig, "d-1").await?);
    assert_eq!(server.requests(), 0);
    Ok(())
}

// Risk 36: the sender names the file, and with it a flood of them.
#[tokio::test]
async fn a_flood_of_invented_urls_reaches_nobody_and_takes_nothing_from_the_known_one()
-> Result<(), Failure> {
    let provider = Provider::new("k1")?;
    let Setting { server, clock, rig } = setting(Provider::jwks(&[&provider])).await?;
    assert_eq!(provider.post(&rig, "d-1").await?.status, 202);
    server.answers([Reply::Status(404)]);
    for n in 0..100 {
        refused_for_now(&provider.post_to(&rig, &format!("{n}.json")).await?);
    }
    let invented = server.requests() - 1;
    assert!(invented < 100, "all {invented} were asked for");
    for elsewhere in [
        "../keys.json",
        "keys.json?a=.json",
        "keys.pem",
        "a//b.json",
        "%2e.json",
    ] {
        assert_eq!(provider.post_to(&rig, elsewhere).await?.status, 401);
    }
    clock.advance(Duration::from_secs(3_600));
    server.answers([Provider::jwks(&[&provider])]);
    until_taken(&provider, &rig).await
}
