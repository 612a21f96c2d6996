//! A control plane that does what a test's script says, over a real socket. The listener's own tests use this file too.
//!
//! Each stream that a listener opens is handed to the test, which reads and writes it as it likes. Dropping the fake closes its sockets
//! at once, as a crash would.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "two crates take this file, and each uses a part of it"
)]

use std::net::SocketAddr;
use std::pin::Pin;

use hookplane_proto::v1;
use hookplane_proto::v1::config_service_server::{ConfigService, ConfigServiceServer};
use hookplane_proto::v1::report_service_server::{ReportService, ReportServiceServer};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

#[path = "../src/waiting.rs"]
mod waiting;

#[allow(
    unused_imports,
    reason = "of the two crates whose tests have this file one needs less"
)]
pub use waiting::{Failure, PATIENCE, eventually, soon, until};

/// One side of a stream of either service.
pub struct Opened<In, Out> {
    from: Streaming<In>,
    to: mpsc::Sender<Result<Out, Status>>,
    pub authorization: String,
}

impl<In, Out: Send + Sync + 'static> Opened<In, Out> {
    /// The listener's next message.
    pub async fn next(&mut self) -> Result<In, Failure> {
        soon(self.from.message())
            .await??
            .ok_or_else(|| "the listener ended the stream".into())
    }

    /// The next message, or none once the listener has ended the stream.
    pub async fn next_or_end(&mut self) -> Option<In> {
        self.from.message().await.ok().flatten()
    }

    /// Ends the answers; what the listener says can still be read.
    pub fn end(&mut self) {
        self.to = mpsc::channel(1).0;
    }

    pub async fn say(&self, message: Out) -> Result<(), Failure> {
        Ok(soon(self.to.send(Ok(message))).await??)
    }
}

pub type ConfigStream = Opened<v1::StreamConfigRequest, v1::StreamConfigResponse>;
pub type ReportStream = Opened<v1::ReportRequest, v1::ReportResponse>;

impl ConfigStream {
    pub async fn welcome(&self, epoch: &str, resume: bool) -> Result<(), Failure> {
        let epoch = epoch.to_owned();
        self.push(v1::stream_config_response::Kind::Welcome(
            v1::ConfigWelcome { epoch, resume },
        ))
        .await
    }

    pub async fn push(&self, kind: v1::stream_config_response::Kind) -> Result<(), Failure> {
        self.say(v1::StreamConfigResponse { kind: Some(kind) })
            .await
    }
}

impl ReportStream {
    pub async fn welcome(&self) -> Result<(), Failure> {
        self.welcome_of("").await
    }

    /// By a replica that names itself.
    pub async fn welcome_of(&self, replica: &str) -> Result<(), Failure> {
        self.push(v1::report_response::Kind::Welcome(v1::ReportWelcome {
            credit_callbacks: 1024,
            credit_bytes: 64 * 1024 * 1024,
            replica: bytes::Bytes::copy_from_slice(replica.as_bytes()),
        }))
        .await
    }

    pub async fn push(&self, kind: v1::report_response::Kind) -> Result<(), Failure> {
        self.say(v1::ReportResponse { kind: Some(kind) }).await
    }

    /// The next batch; what else comes is noted and passed over.
    pub async fn batch(&mut self) -> Result<v1::ReportBatch, Failure> {
        loop {
            let said = self.next().await?.kind;
            match said {
                Some(v1::report_request::Kind::Batch(batch)) => return Ok(batch),
                other => self.note(other).await?,
            }
        }
    }

    /// Notes counters and refusals.
    pub async fn note(&self, said: Option<v1::report_request::Kind>) -> Result<(), Failure> {
        use v1::report_request::Kind;
        let sequence = match said {
            Some(Kind::Counters(counters)) => counters.sequence,
            Some(Kind::Refusals(refusals)) => refusals.sequence,
            _ => return Ok(()),
        };
        self.push(v1::report_response::Kind::Noted(v1::ReportNoted {
            sequence,
        }))
        .await
    }

