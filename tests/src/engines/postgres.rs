//! A PostgreSQL primary with a synchronous standby, or without one.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Server, User, folder, give, postgres_program, run};
use crate::pki::Pki;
use crate::product::{eventually, free_port};

const PASSWORD: &str = "a-password-for-tests";

/// For [`Postgres::start_alone`]: keeps all of its write-ahead log, beside its data.
pub const ARCHIVED: [&str; 2] = [
    "archive_mode = on",
    "archive_command = 'mkdir -p ../archive && cp %p ../archive/%f'",
];

/// One server with its data.
struct Node {
    server: Option<Server>,
    data: PathBuf,
    port: u16,
    /// As the primary knows it (`synchronous_standby_names`).
    name: String,
}

impl Node {
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// Two servers, or one.
pub struct Postgres {
    nodes: Vec<Node>,
    /// Which node was made or promoted last.
    primary: usize,
    folder: TempDir,
    /// Whose disk can be made bad.
    bad_disk: Option<usize>,
}

impl Postgres {
    /// A primary, and a standby that every commit waits for.
    pub fn start_pair() -> Self {
        let mut postgres = Self::start_alone(&["synchronous_standby_names = 'ANY 1 (n0, n1)'"]);
        postgres.add_standby();
        postgres
    }

    /// One server with more lines in its configuration. It has no standby: a hookplane that wants one refuses it.
    pub fn start_alone(settings: &[&str]) -> Self {
        const HOSTS: &str = "host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n";
        Self::start_one(settings, HOSTS, None)
    }

    /// The same with the certificate `postgres`. But to the database `postgres`, which tests use, it speaks TLS alone, and wants a certificate of the
    /// same authority from its clients beside their password.
    pub fn start_tls(pki: &Pki) -> Self {
        const HOSTS: &str = "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\nhostnossl postgres all 127.0.0.1/32 scram-sha-256\n";
        let settings = [
            "ssl = on",
            "ssl_cert_file = 'postgres.crt'",
            "ssl_key_file = 'postgres.key'",
            "ssl_ca_file = 'ca.crt'",
        ];
        Self::start_one(&settings, HOSTS, Some(pki))
    }

    /// Puts the primary on a disk that goes bad when it is told to: see `tests/shim/bad_disk.c`.
    pub fn onto_bad_disk(&mut self) {
        let library = self.bad_disk_library();
        let built = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/shim/bad_disk.c"))
            .arg("-ldl")
            .status()
            .expect("a C compiler (cc) is needed");
        assert!(built.success());
        self.bad_disk = Some(self.primary);
        self.restart(self.primary);
    }

    fn bad_disk_library(&self) -> PathBuf {
        self.folder.path().join("bad_disk.so")
    }

    /// Turns `full` or `eio` on or off.
    pub fn set_disk(&self, switch: &str, on: bool) {
        let file = self.folder.path().join(switch);
        if on {
            std::fs::write(file, "").expect("writes");
        } else {
            std::fs::remove_file(file).expect("removes");
        }
    }

    fn start_one(settings: &[&str], hosts: &str, pki: Option<&Pki>) -> Self {
        let folder = folder(User::Postgres);
        let data = folder.path().join("n0");
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).expect("writes");
        give(&password, User::Postgres);
        run(
            &postgres_program("initdb"),
            &[
                "--no-sync",
                "--username=hookplane",
                "--auth=scram-sha-256",
                &format!("--pwfile={}", password.display()),
                "--encoding=UTF8",
                "--locale=C",
                "--pgdata",
                &data.display().to_string(),
            ],
            User::Postgres,
        );
        let hba = data.join("pg_hba.conf");
        std::fs::write(&hba, hosts).expect("writes");
        for file in pki.into_iter().flat_map(|pki| {
            let own = ["crt", "key"].map(|extension| pki.path("postgres", extension));
            own.into_iter().chain([pki.ca_file()])
        }) {
            let to = data.join(file.file_name().expect("a file"));
            std::fs::copy(&file, &to).expect("copies");
            std::fs::set_permissions(&to, Permissions::from_mode(0o600)).expect("its own");
        }
        let mut lines = String::from(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 200\nshared_buffers = 64MB\nwal_keep_size = 256MB\nwal_log_hints = on\nhot_standby = on\n",
        );
        for setting in settings {
            lines.push_str(setting);
            lines.push('\n');
        }
        std::fs::write(data.join("conf.local"), lines).expect("writes");
        append(&data.join("postgresql.conf"), "\ninclude 'conf.local'\n");
        give(&data, User::Postgres);
        let mut postgres = Self {
            nodes: vec![Node {
                server: None,
                data,
                port: free_port(),
                name: "n0".to_owned(),
            }],
            primary: 0,
            folder,
            bad_disk: None,
        };
        postgres.spawn(0);
        postgres.wait_until_up(0);
        postgres
    }

    /// A copy of the primary that follows it.
    pub fn add_standby(&mut self) {
        let number = self.nodes.len();
        let name = format!("n{number}");
        self.nodes.push(Node {
            server: None,
            data: self.folder.path().join(&name),
            port: free_port(),
            name,
        });
        self.follow(number);
    }

