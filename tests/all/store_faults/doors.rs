//! Who may in: users and TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hookplane_control_plane::outgoing::OutgoingTls;
use hookplane_control_plane::store::etcd::{EtcdOptions, EtcdStore};
use hookplane_control_plane::store::{Store, StoreError};
use hookplane_tests::engines::etcd::Etcd;
use hookplane_tests::pki::Pki;
use hookplane_tests::product::eventually;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::{Viewed, open, put, write};
use crate::fake_control_plane::Failure;

async fn open_as(etcd: &Etcd, user: &str, password: &str) -> Result<Arc<EtcdStore>, StoreError> {
    EtcdStore::open(EtcdOptions {
        endpoints: etcd.hosts(),
        user: Some((user.to_owned(), password.to_owned())),
        ..EtcdOptions::default()
    })
    .await
}

fn refusal(opened: Result<Arc<EtcdStore>, StoreError>) -> String {
    match opened {
        Ok(_) => panic!("it was let in"),
        Err(error) => error.to_string(),
    }
}

// A user's token ends after a while, here a second; calls and watches go on with another one. Without a user, or as a wrong one, it is said why not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_let_in_for_longer_than_their_tokens() -> Result<(), Failure> {
    let etcd = Etcd::start_with(1, &["--auth-token-ttl", "1"]);
    for order in [
        &["user", "add", "root:secret-of-root"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "hookplane"],
        &[
            "role",
            "grant-permission",
            "hookplane",
            "--prefix=true",
            "readwrite",
            "hookplane/",
        ],
        &["user", "add", "config:s3cret"],
        &["user", "grant-role", "config", "hookplane"],
        &["user", "add", "stranger:s3cret"],
        &["auth", "enable"],
    ] {
        etcd.ctl(0, order).ok_or("etcd does as it is told")?;
    }
    let none = refusal(open(etcd.hosts()).await);
    assert!(none.contains("none were given"), "{none}");
    let wrong = refusal(open_as(&etcd, "config", "guessed").await);
    assert!(wrong.contains("authentication failed"), "{wrong}");
    assert!(!wrong.contains("guessed"), "{wrong}");
    let stranger = refusal(open_as(&etcd, "stranger", "s3cret").await);
    assert!(stranger.contains("grant the user"), "{stranger}");

    let store: Arc<dyn Store> = open_as(&etcd, "config", "s3cret").await?;
    let viewed = Viewed::start(store.clone()).await?;
    // Longer than a token lives without being used, as etcd's own clock has it.
    let ended = || {
        let got = etcd.ctl(
            0,
            &[
                "--user",
                "root:secret-of-root",
                "get",
                "hookplane/v1/canary",
            ],
        );
        got.filter(|canary| canary.contains("canary"))
    };
    eventually("the canary has flown", ended);
    let made = store.commit(put("v1/orgs/a", "")).await?;
    viewed.comes_to(made).await
}

/// TLS before a server without it: what etcd does with certificates, this does, and counts. It shows the newest certificate there is.
async fn tls_before(host: &str, pki: &Pki) -> Result<(String, AbortOnDropHandle<()>), Failure> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?.to_string();
    let target = host.to_owned();
    let files = (pki.path("etcd", "crt"), pki.path("etcd", "key"));
    let accepting = tokio::spawn(async move {
        while let Ok((from, _)) = socket.accept().await {
            let (target, files) = (target.clone(), files.clone());
            tokio::spawn(async move {
                let chain = vec![CertificateDer::from_pem_file(&files.0).expect("a certificate")];
                let key = PrivateKeyDer::from_pem_file(&files.1).expect("a key");
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let mut config = rustls::ServerConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .expect("the provider has them")
                    .with_no_client_auth()
                    .with_single_cert(chain, key)
                    .expect("they belong together");
                config.alpn_protocols = vec![b"h2".to_vec()];
                let accepted = TlsAcceptor::from(Arc::new(config)).accept(from).await;
                // One that doesn't trust it hangs up.
                let Ok(mut from) = accepted else { return };
                let Ok(mut to) = TcpStream::connect(target).await else {
                    return;
                };
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    Ok((address, AbortOnDropHandle::new(accepting)))
}

// Risk 30: each new connection asks for its TLS, so an authority that took the place of another is trusted without a restart, and only then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewed_certificates_are_used_by_new_connections() -> Result<(), Failure> {
    let mut etcd = Etcd::start(1);
    let folder = tempfile::tempdir()?;
    let old = Pki::new(folder.path());
    old.issue("etcd", Duration::from_secs(3600));
    let (address, _accepting) = tls_before(&etcd.hosts()[0], &old).await?;
    let trusted = Arc::new(std::sync::Mutex::new(old.client(&[])));
    let asked = Arc::new(AtomicUsize::new(0));
    let (asks, trust) = (asked.clone(), trusted.clone());
    let tls: OutgoingTls = Arc::new(move || {
        asks.fetch_add(1, Ordering::Relaxed);
        Ok(trust.lock().expect("whole").clone())
    });
    let options = EtcdOptions {
        endpoints: vec![address],
        tls: Some(tls),
        ..EtcdOptions::default()
    };
    let store = EtcdStore::open(options).await?;
    store.commit(put("v1/a", "1")).await?;
    // Another authority, and every connection lost.
    let new = Pki::new(folder.path());
    new.issue("etcd", Duration::from_secs(3600));
    etcd.restart(0);
    etcd.wait_until_healthy(0);
    let refused = store.get("v1/a").await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    let before = asked.load(Ordering::Relaxed);
    *trusted.lock().expect("whole") = new.client(&[]);
    write(&*store, "v1/a").await?;
    assert!(asked.load(Ordering::Relaxed) > before);
    Ok(())
}
