//! The two servers apart: `hookplane serve` and `hookplane listen`.

use std::ffi::OsString;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use super::{Cli, Process, free_port};
use crate::http::{Answer, Connection};
use crate::pki::Pki;

/// Where replicas of one installation keep what they share: what `--store` and `--log` take.
#[derive(Debug, Clone)]
pub struct Backends {
    /// As `Etcd::store` gives it.
    pub store: String,
    /// As `Postgres::url` gives it.
    pub log: String,
}

impl Backends {
    /// Both embedded, in this directory.
    fn embedded(data: &Path) -> Self {
        let at = format!("embedded:{}", data.to_str().expect("a plain path"));
        Self {
            store: at.clone(),
            log: at,
        }
    }
}

/// A running `hookplane serve`. Client commands reach it by address and token.
pub struct Serve {
    process: Process,
    cli: Cli,
    folder: PathBuf,
    api_url: String,
    status: String,
    /// Where callback URLs lead: the first listener's port, 0 once it is taken.
    public_port: AtomicU16,
}

impl Serve {
    /// Starts it with everything it keeps in `folder`, and waits until it is ready.
    pub fn start(folder: &Path, more: &[&str]) -> Self {
        let data = folder.join("control-plane");
        Self::start_with(folder, &data, &Backends::embedded(&data), None, more)
    }

    /// The same over TLS, with the certificate `api`.
    pub fn start_tls(folder: &Path, pki: &Pki, more: &[&str]) -> Self {
        let data = folder.join("control-plane");
        Self::start_with(folder, &data, &Backends::embedded(&data), Some(pki), more)
    }

    /// A replica on these backends, ready. Those of one folder, started one after another, have one seal key, one token and one public URL.
    pub fn start_at(folder: &Path, backends: &Backends, more: &[&str]) -> Self {
        let output = folder.join(format!("replica-{}", free_port()));
        Self::start_with(folder, &output, backends, None, more)
    }

    fn start_with(
        folder: &Path,
        output: &Path,
        backends: &Backends,
        pki: Option<&Pki>,
        more: &[&str],
    ) -> Self {
        let status = format!("127.0.0.1:{}", free_port());
        let api = format!("127.0.0.1:{}", free_port());
        let public_port = public_port(folder);
        let token_file = folder.join("admin.token");
        let mut arguments = vec![
            "serve".into(),
            "--api".into(),
            api.clone().into(),
            "--store".into(),
            backends.store.clone().into(),
            "--log".into(),
            backends.log.clone().into(),
            "--seal-key".into(),
            folder.join("seal.key").into(),
            "--bootstrap-token".into(),
            token_file.clone().into(),
            "--public-url".into(),
            format!("{}://127.0.0.1:{public_port}", scheme(pki)).into(),
            "--status".into(),
            status.clone().into(),
        ];
        arguments.extend(pki.map(|pki| pki.flags("api")).unwrap_or_default());
        arguments.extend(more.iter().map(OsString::from));
        let mut process = Process::start(arguments, &[], output);
        process.until("has made its token", || token_file.exists());
        let token = std::fs::read_to_string(&token_file).expect("it can be read");
        let api_url = format!("{}://{api}", scheme(pki));
        let mut environment: Vec<(&str, OsString)> = vec![
            ("HOOKPLANE_API", api_url.clone().into()),
            ("HOOKPLANE_TOKEN", token.trim().into()),
        ];
        environment.extend(pki.map(|pki| ("HOOKPLANE_TLS_CA", pki.ca_file().into())));
        let mut serve = Self {
            process,
            cli: Cli::new(output, &environment),
            folder: folder.to_owned(),
            api_url,
            status,
            public_port: AtomicU16::new(public_port),
        };
        serve.wait_until_ready();
        serve
    }

    /// Until it says so itself.
    pub fn wait_until_ready(&mut self) {
        let status = &self.status;
        self.process
            .until("is ready", || probe(status, "/readyz") == Some(200));
    }

    /// What the status port answers; None while there is nobody.
    pub fn probe(&self, path: &str) -> Option<u16> {
        probe(&self.status, path)
    }

    /// What a scrape gets.
    pub fn metrics(&self) -> String {
        metrics(&self.status)
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
    url: String,
    status: String,
}

impl Listen {
    /// Starts it beside its control plane, and waits until it is ready.
    pub fn start(serve: &Serve, name: &str, more: &[&str]) -> Self {
        Self::start_with(&[serve], name, None, more, &[])
    }

