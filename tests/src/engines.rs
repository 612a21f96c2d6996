//! The real servers a cluster needs, from Debian's packages, on free ports of this machine. Each ends with the value that stands for it, and
//! with this process, however that ends.

pub mod etcd;
mod folder;
pub mod postgres;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

pub(crate) use folder::folder;

/// A server's process. Killed when dropped.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts it; what it prints is appended to `output`.
    pub(crate) fn start(program: &Path, arguments: &[String], user: User, output: &Path) -> Self {
        Self::start_in(program, arguments, user, output, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn start_in(
        program: &Path,
        arguments: &[String],
        user: User,
        output: &Path,
        environment: &[(&str, PathBuf)],
    ) -> Self {
        let file = || {
            std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(output)
                .expect("the folder can be written")
        };
        let mut command = command(program, user);
        command
            .args(arguments)
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(file())
            .stderr(file());
        Self {
            child: spawn(command).unwrap_or_else(|error| {
                panic!(
                    "{} starts (tests/run installs it): {error}",
                    program.display()
                )
            }),
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success(), "kill -{name}");
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// As whom a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    Ours,
    /// PostgreSQL refuses to run as root.
    Postgres,
}

/// A program that gets SIGKILL when the thread that starts it ends.
fn command(program: &Path, user: User) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if user == User::Postgres && nix::unistd::geteuid().is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

type Order = (Command, Sender<io::Result<Child>>);

/// Starts it on a thread that lives as long as this process: a test's own thread ends with the test, and what others share would end with it.
fn spawn(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, taken): (_, Receiver<Order>) = channel();
        std::thread::spawn(move || {
            for (mut command, answer) in taken {
                // Whoever asked may have gone.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, started) = channel();
    starter.send((command, answer)).expect("the thread lives");
    started.recv().expect("the thread answers")
}

/// Runs a program to its end.
pub(crate) fn run(program: &Path, arguments: &[&str], user: User) -> String {
    let done = command(program, user)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{} runs: {error}", program.display()));
    assert!(
        done.status.success(),
        "{} {arguments:?}: {}",
        program.display(),
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Makes a path the user's own.
pub(crate) fn give(path: &Path, user: User) {
    if user == User::Postgres && nix::unistd::geteuid().is_root() {
        let given = Command::new("chown")
            .args(["-R", "postgres:postgres"])
            .arg(path)
            .status()
            .expect("chown runs");
        assert!(given.success(), "chown {}", path.display());
    }
}

/// One of PostgreSQL's programs: Debian keeps most of them off the PATH.
pub(crate) fn postgres_program(name: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found
        .pop()
        .unwrap_or_else(|| panic!("{name} is installed: tests/run does it"))
}
