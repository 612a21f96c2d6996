//! An etcd cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Server, User, folder};
use crate::http::Connection;
use crate::pki::Pki;
use crate::product::{eventually, free_port};

/// Members on loopback, each a process with a data directory of its own.
pub struct Etcd {
    members: Vec<Member>,
    folder: TempDir,
    more: Vec<String>,
}

struct Member {
    server: Option<Server>,
    name: String,
    client: String,
    /// Where its health is asked, always in plain text.
    health: String,
    peer: String,
    /// Where the others find it.
    advertised: String,
}

impl Member {
    fn new(number: usize, client: String, health: String) -> Self {
        let peer = format!("http://127.0.0.1:{}", free_port());
        Self {
            server: None,
            name: format!("m{number}"),
            client,
            health,
            advertised: peer.clone(),
            peer,
        }
    }
}

impl Etcd {
    /// Starts this many members, and waits until they have a leader.
    pub fn start(members: usize) -> Self {
        Self::start_with(members, &[])
    }

    /// The same with more of etcd's flags.
    pub fn start_with(members: usize, more: &[&str]) -> Self {
        Self::start_behind(members, more, |_, peer| peer.to_owned())
    }

    /// The same, with members that find each other where `advertise` says, for one by its number and the URL it listens on.
    pub fn start_behind(
        members: usize,
        more: &[&str],
        mut advertise: impl FnMut(usize, &str) -> String,
    ) -> Self {
        let members = (0..members)
            .map(|number| {
                let client = format!("http://127.0.0.1:{}", free_port());
                let mut member = Member::new(number, client.clone(), client);
                member.advertised = advertise(number, &member.peer);
                member
            })
            .collect();
        Self::start_all(members, more)
    }

    /// One member that speaks TLS alone, with the certificate `etcd`, and wants one of the same authority from its clients.
    pub fn start_tls(pki: &Pki) -> Self {
        let at = |path: PathBuf| path.display().to_string();
        let health = format!("http://127.0.0.1:{}", free_port());
        let client = format!("https://127.0.0.1:{}", free_port());
        let more = [
            "--client-cert-auth".to_owned(),
            format!("--cert-file={}", at(pki.path("etcd", "crt"))),
            format!("--key-file={}", at(pki.path("etcd", "key"))),
            format!("--trusted-ca-file={}", at(pki.ca_file())),
            format!("--listen-metrics-urls={health}"),
        ];
        let more: Vec<_> = more.iter().map(String::as_str).collect();
        Self::start_all(vec![Member::new(0, client, health)], &more)
    }

    fn start_all(members: Vec<Member>, more: &[&str]) -> Self {
        let mut etcd = Self {
            members,
            folder: folder(User::Ours),
            more: more.iter().map(|flag| (*flag).to_owned()).collect(),
        };
        for number in 0..etcd.members.len() {
            etcd.spawn(number);
        }
        for number in 0..etcd.members.len() {
            etcd.wait_until_healthy(number);
        }
        etcd
    }

    /// The client URLs, in the members' order.
    pub fn endpoints(&self) -> Vec<String> {
        let urls = self.members.iter();
        urls.map(|member| member.client.clone()).collect()
    }

    /// The same as `HOST:PORT`.
    pub fn hosts(&self) -> Vec<String> {
        let hosts = self.members.iter();
        hosts
            .filter_map(|member| member.client.split("://").nth(1))
            .map(str::to_owned)
            .collect()
    }

    /// As `--store` takes it.
    pub fn store(&self) -> String {
        format!("etcd://{}", self.hosts().join(","))
    }

    /// SIGKILL.
    pub fn kill(&mut self, member: usize) {
        self.members[member].server = None;
    }

    /// Starts a member that was killed, with the data it had.
    pub fn restart(&mut self, member: usize) {
        self.kill(member);
        self.spawn(member);
    }