    /// The same beside replicas of one control plane, each of which it knows.
    pub fn start_many(replicas: &[&Serve], name: &str, more: &[&str]) -> Self {
        Self::start_with(replicas, name, None, more, &[])
    }

    /// The same, where it reaches the replicas at other URLs than their own.
    pub fn start_through(serve: &Serve, urls: &[String], name: &str) -> Self {
        Self::start_at(serve, urls, name, None, &[], &[])
    }

    /// The same, with more in its environment.
    pub fn start_in(serve: &Serve, name: &str, environment: &[(String, String)]) -> Self {
        Self::start_with(&[serve], name, None, &[], environment)
    }

    /// The same over TLS, with the certificate of its name.
    pub fn start_tls(serve: &Serve, name: &str, pki: &Pki, more: &[&str]) -> Self {
        Self::start_with(&[serve], name, Some(pki), more, &[])
    }

    fn start_with(
        replicas: &[&Serve],
        name: &str,
        pki: Option<&Pki>,
        more: &[&str],
        environment: &[(String, String)],
    ) -> Self {
        let serve = replicas.first().expect("a control plane");
        let urls: Vec<_> = replicas.iter().map(|one| one.api_url.clone()).collect();
        Self::start_at(serve, &urls, name, pki, more, environment)
    }

    fn start_at(
        serve: &Serve,
        urls: &[String],
        name: &str,
        pki: Option<&Pki>,
        more: &[&str],
        environment: &[(String, String)],
    ) -> Self {
        let port = match serve.public_port.swap(0, Ordering::Relaxed) {
            0 => free_port(),
            public => public,
        };
        let address = format!("127.0.0.1:{port}");
        let status = format!("127.0.0.1:{}", free_port());
        let mut arguments: Vec<OsString> = vec![
            "listen".into(),
            "--control-plane".into(),
            urls.join(",").into(),
            "--listen".into(),
            address.clone().into(),
            "--name".into(),
            name.into(),
            "--status".into(),
            status.clone().into(),
        ];
        if !more.contains(&"--client-cert") {
            arguments.extend([
                "--token-file".into(),
                serve.folder.join("admin.token").into(),
            ]);
        }
        if let Some(pki) = pki {
            arguments.extend(pki.flags(name));
            arguments.extend(["--tls-ca".into(), pki.ca_file().into()]);
        }
        arguments.extend(more.iter().map(OsString::from));
        let process = Process::start(arguments, environment, &serve.folder.join(name));
        let mut listen = Self {
            process,
            url: format!("{}://{address}", scheme(pki)),
            status,
        };
        listen.wait_until_ready();
        listen
    }

    /// Until it says so itself.
    pub fn wait_until_ready(&mut self) {
        let status = &self.status;
        self.process
            .until("is ready", || probe(status, "/readyz") == Some(200));
    }

    /// What the status port answers; None while there is nobody.
    pub fn probe(&self, path: &str) -> Option<u16> {
        probe(&self.status, path)
    }

    /// What a scrape gets.
    pub fn metrics(&self) -> String {
        metrics(&self.status)
    }

    /// A callback URL as it is reached at this listener.
    pub fn url(&self, callback_url: &str) -> String {
        let (_, rest) = callback_url.split_once("://").expect("a URL");
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        format!("{}/{path}", self.url)
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

/// Where callback URLs of this folder's installation lead: the same from each of its replicas.
fn public_port(folder: &Path) -> u16 {
    let file = folder.join("public-port");
    if let Ok(text) = std::fs::read_to_string(&file) {
        return text.parse().expect("a port");
    }
    let port = free_port();
    std::fs::write(&file, port.to_string()).expect("the folder can be written");
    port
}

fn scheme(pki: Option<&Pki>) -> &'static str {
    if pki.is_some() { "https" } else { "http" }
}

fn ask(address: &str, path: &str) -> Option<Answer> {
    let url = format!("http://{address}{path}");
    let answer = Connection::open(&url).ok()?.request("GET", &url, &[], b"");
    answer.ok()
}

fn probe(address: &str, path: &str) -> Option<u16> {
    ask(address, path).map(|answer| answer.status)
}

fn metrics(address: &str) -> String {
    let answer = ask(address, "/metrics").expect("the status port answers");
    String::from_utf8(answer.body).expect("metrics are text")
}
