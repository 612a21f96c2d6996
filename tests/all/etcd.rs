//! etcd-client builds on a machine without protoc (see `.cargo/protoc`), shares our tonic, and speaks to a real etcd.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use etcd_client::Client;
use hookplane_tests::product::{DEADLINE, free_port};

/// A one-member etcd on loopback. Killed when dropped.
struct Etcd(Child);

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn etcd_client_reaches_a_real_etcd() {
    let folder = tempfile::tempdir().unwrap();
    let client = format!("http://127.0.0.1:{}", free_port());
    let peer = format!("http://127.0.0.1:{}", free_port());
    let _etcd = Etcd(
        Command::new("etcd")
            .arg("--data-dir")
            .arg(folder.path().join("etcd"))
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &format!("default={peer}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd is installed: tests/run does it"),
    );
    let start = Instant::now();
    let mut etcd = loop {
        let attempt = async {
            let mut etcd = Client::connect([client.as_str()], None).await?;
            etcd.put("a", "1", None).await.map(|_| etcd)
        };
        match attempt.await {
            Ok(etcd) => break etcd,
            Err(error) => assert!(start.elapsed() < DEADLINE, "etcd does not answer: {error}"),
        }
        tokio::task::yield_now().await;
    };
    let answer = etcd.get("a", None).await.unwrap();
    assert_eq!(answer.kvs()[0].value(), b"1");
}
