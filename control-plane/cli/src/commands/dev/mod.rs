//! `dev`: the two real servers in one process, speaking real gRPC over loopback, with embedded stores.
//!
//! Both sockets are bound before anything is opened. At the end the listener drains first, since what it holds has still to be kept;
//! then the control plane ends.

mod starter;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use hookplane_console::SignInLinks;
use hookplane_control_plane::dispatch::client::Networks;
use hookplane_proto::v1;
use hookplane_rules::Clock;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::args::{Backends, Dev};
use crate::connect::{Api, Target, Top, data_dir, tls};
use crate::failure::Failure;
use crate::output;
use crate::servers::clock::SystemClock;
use crate::servers::files::{self, DataDir};
use crate::servers::{ControlPlane, Listener, bind, destinations, draining, url};

/// Until the listener serves.
const READY_DEADLINE: Duration = Duration::from_secs(30);
/// Between two looks.
const READY_INTERVAL: Duration = Duration::from_millis(20);
/// For the control plane at the end.
const SERVER_GRACE: Duration = Duration::from_secs(10);
/// For everything at the end: the listener's drain (10 s), then the server's.
const GRACE: Duration = Duration::from_secs(20);

/// Serves until a signal.
pub(crate) async fn run(dev: Dev, top: &Top, shutdown: CancellationToken) -> Result<(), Failure> {
    let callbacks = bind(&dev.listen, "--listen").await?;
    let api = bind(&dev.api, "--api").await?;
    let listen_url = url("http", callbacks.local_addr()?);
    let api_url = url("http", api.local_addr()?);
    let given = dev.data_dir.as_deref().or(top.data_dir.as_deref());
    let folder = DataDir::open(&data_dir(given))?;
    let token = files::token_made_once(&folder.token_file())?.text;
    let links = SignInLinks::default();
    let mut server = ControlPlane {
        links: links.clone(),
        socket: api,
        tls: None,
        authorities: None,
        backends: Backends::embedded(folder.path()),
        seal_key: folder.seal_key_file(),
        admin_token: Some(token.clone()),
        public_url: listen_url.clone(),
        grace: SERVER_GRACE,
        // What somebody tries out here runs on the same machine.
        client: destinations::client(Networks::loopback(), None)?,
        tests_tls: tls::destinations(None)?,
        metrics: Arc::default(),
        ready: tokio::sync::watch::Sender::new(false),
    }
    .start()
    .await?;
    folder.write_api(&api_url)?;
    let mut listener = Listener {
        socket: callbacks,
        tls: None,
        name: "dev".to_owned(),
        pool: "default".to_owned(),
        control_planes: vec![api_url.clone()],
        token: token.clone().into(),
        ca_file: None,
        grace: None,
        metrics: Arc::default(),
        ready: tokio::sync::watch::Sender::new(false),
    }
    .start();
    let started = Started {
        links,
        listen_url,
        api_url,
        token,
        folder,
    };
    let ended = tokio::select! {
        result = started.work(&shutdown) => result,
        failure = server.ended() => return Err(failure),
        failure = listener.ended() => return Err(failure),
    };
    draining(GRACE, async {
        let listener = listener.drain().await;
        let server = server.drain().await;
        listener.and(server)
    })
    .await?;
    ended
}

struct Started {
    links: SignInLinks,
    listen_url: String,
    api_url: String,
    token: String,
    folder: DataDir,
}

impl Started {
    /// What is done while the servers run: the starter, the lines to paste, the small subscriber.
    async fn work(&self, shutdown: &CancellationToken) -> Result<(), Failure> {
        let target = Target::with_token(self.api_url.clone(), self.token.clone());
        let begun = async {
            let api = target.connect().await?;
            ready(&api).await?;
            let made = starter::make(&api).await?;
            self.greet(&api, made.as_ref()).await?;
            Ok::<_, Failure>(api)
        };
        let api = tokio::select! {
            begun = begun => begun?,
            () = shutdown.cancelled() => return Ok(()),
        };
        tokio::select! {
            () = watch::deliveries(&api) => {}
            () = watch::refusals(&api) => {}
            () = shutdown.cancelled() => {}
        }
        Ok(())
    }

    async fn greet(&self, api: &Api, made: Option<&starter::Made>) -> Result<(), Failure> {
        let link = self.links.make(&self.token, SystemClock.now().0 / 1_000);
        let mut text = format!(
            "\nhookplane is ready\n  callbacks  {}\n  API        {}\n  console    {}{}\n  data       {}\n",
            self.listen_url,
            self.api_url,
            self.api_url,
            link.unwrap_or_default(),
            self.folder.path().display()
        );
        if starter::exists(api).await? {
            let send = starter::send_line(self.folder.path())?;
            text.push_str(&format!(
                "\nSend a first signed callback: paste this into a second terminal\n\n  {send}\n\n\
                 A small subscriber in this process takes what demo/github/everything is due, and prints a line for each.\n"
            ));
            if let Some(made) = made {
                text.push_str(&format!(
                    "\nThe same with curl, signed for this very body:\n\n{}\n",
                    made.curl
                ));
            }
        }
        text.push_str("\nCtrl-C ends it.\n\n");
        output::text(&text)
    }
}

async fn ready(api: &Api) -> Result<(), Failure> {
    let deadline = Instant::now() + READY_DEADLINE;
    loop {
        let request = v1::ListListenersRequest {};
        let listeners = api
            .config()
            .list_listeners(request)
            .await?
            .into_inner()
            .listeners;
        if listeners.iter().any(|listener| listener.ready) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(format!(
                "the listener is not ready after {} s",
                READY_DEADLINE.as_secs()
            ))
            .hint("RUST_LOG=debug says more"));
        }
        tokio::time::sleep(READY_INTERVAL).await;
    }
}