    /// SIGSTOP: it holds its connections, and says nothing.
    pub fn freeze(&self, member: usize) {
        self.signal(member, "STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self, member: usize) {
        self.signal(member, "CONT");
    }

    /// Which member leads; none while they elect.
    pub fn leader(&self) -> Option<usize> {
        (0..self.members.len()).find(|number| {
            let Some(status) = self.ctl(*number, &["endpoint", "status", "-w", "json"]) else {
                return false;
            };
            let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
            let status = &status[0]["Status"];
            let own = &status["header"]["member_id"];
            own.is_u64() && *own == status["leader"]
        })
    }

    /// Runs etcdctl against one member; none when it failed.
    pub fn ctl(&self, member: usize, arguments: &[&str]) -> Option<String> {
        self.members[member].server.as_ref()?;
        let done = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.members[member].client])
            .args(arguments)
            .output()
            .expect("etcdctl is installed: tests/run does it");
        let printed = String::from_utf8(done.stdout).expect("text");
        done.status.success().then_some(printed)
    }

    /// A snapshot of everything, as operators take it.
    pub fn snapshot(&self, to: &Path) {
        let to = to.display().to_string();
        let saved = self.ctl(0, &["snapshot", "save", &to]);
        assert!(saved.is_some(), "etcdctl snapshot save {to}");
    }

    /// Ends all members, gives each what is in the snapshot in place of its data, and starts them: etcd's own tools, and nothing else.
    pub fn restore(&mut self, from: &Path) {
        for number in 0..self.members.len() {
            self.kill(number);
        }
        let cluster = self.cluster();
        for member in &self.members {
            let data = self.folder.path().join(&member.name);
            std::fs::remove_dir_all(&data).expect("removes");
            let restored = Command::new("etcdctl")
                .env("ETCDCTL_API", "3")
                .args(["snapshot", "restore"])
                .arg(from)
                .args(["--name", &member.name, "--initial-cluster", &cluster])
                .args(["--initial-advertise-peer-urls", &member.advertised])
                .arg("--data-dir")
                .arg(&data)
                .output()
                .expect("etcdctl is installed: tests/run does it");
            let said = String::from_utf8_lossy(&restored.stderr);
            assert!(
                restored.status.success(),
                "etcdctl snapshot restore: {said}"
            );
        }
        for number in 0..self.members.len() {
            self.spawn(number);
        }
        for number in 0..self.members.len() {
            self.wait_until_healthy(number);
        }
    }

    /// Who its members are, as its programs take it.
    fn cluster(&self) -> String {
        let members = self.members.iter();
        let members = members.map(|member| format!("{}={}", member.name, member.advertised));
        members.collect::<Vec<_>>().join(",")
    }

    /// Until it says that it has a leader.
    pub fn wait_until_healthy(&self, member: usize) {
        eventually("etcd is healthy", || {
            self.ask(member, "/health")
                .filter(|health| health.contains("\"true\""))
        });
    }

    /// Where the members keep their data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn signal(&self, member: usize, name: &str) {
        if let Some(server) = &self.members[member].server {
            server.signal(name);
        }
    }

    fn ask(&self, member: usize, path: &str) -> Option<String> {
        self.members[member].server.as_ref()?;
        let url = format!("{}{path}", self.members[member].health);
        let answer = Connection::open(&url).ok()?.request("GET", &url, &[], b"");
        String::from_utf8(answer.ok()?.body).ok()
    }

    fn spawn(&mut self, number: usize) {
        let cluster = self.cluster();
        let member = &self.members[number];
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let mut arguments = Vec::new();
        for (flag, value) in [
            ("--name", member.name.clone()),
            ("--data-dir", at(&member.name)),
            ("--listen-client-urls", member.client.clone()),
            ("--advertise-client-urls", member.client.clone()),
            ("--listen-peer-urls", member.peer.clone()),
            ("--initial-advertise-peer-urls", member.advertised.clone()),
            ("--initial-cluster", cluster),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
        arguments.extend(self.more.iter().cloned());
        let output = self.folder.path().join(format!("{}.log", member.name));
        let server = Server::start(Path::new("etcd"), &arguments, User::Ours, &output);
        self.members[number].server = Some(server);
    }
}
