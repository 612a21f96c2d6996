//! How the server is called: with any token or certificate, and by any method.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use hookplane_control_plane::access::Authorities;
use hookplane_tests::clock::TestClock;
use hookplane_tests::pki::Pki;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Request, Status, Streaming};

use crate::fake_control_plane::{Failure, soon};

#[derive(Clone)]
pub(super) struct Bearer(pub(super) Option<MetadataValue<Ascii>>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            let value = value.clone();
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

pub(super) type Wire = InterceptedService<Channel, Bearer>;

/// Messages as they are, so that every method of the protos can be called.
#[derive(Clone, Copy)]
pub(super) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// An open call of any method.
pub(super) struct Call {
    /// Kept open: some methods end with what they are sent.
    pub(super) _to: Option<mpsc::Sender<Bytes>>,
    pub(super) from: Streaming<Bytes>,
}

impl Call {
    /// The next message; none at a good end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let next = soon(self.from.message()).await;
        next.unwrap_or_else(|error| Err(Status::deadline_exceeded(error.to_string())))
    }
}

pub(super) fn tls(
    pki: &Pki,
    authorities: &Arc<Authorities>,
    clock: &Arc<TestClock>,
) -> Result<Arc<rustls::ServerConfig>, Failure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(pki.path("api", "crt"))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(pki.path("api", "key"))?;
    let mut config = rustls::ServerConfig::builder_with_details(provider, clock.clone())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(authorities.clone())
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

pub(super) async fn connect(url: &str, pki: &Pki, shown: Option<&str>) -> Result<Channel, Failure> {
    let mut tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(std::fs::read(pki.ca_file())?));
    if let Some(name) = shown {
        let read = |extension| std::fs::read(pki.path(name, extension));
        tls = tls.identity(Identity::from_pem(read("crt")?, read("key")?));
    }
    let endpoint = Channel::from_shared(url.to_owned())?.tls_config(tls)?;
    Ok(soon(endpoint.connect()).await??)
}