    /// Answers a whole batch alike.
    pub async fn answer(
        &self,
        batch: &v1::ReportBatch,
        answer: &v1::CallbackAnswer,
    ) -> Result<(), Failure> {
        self.push(v1::report_response::Kind::Batch(v1::ReportBatchAnswer {
            batch_id: batch.batch_id,
            callbacks: vec![answer.clone(); batch.callbacks.len()],
        }))
        .await
    }
}

/// See the module.
pub struct FakeControlPlane {
    pub address: SocketAddr,
    pub configs: mpsc::UnboundedReceiver<ConfigStream>,
    pub reports: mpsc::UnboundedReceiver<ReportStream>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for FakeControlPlane {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Services {
    configs: mpsc::UnboundedSender<ConfigStream>,
    reports: mpsc::UnboundedSender<ReportStream>,
}

impl FakeControlPlane {
    /// Anywhere.
    pub fn start() -> Result<Self, Failure> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Where one was before.
    pub fn start_at(address: SocketAddr) -> Result<Self, Failure> {
        let socket = std::net::TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        // Made once nothing can fail any more: a runtime must not be dropped where others run.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let (configs_in, configs) = mpsc::unbounded_channel();
        let (reports_in, reports) = mpsc::unbounded_channel();
        let services = || Services {
            configs: configs_in.clone(),
            reports: reports_in.clone(),
        };
        let server = tonic::transport::Server::builder()
            .add_service(ConfigServiceServer::new(services()))
            .add_service(
                ReportServiceServer::new(services()).max_decoding_message_size(128 * 1024 * 1024),
            );
        runtime.spawn(async move {
            let socket = tokio::net::TcpListener::from_std(socket).expect("non-blocking");
            // Ends with the runtime only.
            let _ = server
                .serve_with_incoming(TcpListenerStream::new(socket))
                .await;
        });
        Ok(Self {
            address,
            configs,
            reports,
            runtime: Some(runtime),
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn config(&mut self) -> Result<ConfigStream, Failure> {
        soon(self.configs.recv())
            .await?
            .ok_or_else(|| "the fake has ended".into())
    }

    pub async fn report(&mut self) -> Result<ReportStream, Failure> {
        soon(self.reports.recv())
            .await?
            .ok_or_else(|| "the fake has ended".into())
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn open<In, Out: Send + 'static>(
    request: Request<Streaming<In>>,
) -> (Opened<In, Out>, Response<Answers<Out>>) {
    let (to, answers) = mpsc::channel(64);
    let authorization = match request.metadata().get("authorization") {
        Some(value) => value.to_str().unwrap_or_default().to_owned(),
        None => String::new(),
    };
    let opened = Opened {
        from: request.into_inner(),
        to,
        authorization,
    };
    (
        opened,
        Response::new(Box::pin(ReceiverStream::new(answers))),
    )
}

fn gone<T>(_: T) -> Status {
    Status::unavailable("the test has ended")
}

#[tonic::async_trait]
impl ConfigService for Services {
    type StreamConfigStream = Answers<v1::StreamConfigResponse>;

    async fn stream_config(
        &self,
        request: Request<Streaming<v1::StreamConfigRequest>>,
    ) -> Result<Response<Self::StreamConfigStream>, Status> {
        let (opened, response) = open(request);
        self.configs.send(opened).map_err(gone)?;
        Ok(response)
    }

    async fn list_listeners(
        &self,
        _: Request<v1::ListListenersRequest>,
    ) -> Result<Response<v1::ListListenersResponse>, Status> {
        Err(Status::unimplemented("not asked for by listeners"))
    }
}

#[tonic::async_trait]
impl ReportService for Services {
    type ReportStream = Answers<v1::ReportResponse>;

    async fn report(
        &self,
        request: Request<Streaming<v1::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let (opened, response) = open(request);
        self.reports.send(opened).map_err(gone)?;
        Ok(response)
    }
}
