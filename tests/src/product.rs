//! The built binary, run as a user runs it.

mod cli;
mod process;
mod servers;

use std::net::TcpListener;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub use cli::Cli;
pub use process::Process;
pub use servers::{Backends, Listen, Serve};

pub use crate::waiting::PATIENCE;
pub use crate::waiting::blocking::eventually;
pub(crate) use crate::waiting::blocking::pause;

/// A group for GitHub, `acme/code`, and its webhook `all`: what a test needs that is about something else.
pub const CODE: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec:
  connector: github
  signatureSecrets: [{value: code-secret}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: all}
spec: {label: All, active: true, events: ["*"]}
"#;

/// Its signature secret.
pub const CODE_SECRET: &str = "code-secret";

/// The `hookplane` binary, built first if it has to be.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("HOOKPLANE_BIN") {
            return path.into();
        }
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--bin", "hookplane"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the binary builds");
        // Test binaries lie in target/PROFILE/deps, the product in target/PROFILE.
        let mut path = std::env::current_exe().expect("a test knows where it is");
        path.pop();
        if path.ends_with("deps") {
            path.pop();
        }
        path.push("hookplane");
        path
    })
}

/// A running `hookplane dev`. Killed when dropped. Client commands find it by its data directory.
pub struct Dev {
    process: Process,
    cli: Cli,
    directory: PathBuf,
    listen: u16,
    api: u16,
    environment: Vec<(String, String)>,
}

impl Deref for Dev {
    type Target = Cli;

    fn deref(&self) -> &Cli {
        &self.cli
    }
}

impl Dev {
    /// Starts it with its data in `directory`, and waits until it serves.
    pub fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[])
    }

    /// The same, with more in its environment.
    pub fn start_with(directory: &Path, environment: &[(&str, &str)]) -> Self {
        let environment: Vec<(String, String)> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let (listen, api) = (free_port(), free_port());
        let mut dev = Self {
            process: spawn(directory, listen, api, &environment),
            cli: Cli::new(directory, &[("HOOKPLANE_DATA_DIR", directory)]),
            directory: directory.to_owned(),
            listen,
            api,
            environment,
        };
        dev.wait_until_ready();
        dev
    }

    /// SIGKILL, and no good-bye.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after [`Dev::kill`], on the same ports.
    pub fn restart(&mut self) {
        self.process.restart();
        self.wait_until_ready();
    }

    /// Starts it again on other ports.
    pub fn restart_elsewhere(&mut self) {
        self.kill();
        (self.listen, self.api) = (free_port(), free_port());
        self.process = spawn(&self.directory, self.listen, self.api, &self.environment);
        self.wait_until_ready();
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits for its end by itself, and says with which code.
    pub fn wait(&mut self) -> Option<i32> {
        self.process.wait()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything it has printed so far.
    pub fn printed(&self) -> String {
        self.process.printed()
    }

    /// Where callbacks go.
    pub fn listener_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.listen)
    }

    /// Where the API is.
    pub fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.api)
    }

    /// The bearer token.
    pub fn token(&self) -> String {
        std::fs::read_to_string(self.directory.join("token"))
            .expect("dev keeps its token")
            .trim()
            .to_owned()
    }

    fn wait_until_ready(&mut self) {
        let cli = &self.cli;
        self.process.until("is ready", || {
            let ready = cli.run(&["get", "listeners", "-o", "json"]);
            ready.status.success()
                && String::from_utf8_lossy(&ready.stdout).contains("\"ready\": true")
        });
    }
}

fn spawn(directory: &Path, listen: u16, api: u16, environment: &[(String, String)]) -> Process {
    let arguments = [
        "dev".into(),
        "--data-dir".into(),
        directory.as_os_str().to_owned(),
        "--listen".into(),
        format!("127.0.0.1:{listen}").into(),
        "--api".into(),
        format!("127.0.0.1:{api}").into(),
    ];
    Process::start(arguments.into(), environment, directory)
}

/// A free port that stays free until it is used. The same one is needed over restarts, so port 0 won't do. It lies below those that systems hand
/// out for outgoing connections, one of which would take it sooner or later, and no other caller in this process is given it.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes begin apart.
    let start = std::process::id().wrapping_mul(997);
    (0..COUNT)
        .find_map(|_| {
            let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
            let port = u16::try_from(FIRST + offset).ok()?;
            TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
        })
        .expect("loopback has free ports")
}
