//! One more replica of a [`Rig`]'s control plane, as far as config streams go: a view and a service of its own over the same store, or over a
//! worse one.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::access::Door;
use hookplane_control_plane::catalogue::Catalogue;
use hookplane_control_plane::config::stream::ConfigApi;
use hookplane_control_plane::config::{Fleet, View};
use hookplane_control_plane::context::Context;
use hookplane_control_plane::drift::Drift;
use hookplane_control_plane::installation;
use hookplane_control_plane::mapping::MappingVersions;
use hookplane_control_plane::seal::SealKey;
use hookplane_control_plane::server::STREAM_AGE;
use hookplane_control_plane::store::Store;
use hookplane_proto::encoded_config::config_service_server::ConfigServiceServer;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use super::rig::{Rig, TOKEN};
use crate::fake_control_plane::Failure;

/// Ends with this.
pub(super) struct Replica {
    pub(super) url: String,
    pub(super) view: Arc<View>,
    pub(super) fleet: Arc<Fleet>,
    end: CancellationToken,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Replica {
    pub(super) async fn start(
        rig: &Rig,
        store: Arc<dyn Store>,
        set: impl FnOnce(ConfigApi) -> ConfigApi,
    ) -> Result<Self, Failure> {
        Self::of_age(rig, store, STREAM_AGE, set).await
    }

    /// One whose streams are told to drain at such an age.
    pub(super) async fn of_age(
        rig: &Rig,
        store: Arc<dyn Store>,
        stream_age: Range<Duration>,
        set: impl FnOnce(ConfigApi) -> ConfigApi,
    ) -> Result<Self, Failure> {
        let end = CancellationToken::new();
        let seal = Arc::new(SealKey::load_or_create(&rig.seal_key())?);
        let context = Context {
            store: store.clone(),
            log: rig.log.clone(),
            drift: Arc::new(Drift::new(rig.log.clone())),
            seal: seal.clone(),
            mac_key: installation::mac_key(&*store, &seal).await?,
            clock: rig.clock.clone(),
            catalogue: Arc::new(Catalogue::built_in()),
            mappings: Arc::new(MappingVersions::new(store.clone())),
            view: View::start(store, seal, end.clone()).await?,
            fleet: Arc::new(Fleet::new()),
            public_url: "http://localhost".into(),
            metrics: Arc::default(),
            stream_age,
            client: hookplane_tests::destinations::client(),
            endpoints: Arc::default(),
        };
        let (view, fleet) = (context.view.clone(), context.fleet.clone());
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", socket.local_addr()?);
        let door = Door::new(Some(TOKEN), view.tokens(), context.clock.clone());
        let service = ConfigServiceServer::new(set(ConfigApi::new(context)));
        tokio::spawn(
            tonic::transport::Server::builder()
                .layer(door)
                .add_service(service)
                .serve_with_incoming_shutdown(
                    TcpListenerStream::new(socket),
                    end.clone().cancelled_owned(),
                ),
        );
        Ok(Self {
            url,
            view,
            fleet,
            end,
        })
    }
}