    /// As `--log` takes it: both servers, of which the one that takes writes is found.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The same for another database.
    pub fn url_of(&self, database: &str) -> String {
        let hosts: Vec<_> = self.nodes.iter().map(Node::address).collect();
        Self::url_at(&hosts, database)
    }

    /// The same where the nodes are reached at other addresses than their own.
    pub fn url_at(hosts: &[String], database: &str) -> String {
        format!(
            "postgres://hookplane:{PASSWORD}@{}/{database}?target_session_attrs=read-write",
            hosts.join(",")
        )
    }

    /// Where the nodes are, in their order.
    pub fn endpoints(&self) -> Vec<String> {
        self.nodes.iter().map(Node::address).collect()
    }

    /// Makes a database, and says its URL: tests that share a server have one each.
    pub fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\""));
        self.url_of(name)
    }

    /// Runs SQL on the primary, and says what it printed, without alignment.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.sql_on(self.primary, database, sql)
    }

    /// The same on a node.
    pub fn sql_on(&self, node: usize, database: &str, sql: &str) -> String {
        let url = self.node_url(node, database);
        let printed = run(
            Path::new("psql"),
            &[
                "-X",
                "-q",
                "-At",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                &url,
                "-c",
                sql,
            ],
            User::Ours,
        );
        printed.trim_end().to_owned()
    }

    /// Where one node is.
    pub fn node_url(&self, node: usize, database: &str) -> String {
        let port = self.nodes[node].port;
        format!("postgres://hookplane:{PASSWORD}@127.0.0.1:{port}/{database}")
    }

    /// Whether the standby follows, and commits wait for it.
    pub fn is_in_step(&self) -> bool {
        let in_step = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')";
        self.sql("postgres", in_step) == "1"
    }

    /// Which node takes writes.
    pub fn primary(&self) -> usize {
        self.primary
    }

    /// Which one follows it.
    pub fn standby(&self) -> usize {
        1 - self.primary
    }

    /// SIGKILL of the postmaster and all its children: one that is frozen, or just commits, would live on for a while.
    pub fn kill(&mut self, node: usize) {
        // Else it would start new ones.
        if let Some(server) = &self.nodes[node].server {
            server.signal("STOP");
        }
        self.signal_children(node, "KILL");
        self.nodes[node].server = None;
    }

    /// Starts a node that was killed, with the data it had.
    pub fn restart(&mut self, node: usize) {
        self.kill(node);
        self.spawn(node);
        // One of the killed one's processes may live for a moment longer, and with it its shared memory: then the new one ends at once.
        eventually("PostgreSQL is up again", || {
            let server = self.nodes[node].server.as_mut();
            if server.is_some_and(Server::has_ended) {
                self.spawn(node);
            }
            self.is_up(node).then_some(())
        });
    }

    /// SIGSTOP to the postmaster and all its children.
    pub fn freeze(&self, node: usize) {
        self.signal_all(node, "STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self, node: usize) {
        self.signal_all(node, "CONT");
    }

    /// Makes the standby the primary, as an operator or a tool of theirs does once the old one is gone for sure.
    pub fn promote(&mut self) {
        let standby = self.standby();
        self.sql_on(standby, "postgres", "SELECT pg_promote(true, 60)");
        self.primary = standby;
    }

    /// The node that doesn't take writes becomes a new copy of the one that does, and follows it.
    pub fn rejoin(&mut self) {
        self.follow(self.standby());
    }

    /// Where a node keeps its data.
    pub fn data(&self, node: usize) -> &Path {
        &self.nodes[node].data
    }

    /// On-CPU time of both servers' processes, those that have ended as well.
    pub fn cpu(&self) -> std::time::Duration {
        let servers = self.nodes.iter().filter_map(|node| node.server.as_ref());
        let mut ticks = 0;
        for server in servers {
            let parent = server.id().to_string();
            for process in std::fs::read_dir("/proc").expect("Linux").flatten() {
                let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
                let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
                let of = |field: usize| fields[field].parse::<u64>().unwrap_or(0);
                if fields.get(1) == Some(&parent.as_str()) {
                    ticks += of(11) + of(12);
                } else if process.file_name() == parent.as_str() {
                    // With the children that have ended.
                    ticks += (11..15).map(of).sum::<u64>();
                }
            }
        }
        // Linux shows hundredths of a second.
        std::time::Duration::from_millis(ticks * 10)
    }

    /// A copy of the primary's files, made while it runs.
    pub fn base_backup(&self, name: &str) -> PathBuf {
        let to = self.folder.path().join(name);
        run(
            &postgres_program("pg_basebackup"),
            &[
                "--no-sync",
                "--checkpoint=fast",
                "--pgdata",
                &to.display().to_string(),
                "--dbname",
                &self.node_url(self.primary, "postgres"),
            ],
            User::Postgres,
        );
        to
    }

    /// Until all that was written is in the archive ([`ARCHIVED`]).
    pub fn wait_until_archived(&self) {
        let last = "SELECT pg_walfile_name(pg_switch_wal())";
        let last = self.sql("postgres", last);
        let archived = self.folder.path().join("archive").join(last);
        eventually("PostgreSQL archives", || archived.exists().then_some(()));
    }

    /// The primary's files are lost. It goes on with those of a base backup and the archive, up to a point that `pg_create_restore_point` named.
    pub fn put_back(&mut self, backup: &Path, to: &str) {
        self.kill(self.primary);
        let data = &self.nodes[self.primary].data;
        std::fs::remove_dir_all(data).expect("removes");
        std::fs::rename(backup, data).expect("the backup is beside it");
        let recovery = format!(
            "restore_command = 'cp ../archive/%f %p'\nrecovery_target_name = '{to}'\nrecovery_target_action = 'promote'\n"
        );
        append(&data.join("postgresql.conf"), &recovery);
        std::fs::write(data.join("recovery.signal"), "").expect("writes");
        give(data, User::Postgres);
        self.spawn(self.primary);
        self.wait_until_up(self.primary);
        eventually("PostgreSQL has recovered", || {
            let recovers = self.sql("postgres", "SELECT pg_is_in_recovery()");
            (recovers == "f").then_some(())
        });
    }

    /// `pg_dump` of a database.
    pub fn dump(&self, database: &str, more: &[&str], to: &Path) {
        let (url, to) = (
            self.node_url(self.primary, database),
            to.display().to_string(),
        );
        let mut arguments = vec!["--format=custom", "--file", &to, "--dbname", &url];
        arguments.extend(more);
        run(&postgres_program("pg_dump"), &arguments, User::Ours);
    }

    /// `pg_restore` into a new database, and its URL.
    pub fn load(&self, database: &str, from: &Path) -> String {
        let url = self.database(database);
        let at = self.node_url(self.primary, database);
        let from = from.display().to_string();
        let arguments = ["--exit-on-error", "--dbname", &at, &from];
        run(&postgres_program("pg_restore"), &arguments, User::Ours);
        url
    }

    fn follow(&mut self, number: usize) {
        self.kill(number);
        let node = &self.nodes[number];
        if node.data.exists() {
            std::fs::remove_dir_all(&node.data).expect("removes");
        }
        let from = format!(
            "{}?application_name={}",
            self.node_url(self.primary, "postgres"),
            node.name
        );
        run(
            &postgres_program("pg_basebackup"),
            &[
                "--no-sync",
                "--checkpoint=fast",
                "--write-recovery-conf",
                "--pgdata",
                &node.data.display().to_string(),
                "--dbname",
                &from,
            ],
            User::Postgres,
        );
        self.spawn(number);
        self.wait_until_up(number);
        let name = self.nodes[number].name.clone();
        eventually("the standby follows", || {
            let follows = format!(
                "SELECT count(*) FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming'"
            );
            (self.sql("postgres", &follows) == "1").then_some(())
        });
    }

    fn spawn(&mut self, number: usize) {
        let node = &self.nodes[number];
        let arguments = [
            "-D".to_owned(),
            node.data.display().to_string(),
            "-p".to_owned(),
            node.port.to_string(),
        ];
        let output = self.folder.path().join(format!("{}.log", node.name));
        // A kill leaves it; the process it names is gone.
        let _ = std::fs::remove_file(node.data.join("postmaster.pid"));
        let preload = [
            ("LD_PRELOAD", self.bad_disk_library()),
            ("BAD_DISK", self.folder.path().to_owned()),
        ];
        let environment = if self.bad_disk == Some(number) {
            &preload[..]
        } else {
            &[]
        };
        let server = Server::start_in(
            &postgres_program("postgres"),
            &arguments,
            User::Postgres,
            &output,
            environment,
        );
        self.nodes[number].server = Some(server);
    }

    fn wait_until_up(&self, number: usize) {
        eventually("PostgreSQL is up", || self.is_up(number).then_some(()));
    }

    fn is_up(&self, number: usize) -> bool {
        let url = self.node_url(number, "postgres");
        let asked = std::process::Command::new("psql")
            .args(["-X", "-At", "-d", &url, "-c", "SELECT 1"])
            .output();
        asked.is_ok_and(|asked| asked.status.success())
    }

    fn signal_all(&self, node: usize, name: &str) {
        let Some(server) = &self.nodes[node].server else {
            return;
        };
        server.signal(name);
        self.signal_children(node, name);
    }

    fn signal_children(&self, node: usize, name: &str) {
        let Some(server) = &self.nodes[node].server else {
            return;
        };
        let parent = server.id().to_string();
        // One that has just ended is no failure.
        let _ = std::process::Command::new("pkill")
            .args([&format!("-{name}"), "-P", &parent])
            .status();
    }
}

/// What is frozen ends as well.
impl Drop for Postgres {
    fn drop(&mut self) {
        for node in 0..self.nodes.len() {
            self.kill(node);
        }
    }
}

fn append(path: &Path, text: &str) {
    use std::io::Write as _;
    std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("writes");
}
