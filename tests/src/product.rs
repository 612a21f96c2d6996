//! The built binary, run as a user runs it.

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a test waits for a condition before it fails.
pub const DEADLINE: Duration = Duration::from_secs(30);

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

/// Tries until it is given a value, and fails the test after [`DEADLINE`].
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "gave up waiting: {what}");
        pause();
    }
}

/// Between two looks at a condition.
#[expect(
    clippy::disallowed_methods,
    reason = "the pause of a wait that has a condition and a deadline"
)]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// A running `hookplane dev`. Killed when dropped.
pub struct Dev {
    child: Child,
    directory: PathBuf,
    listen: u16,
    api: u16,
    environment: Vec<(String, String)>,
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
        let child = spawn(directory, listen, api, &environment);
        let mut dev = Self {
            child,
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
        // It may have ended by itself; the wait below tells.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Starts it again after [`Dev::kill`], on the same ports.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.directory, self.listen, self.api, &self.environment);
        self.wait_until_ready();
    }

    /// Starts it again on other ports.
    pub fn restart_elsewhere(&mut self) {
        self.kill();
        (self.listen, self.api) = (free_port(), free_port());
        self.child = spawn(&self.directory, self.listen, self.api, &self.environment);
        self.wait_until_ready();
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success(), "kill -{name}");
    }

    /// Waits for its end by itself, and says with which code.
    pub fn wait(&mut self) -> Option<i32> {
        eventually("dev ends", || {
            self.child.try_wait().expect("a child can be waited for")
        })
        .code()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has printed so far.
    pub fn printed(&self) -> String {
        let mut text = String::new();
        for name in ["stdout", "stderr"] {
            let path = self.directory.with_extension(name);
            std::fs::File::open(path)
                .and_then(|mut file| file.read_to_string(&mut text))
                .expect("its output is kept");
        }
        text
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

    /// A client command, ready to run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env("HOOKPLANE_DATA_DIR", &self.directory)
            .env_remove("HOOKPLANE_API")
            .env_remove("HOOKPLANE_TOKEN")
            .stdin(Stdio::null());
        command
    }

    /// Runs a client command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// Runs a client command that must succeed, and gives its stdout.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("stdout is UTF-8")
    }

    /// Runs a client command that must be refused with this code, and gives its stderr.
    pub fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        stderr
    }

    /// Applies a manifest that must be taken, and waits for it to be live.
    pub fn apply(&self, manifest: &str) -> String {
        let path = self.manifest_file(manifest);
        self.ok(&["apply", "-f", &path])
    }

    /// Writes a manifest beside the data and gives its path.
    pub fn manifest_file(&self, manifest: &str) -> String {
        let path = self.directory.with_extension("yaml");
        std::fs::write(&path, manifest).expect("the folder can be written");
        path.to_str().expect("a plain path").to_owned()
    }

    /// The items of `get … -o json`.
    pub fn items(&self, arguments: &[&str]) -> Vec<Value> {
        let mut all = vec!["get"];
        all.extend_from_slice(arguments);
        all.extend_from_slice(&["-o", "json"]);
        let text = self.ok(&all);
        let value: Value = serde_json::from_str(&text).expect("get -o json prints JSON");
        value["items"].as_array().expect("items").clone()
    }

    /// A group's callback URL.
    pub fn callback_url(&self, group: &str) -> String {
        self.items(&["groups", group])[0]["status"]["callbackUrl"]
            .as_str()
            .expect("a group has a callback URL")
            .to_owned()
    }

    /// The lines of `tail … -o json --from-start --no-follow`.
    pub fn tail(&self, scope: &str, more: &[&str]) -> Vec<Value> {
        let mut all = vec!["tail", scope, "-o", "json", "--from-start", "--no-follow"];
        all.extend_from_slice(more);
        self.ok(&all)
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect()
    }

    fn wait_until_ready(&mut self) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!("dev ended with {status}: {}", self.printed());
            }
            let ready = self.run(&["get", "listeners", "-o", "json"]);
            if ready.status.success()
                && String::from_utf8_lossy(&ready.stdout).contains("\"ready\": true")
            {
                return;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "dev is not ready: {}{}{}",
                self.printed(),
                String::from_utf8_lossy(&ready.stdout),
                String::from_utf8_lossy(&ready.stderr),
            );
            pause();
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(directory: &Path, listen: u16, api: u16, environment: &[(String, String)]) -> Child {
    let output = |name: &str| {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(directory.with_extension(name))
            .expect("the folder can be written")
    };
    Command::new(binary())
        .arg("dev")
        .arg("--data-dir")
        .arg(directory)
        .args(["--listen", &format!("127.0.0.1:{listen}")])
        .args(["--api", &format!("127.0.0.1:{api}")])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output("stdout"))
        .stderr(output("stderr"))
        .spawn()
        .expect("the binary runs")
}

/// A port that was free a moment ago. The same one is needed over restarts, so port 0 won't do.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("loopback has free ports")
        .port()
}
