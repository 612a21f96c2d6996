//! One request over HTTP/1.1, and its answer.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hookplane_console::trial::Sample;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;

use crate::failure::Failure;

/// For the listener's whole answer.
const POST_TIMEOUT: Duration = Duration::from_secs(30);
/// What a listener answers is short.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How long what fills a body up is held back. Whoever refuses it by its announced length has answered by then; one who answers and closes while
/// more comes may have his answer lost.
const HELD_BACK: Duration = Duration::from_millis(500);
const CHUNK: &[u8] = &[b' '; 64 * 1024];

/// A body, filled up.
struct Padded {
    body: Bytes,
    left: u64,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Padded {
    fn new(body: Bytes, padded_to: u64) -> Self {
        Self {
            left: padded_to.saturating_sub(body.len() as u64),
            body,
            pause: None,
        }
    }
}

impl Body for Padded {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.body.is_empty() {
            let body = std::mem::take(&mut self.body);
            return Poll::Ready(Some(Ok(Frame::data(body))));
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(HELD_BACK)));
        ready!(pause.as_mut().poll(cx));
        let length = usize::try_from(self.left).map_or(CHUNK.len(), |left| left.min(CHUNK.len()));
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&CHUNK[..length])))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty() && self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.len() as u64 + self.left)
    }
}

/// Posts it, over TLS that is asked for only where the URL says so. What is not an answer is an error that names the URL.
pub(crate) async fn post(
    sample: Sample,
    tls: impl FnOnce() -> Result<Arc<ClientConfig>, String>,
) -> Result<Response<Bytes>, Failure> {
    let url = sample.url.clone();
    tokio::time::timeout(POST_TIMEOUT, exchange(sample, tls))
        .await
        .map_err(|_| {
            Failure::new(format!(
                "{url} did not answer in {} s",
                POST_TIMEOUT.as_secs()
            ))
        })?
}

async fn exchange(
    sample: Sample,
    tls: impl FnOnce() -> Result<Arc<ClientConfig>, String>,
) -> Result<Response<Bytes>, Failure> {
    let url = sample.url;
    let failed = |what: String| Failure::new(format!("post to {url}: {what}"));
    let uri: Uri = url.parse().map_err(|_| failed("not a URL".to_owned()))?;
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let tls = match uri.scheme_str() {
        Some("http") => None,
        Some("https") => Some(TlsConnector::from(tls().map_err(Failure::new)?)),
        _ => {
            return Err(failed(
                "it begins with neither https:// nor http://".to_owned(),
            ));
        }
    };
    let port = uri
        .port_u16()
        .unwrap_or(if tls.is_some() { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(|error| {
            failed(error.to_string()).hint("is the listener running? `hookplane get listeners`")
        })?;
    let stream = match tls {
        None => Either::Left(stream),
        Some(tls) => {
            let name = ServerName::try_from(host).map_err(|error| failed(error.to_string()))?;
            let stream = tls.connect(name, stream).await;
            Either::Right(stream.map_err(|error| failed(error.to_string()))?)
        }
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(error.to_string()))?;
    // Ends when the sender is dropped; what goes wrong shows in the answer.
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(sample.method.as_str())
        .uri(path)
        .header("host", authority);
    for (name, value) in &sample.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Padded::new(sample.body, sample.padded_to))
        .map_err(|error| failed(error.to_string()))?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES)
        .collect()
        .await
        .map_err(|error| failed(error.to_string()))?
        .to_bytes();
    Ok(Response::from_parts(head, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_http_and_https_are_posted_to() {
        for url in ["ftp://hooks.example.com/x", "nonsense"] {
            let sample = Sample {
                method: "POST".into(),
                url: url.into(),
                headers: vec![],
                body: Bytes::new(),
                padded_to: 0,
            };
            let no_tls = || Err("not asked for".to_owned());
            assert!(post(sample, no_tls).await.is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn a_body_is_filled_up_to_what_it_announces() {
        let body = Padded::new(Bytes::from_static(b"{}"), 200_000);
        assert_eq!(body.size_hint().exact(), Some(200_000));
        let collected = body.collect().await.unwrap().to_bytes();
        assert_eq!(collected.len(), 200_000);
        assert!(collected.starts_with(b"{} "));
    }
}
