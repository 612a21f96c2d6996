//! Several control planes over one store and one log, each behind a proxy and on a runtime of its own, so that one can be killed or frozen;
//! and a real listener that knows them all.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hookplane_control_plane::catalogue::Catalogue;
use hookplane_control_plane::log::DeliveryLog;
use hookplane_control_plane::seal::SealKey;
use hookplane_control_plane::server::{self, Parts};
use hookplane_proto::v1;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::gated::Gated;
use super::plain::signed;
use super::rig::{Listening, Rig, TOKEN, callback_url, post};
use super::rollback::Frozen;
use crate::fake_control_plane::{Failure, eventually, soon};
use crate::proxy::Proxy;

/// One of several. Dropping it kills it: its sockets close, its tasks are gone.
pub(super) struct Replica {
    pub(super) proxy: Proxy,
    /// Its own way to the log.
    pub(super) log: Arc<Gated>,
    lags: Arc<AtomicBool>,
    stop: CancellationToken,
    runtime: Option<Runtime>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Replica {
    pub(super) async fn start(rig: &Rig, stream_age: Range<Duration>) -> Result<Self, Failure> {
        Self::start_over(rig, rig.another_log().await?, stream_age).await
    }

    /// The same with a log of the test's own.
    pub(super) async fn start_over(
        rig: &Rig,
        log: Arc<dyn DeliveryLog>,
        stream_age: Range<Duration>,
    ) -> Result<Self, Failure> {
        let log = Gated::over(log);
        let lags = Arc::new(AtomicBool::new(false));
        let store = Arc::new(Frozen {
            inner: rig.another_store().await?,
            frozen: lags.clone(),
        });
        let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let parts = Parts {
            web: None,
            store,
            log: log.clone(),
            seal: SealKey::load_or_create(&rig.folder.path().join("seal.key"))?,
            clock: rig.clock.clone(),
            catalogue: Catalogue::built_in(),
            public_url: rig.public_url.clone(),
            admin_token: Some(TOKEN.to_owned()),
            stream_age,
            client: hookplane_tests::destinations::client(),
            metrics: Arc::default(),
        };
        let proxy = Proxy::to(address).await?;
        // Made once nothing can fail any more: a runtime must not be dropped where others run.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        runtime.spawn(async move {
            let socket = tokio::net::TcpListener::from_std(socket).expect("non-blocking");
            if let Err(error) = server::run(socket, parts, stopping).await {
                panic!("a replica ended early: {error}");
            }
        });
        Ok(Self {
            proxy,
            log,
            lags,
            stop,
            runtime: Some(runtime),
        })
    }

    /// From now on it hears nothing of what is configured, and goes on.
    pub(super) fn lag(&self) {
        self.lags.store(true, Ordering::Relaxed);
    }

    /// Ends as at SIGTERM.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

/// Two replicas, a listener with a stream to each, and the group `code` with the webhook `all`.
pub(super) struct Replicas {
    pub(super) rig: Rig,
    pub(super) replicas: Vec<Replica>,
    pub(super) url: String,
    _listening: Listening,
}

impl Replicas {
    /// The provider waits for `patience` seconds.
    pub(super) async fn start(patience: u32) -> Result<Self, Failure> {
        Self::start_with(patience, server::STREAM_AGE).await
    }

    pub(super) async fn start_with(patience: u32, age: Range<Duration>) -> Result<Self, Failure> {
        let mut rig = Rig::start().await?;
        rig.patience(patience).await?;
        let group = rig.group("code", |_| {}).await?;
        rig.webhook("code", "all", "").await?;
        let replicas = vec![
            Replica::start(&rig, age.clone()).await?,
            Replica::start(&rig, age).await?,
        ];
        let urls = replicas.iter().map(|replica| replica.proxy.url()).collect();
        let listening = rig.listen_at(urls).await?;
        let started = Self {
            rig,
            replicas,
            url: callback_url(&group),
            _listening: listening,
        };
        started.connected().await?;
        Ok(started)
    }

    /// Until the listener serves, and its three connections are there: one for the configuration, and one to each for reports.
    async fn connected(&self) -> Result<(), Failure> {
        eventually(async || {
            let open: Vec<_> = self.replicas.iter().map(|r| r.proxy.open()).collect();
            let all = open.iter().all(|n| *n > 0) && open.iter().sum::<usize>() >= 3;
            Ok((all && self.is_serving().await).then_some(()))
        })
        .await
    }

    /// A request that isn't signed is refused by a listener that knows the group.
    async fn is_serving(&self) -> bool {
        let answer = post(&self.url, Vec::new(), Bytes::new()).await;
        answer.is_ok_and(|answer| [401, 415].contains(&answer.status))
    }

    /// The replica that holds callbacks back, once it does.
    pub(super) async fn holder(&self) -> Result<usize, Failure> {
        eventually(async || Ok(self.replicas.iter().position(|r| r.log.held() > 0))).await
    }

    /// Posts this many at a time, each with a body of its own. Their statuses.
    pub(super) fn post_all(&self, ids: Range<usize>) -> Posts {
        let url = self.url.clone();
        let posts: Vec<_> = ids
            .map(|n| {
                let url = url.clone();
                tokio::spawn(async move {
                    let body = format!("{{\"n\":{n}}}");
                    let headers = signed(&format!("d-{n}"), body.as_bytes());
                    post(&url, headers, Bytes::from(body)).await
                })
            })
            .collect();
        Posts(posts)
    }

    /// Every event of the group by its delivery id, and with a delivery each: nothing lost, nothing twice.
    pub(super) async fn assert_kept_once(&self, ids: Range<usize>) -> Result<(), Failure> {
        let mut kept = Vec::new();
        let mut page_token = String::new();
        loop {
            let page = self
                .rig
                .events()
                .list_events(v1::ListEventsRequest {
                    parent: "orgs/acme/groups/code".to_owned(),
                    page_size: 1000,
                    page_token,
                    ..Default::default()
                })
                .await?
                .into_inner();
            for event in page.events {
                assert_eq!(event.duplicates, 0, "our own resend is none: {}", event.id);
                kept.push(event.delivery_id);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        kept.sort();
        let mut expected: Vec<_> = ids.map(|n| format!("d-{n}")).collect();
        expected.sort();
        assert_eq!(kept, expected);
        Ok(())
    }
}

/// Posts under way.
pub(super) struct Posts(
    Vec<tokio::task::JoinHandle<Result<hookplane_tests::http::Answer, Failure>>>,
);

impl Posts {
    pub(super) async fn statuses(self) -> Result<Vec<u16>, Failure> {
        let mut statuses = Vec::new();
        for posted in self.0 {
            statuses.push(soon(posted).await???.status);
        }
        Ok(statuses)
    }

    pub(super) async fn assert_all_ok(self) -> Result<(), Failure> {
        let statuses = self.statuses().await?;
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        Ok(())
    }
}
