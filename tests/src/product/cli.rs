//! Client commands, as a user types them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::binary;

/// Client commands that find one control plane by their environment.
pub struct Cli {
    environment: Vec<(String, OsString)>,
    /// With another extension: where manifests are written.
    scratch: PathBuf,
}

impl Cli {
    /// With this environment, and manifests beside `scratch`.
    pub fn new<V: AsRef<OsStr>>(scratch: &Path, environment: &[(&str, V)]) -> Self {
        Self {
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_ref().to_owned()))
                .collect(),
            scratch: scratch.to_owned(),
        }
    }

    /// A client command, ready to run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env_remove("HOOKPLANE_DATA_DIR")
            .env_remove("HOOKPLANE_API")
            .env_remove("HOOKPLANE_TOKEN")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
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
        let path = self.scratch.with_extension("yaml");
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
}
