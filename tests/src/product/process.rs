//! A server of the built binary, in a process of its own.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{PATIENCE, binary, eventually, pause};

/// A running server. Killed when dropped.
pub struct Process {
    child: Child,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    /// With the extensions `stdout` and `stderr`: what it prints.
    output: PathBuf,
}

impl Process {
    /// Starts it. What it prints is appended beside `output`.
    pub fn start(
        arguments: Vec<OsString>,
        environment: &[(String, String)],
        output: &Path,
    ) -> Self {
        Self {
            child: spawn(&arguments, environment, output),
            arguments,
            environment: environment.to_vec(),
            output: output.to_owned(),
        }
    }

    /// SIGKILL, and no good-bye.
    pub fn kill(&mut self) {
        // It may have ended by itself; the wait below tells.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Kills it and starts it again with the same arguments.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.arguments, &self.environment, &self.output);
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success(), "kill -{name}");
    }

    /// With which code it has ended by itself; none while it runs.
    pub fn ended(&mut self) -> Option<i32> {
        let status = self.child.try_wait().expect("a child can be waited for");
        status.map(|status| status.code().unwrap_or(-1))
    }

    /// Waits for its end by itself, and says with which code.
    pub fn wait(&mut self) -> Option<i32> {
        eventually("it ends", || {
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
            std::fs::File::open(self.output.with_extension(name))
                .and_then(|mut file| file.read_to_string(&mut text))
                .expect("its output is kept");
        }
        text
    }

    /// Waits for a condition. Its end by itself is a failure.
    pub fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!("it ended with {status}: {}", self.printed());
            }
            if condition() {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "gave up waiting until it {what}: {}",
                self.printed()
            );
            pause();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(arguments: &[OsString], environment: &[(String, String)], output: &Path) -> Child {
    let output = |name: &str| {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(output.with_extension(name))
            .expect("the folder can be written")
    };
    Command::new(binary())
        .args(arguments)
        .env_remove("HOOKPLANE_TOKEN")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output("stdout"))
        .stderr(output("stderr"))
        .spawn()
        .expect("the binary runs")
}
