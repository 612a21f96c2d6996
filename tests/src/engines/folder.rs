//! Where servers keep their data: folders that are gone once whoever made them is, however that ends.
//!
//! A server that all tests of a run share is nobody's to drop, and its folder would stay, of hundreds of megabytes. So a shell of its own process group,
//! which Ctrl-C doesn't reach, is told of each folder, and waits for the other end of its pipe to close. That happens with the last instruction of this
//! process, or with SIGKILL; by then the servers are killed too, and end within moments.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use tempfile::TempDir;

use super::{User, give};

/// What it is told is a path a line. A server that is about to end may still write something: so it is done again until nothing is left.
const REMOVES: &str = r#"
while IFS= read -r path; do set -- "$@" "$path"; done
for _ in $(seq 100); do
    rm -rf -- "$@" && exit
    sleep 0.1
done"#;

/// A folder that the server's user may enter.
pub(crate) fn folder(user: User) -> TempDir {
    // Beside no other's: what is told is removed by its name, and this process may have dropped it long before.
    let prefix = format!("hookplane-tests-{}-", std::process::id());
    let made = tempfile::Builder::new().prefix(&prefix).tempdir();
    let folder = made.expect("a directory");
    give(folder.path(), user);
    tell(&folder);
    folder
}

fn tell(folder: &TempDir) {
    /// It outlives this process.
    static REMOVER: OnceLock<Mutex<Child>> = OnceLock::new();
    let remover = REMOVER.get_or_init(|| {
        let shell = Command::new("sh")
            .args(["-c", REMOVES])
            .process_group(0)
            .stdin(Stdio::piped())
            // Else whoever reads what the tests print would wait for it.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        Mutex::new(shell)
    });
    let mut remover = remover.lock().unwrap_or_else(PoisonError::into_inner);
    let pipe = remover.stdin.as_mut().expect("it is piped");
    writeln!(pipe, "{}", folder.path().display()).expect("the shell reads");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set for the process that dies.
    const MAKES_ONE: &str = "HOOKPLANE_TESTS_MAKES_A_FOLDER";

    #[test]
    fn the_folder_of_a_process_that_dies_goes() {
        if std::env::var_os(MAKES_ONE).is_some() {
            let folder = folder(User::Ours);
            std::fs::create_dir(folder.path().join("inside")).unwrap();
            println!("made:{}", folder.path().display());
            std::process::abort();
        }
        // Of this one, which lives.
        let stays = folder(User::Ours);
        let own = std::env::current_exe().unwrap();
        let name = "engines::folder::tests::the_folder_of_a_process_that_dies_goes";
        let dead = Command::new(own)
            .args([name, "--exact", "--nocapture"])
            .env(MAKES_ONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8(dead.stdout).unwrap();
        let (_, path) = said.split_once("made:").unwrap();
        let path = std::path::Path::new(path.lines().next().unwrap());
        crate::product::eventually("it is removed", || (!path.exists()).then_some(()));
        assert!(stays.path().exists());
    }
}
