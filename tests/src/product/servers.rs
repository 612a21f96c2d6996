//! The two servers apart: `hookplane serve` and `hookplane listen`.

use std::ffi::OsString;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use super::{Cli, Process, free_port};

/// A running `hookplane serve`. Client commands reach it by address and token.
pub struct Serve {
    process: Process,
    cli: Cli,
    folder: PathBuf,
    api_url: String,
}

impl Serve {
    /// Starts it with everything it keeps in `folder`, and waits until it answers.
    pub fn start(folder: &Path, more: &[&str]) -> Self {
        let api = format!("127.0.0.1:{}", free_port());
        let data = folder.join("control-plane");
        let at = |prefix: &str| {
            let mut text = OsString::from(prefix);
            text.push(&data);
            text
        };
        let token_file = folder.join("admin.token");
        let mut arguments = vec![
            "serve".into(),
            "--api".into(),
            api.clone().into(),
            "--store".into(),
            at("embedded:"),
            "--log".into(),
            at("embedded:"),
            "--seal-key".into(),
            folder.join("seal.key").into(),
            "--bootstrap-token".into(),
            token_file.clone().into(),
        ];
        arguments.extend(more.iter().map(OsString::from));
        let mut process = Process::start(arguments, &[], &data);
        process.until("has made its token", || token_file.exists());
        let token = std::fs::read_to_string(&token_file).expect("it can be read");
        let api_url = format!("http://{api}");
        let environment = [
            ("HOOKPLANE_API", api_url.as_str()),
            ("HOOKPLANE_TOKEN", token.trim()),
        ];
        let mut serve = Self {
            process,
            cli: Cli::new(&data, &environment),
            folder: folder.to_owned(),
            api_url,
        };
        serve.wait_until_ready();
        serve
    }

    /// Until it answers.
    pub fn wait_until_ready(&mut self) {
        let cli = &self.cli;
        self.process.until("answers", || {
            cli.run(&["get", "listeners"]).status.success()
        });
    }

    /// Where the API is.
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Deref for Serve {
    type Target = Cli;

    fn deref(&self) -> &Cli {
        &self.cli
    }
}

/// A running `hookplane listen`.
pub struct Listen {
    process: Process,
    name: String,
    address: String,
}

impl Listen {
    /// Starts it beside its control plane, and waits until that sees it ready.
    pub fn start(serve: &Serve, name: &str, more: &[&str]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let mut arguments: Vec<OsString> = vec![
            "listen".into(),
            "--control-plane".into(),
            serve.api_url.clone().into(),
            "--listen".into(),
            address.clone().into(),
            "--name".into(),
            name.into(),
            "--token-file".into(),
            serve.folder.join("admin.token").into(),
        ];
        arguments.extend(more.iter().map(OsString::from));
        let process = Process::start(arguments, &[], &serve.folder.join(name));
        let mut listen = Self {
            process,
            name: name.to_owned(),
            address,
        };
        listen.wait_until_ready(serve);
        listen
    }

    /// Until its control plane sees it ready.
    pub fn wait_until_ready(&mut self, serve: &Serve) {
        let name = &self.name;
        self.process.until("is ready", || {
            let listeners = serve.run(&["get", "listeners", "-o", "json"]);
            let listeners: serde_json::Value =
                serde_json::from_slice(&listeners.stdout).unwrap_or_default();
            let listeners = listeners["items"].as_array().cloned().unwrap_or_default();
            listeners.iter().any(|listener| {
                listener["metadata"]["name"] == name.as_str() && listener["status"]["ready"] == true
            })
        });
    }

    /// A callback URL as it is reached at this listener.
    pub fn url(&self, callback_url: &str) -> String {
        let (_, rest) = callback_url.split_once("://").expect("a URL");
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        format!("http://{}/{path}", self.address)
    }
}

impl Deref for Listen {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Listen {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
