//! The servers under load, each a process of its own: this very binary, started again with the name of one. They end with their parent.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use hookplane_control_plane::catalogue::Catalogue;
use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::metrics::Metrics;
use hookplane_control_plane::seal::SealKey;
use hookplane_control_plane::server::{self, Parts};
use hookplane_control_plane::store::etcd::{EtcdOptions, EtcdStore};
use hookplane_control_plane::store::{EmbeddedStore, Store};
use hookplane_listener::{Config, KeyServers, Limits};
use hookplane_rules::{Clock, Timestamp};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::callbacks::SECRET;
use super::cores::{Cores, CpuClock, pin};

/// The administrator's token of the control plane under load.
pub(super) const TOKEN: &str = "bench";

const END_OF_METRICS: &str = "# EOF\n";

/// What a child is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// hyper that reads the body and answers 200.
    Hyper,
    /// The same with the HMAC of GitHub's scheme: the yardstick.
    HyperHmac,
    /// With its data in a folder, but for its configuration when that is in etcd: `etcd://HOST:PORT,…`.
    ControlPlane(&'a Path, Option<&'a str>),
    /// Of the control plane at a URL.
    Listener(&'a str),
}

/// A child that serves. Killed when dropped.
pub(super) struct Server {
    child: Child,
    said: BufReader<ChildStdout>,
    pub(super) address: SocketAddr,
    pub(super) cpu: CpuClock,
}

impl Server {
    /// On the servers' core. A child inherits the core of who starts it.
    pub(super) fn start(kind: Kind<'_>, cores: Cores) -> Result<Self, Failure> {
        pin(cores.servers)?;
        let started = Self::start_here(kind);
        pin(cores.load)?;
        started
    }

    /// Wherever the caller may run.
    pub(super) fn start_here(kind: Kind<'_>) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve");
        match kind {
            Kind::Hyper => command.arg("hyper"),
            Kind::HyperHmac => command.arg("hyper-hmac"),
            Kind::ControlPlane(folder, store) => {
                command.arg("control-plane").arg(folder).args(store)
            }
            Kind::Listener(control_plane) => command.args(["listener", control_plane]),
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut said = BufReader::new(child.stdout.take().ok_or("a child without output")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        let Ok(address) = line.trim().parse() else {
            // It has said on stderr why.
            let _ = child.kill();
            return Err(format!("{kind:?} did not start: {:?}", child.wait()?).into());
        };
        let cpu = CpuClock::of(child.id())?;
        Ok(Self {
            child,
            said,
            address,
            cpu,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// One of a control plane's metrics, now.
    pub(super) fn metric(&mut self, name: &str) -> Result<f64, Failure> {
        let to = self.child.stdin.as_mut().ok_or("a child without input")?;
        to.write_all(b"metrics\n")?;
        let mut found = None;
        loop {
            let mut line = String::new();
            if self.said.read_line(&mut line)? == 0 {
                return Err("the control plane has ended".into());
            }
            if line == END_OF_METRICS {
                return found.ok_or_else(|| format!("there is no metric {name}").into());
            }
            if let Some(value) = line.strip_prefix(name) {
                found = Some(value.trim().parse()?);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a child runs: the server that `arguments` name, until stdin ends.
pub fn serve(arguments: &[String]) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let shutdown = CancellationToken::new();
    let metrics = Arc::new(Metrics::new());
    std::thread::spawn({
        let (ended, metrics) = (shutdown.clone(), Arc::clone(&metrics));
        move || {
            // Each line asks for the metrics. The end of them is the parent's end.
            for _ in std::io::stdin().lines().map_while(Result::ok) {
                #[expect(clippy::print_stdout, reason = "how the parent learns the metrics")]
                {
                    print!("{}", metrics.render());
                }
            }
            ended.cancel();
        }
    });
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    runtime.block_on(async {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        #[expect(clippy::print_stdout, reason = "how the parent learns the port")]
        {
            println!("{}", socket.local_addr()?);
        }
        match arguments.as_slice() {
            ["hyper"] => bare(socket, false, shutdown).await,
            ["hyper-hmac"] => bare(socket, true, shutdown).await,
            ["control-plane", folder, store @ ..] => {
                let folder = Path::new(folder);
                let store = open_store(folder, store.first().copied()).await?;
                control_plane(socket, folder, store, metrics, shutdown).await
            }
            ["listener", url] => {
                let config = Config {
                    name: "bench".to_owned(),
                    pool: "default".to_owned(),
                    control_planes: vec![(*url).to_owned()],
                    token: TOKEN.into(),
                    ca_file: None,
                    limits: Limits::default(),
                    metrics: Arc::default(),
                    keys: KeyServers::default(),
                };
                let clock = Arc::new(SystemClock);
                Ok(hookplane_listener::run(socket, config, clock, shutdown).await?)
            }
            other => Err(format!("no server is called {other:?}").into()),
        }
    })
}

/// The store of a control plane with its data in `folder`.
pub(super) async fn open_store(
    folder: &Path,
    etcd: Option<&str>,
) -> Result<Arc<dyn Store>, Failure> {
    match etcd {
        None => Ok(EmbeddedStore::open(folder)?),
        Some(store) => {
            let endpoints = store.trim_start_matches("etcd://").split(',');
            let options = EtcdOptions {
                endpoints: endpoints.map(str::to_owned).collect(),
                ..EtcdOptions::default()
            };
            Ok(EtcdStore::open(options).await?)
        }
    }
}

async fn control_plane(
    socket: TcpListener,
    folder: &Path,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let clock = Arc::new(SystemClock);
    let parts = Parts {
        web: None,
        store,
        log: EmbeddedLog::open(folder, clock.clone(), Options::default())?,
        seal: SealKey::load_or_create(&folder.join("seal.key"))?,
        clock,
        catalogue: Catalogue::built_in(),
        public_url: "http://hooks.example.com".to_owned(),
        admin_token: Some(TOKEN.to_owned()),
        stream_age: server::STREAM_AGE,
        client: crate::destinations::client(),
        metrics,
    };
    Ok(server::run(socket, parts, shutdown).await?)
}

/// As little as a receiver on hyper can do.
async fn bare(
    socket: TcpListener,
    verify: bool,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let key = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = socket.accept() => accepted?.0,
            Some(_) = connections.join_next() => continue,
            () = shutdown.cancelled() => return Ok(()),
        };
        stream.set_nodelay(true)?;
        let key = key.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, verify.then_some(&key)));
            // What went wrong shows at the client.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    key: Option<&Hmac<Sha256>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(status(StatusCode::BAD_REQUEST));
    };
    let body = body.to_bytes();
    let Some(key) = key else {
        return Ok(status(StatusCode::OK));
    };
    let signature = head
        .headers
        .get("x-hub-signature-256")
        .and_then(|value| value.as_bytes().strip_prefix(b"sha256="))
        .and_then(|digits| hex::decode(digits).ok());
    let mut mac = key.clone();
    mac.update(&body);
    Ok(match signature.map(|sent| mac.verify_slice(&sent)) {
        Some(Ok(())) => status(StatusCode::OK),
        _ => status(StatusCode::UNAUTHORIZED),
    })
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// The real time.
struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is what the ban on the ambient clock points to"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        }))
    }
}
