//! For tests: the whole console before an API that answers as it is told, and a clock that stands.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use hookplane_proto::v1::{self, TokenRole};
use http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use prost::Message;
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};

use crate::trial::{Poster, Posting, Sample};
use crate::{Console, SessionKey, SignInLinks};

/// What a call is answered: a message, or why not.
type Said = Result<Vec<u8>, Code>;

#[derive(Clone)]
pub(crate) struct Rig {
    router: Router,
    pub(crate) links: SignInLinks,
    now: Arc<AtomicI64>,
    said: Arc<Mutex<HashMap<&'static str, Said>>>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Rig {
    /// The API lets everybody in, as an admin, and knows no other call yet.
    pub(crate) fn new() -> Self {
        let now = Arc::new(AtomicI64::new(1_000_000));
        let said = Arc::new(Mutex::new(HashMap::new()));
        let (answers, clock) = (said.clone(), now.clone());
        let api = service_fn(move |request: Request<tonic::body::Body>| {
            let call = request.uri().path().rsplit('/').next().unwrap_or_default();
            let said = answers.lock().unwrap().get(call).cloned();
            let answer = said.unwrap_or(Err(Code::Unimplemented));
            async move { Ok(response(answer)) }
        });
        let links = SignInLinks::default();
        let router = crate::router(Console {
            api: BoxCloneSyncService::new(api),
            sessions: SessionKey::new([7; 32]),
            links: links.clone(),
            poster: Arc::new(Nowhere),
            now: Arc::new(move || clock.load(Ordering::Relaxed)),
            tls: false,
        });
        let rig = Self {
            router,
            links,
            now,
            said,
        };
        rig.admits(TokenRole::Admin);
        rig
    }

    pub(crate) fn admits(&self, role: TokenRole) {
        let who = v1::WhoAmIResponse {
            role: role.into(),
            ..Default::default()
        };
        self.says("WhoAmI", &who);
    }

    pub(crate) fn says(&self, call: &'static str, answer: &impl Message) {
        let mut said = self.said.lock().unwrap();
        said.insert(call, Ok(answer.encode_to_vec()));
    }

    pub(crate) fn refuses(&self, call: &'static str, code: Code) {
        self.said.lock().unwrap().insert(call, Err(code));
    }

    pub(crate) fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn wait(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str, cookie: &str) -> Answer {
        let cookie = [(COOKIE.as_str(), cookie)];
        self.ask("GET", path, &cookie, String::new()).await
    }

    /// A form of the same site.
    pub(crate) async fn post(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let headers = [
            (COOKIE.as_str(), cookie),
            ("sec-fetch-site", "same-origin"),
            (CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded"),
        ];
        self.ask("POST", path, &headers, body.finish()).await
    }

    /// Signed in: the cookie, as it is sent.
    pub(crate) async fn signed_in(&self, token: &str) -> String {
        let answer = self.post("/sign-in", "", &[("token", token)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        answer.cookie().expect("a session begins")
    }
}

impl Answer {
    /// The first cookie that is set, as it is sent.
    pub(crate) fn cookie(&self) -> Option<String> {
        let set = self.headers.get(SET_COOKIE)?.to_str().unwrap();
        set.split(';').next().map(str::to_owned)
    }

    /// Of the page's forms.
    pub(crate) fn mark(&self) -> String {
        let (_, rest) = self.text.split_once(r#"name="mark" value=""#).unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

/// One message, or a refusal, as gRPC has it.
fn response(said: Said) -> http::Response<tonic::body::Body> {
    let message = match said {
        Ok(message) => message,
        Err(code) => return Status::new(code, format!("said {code:?}")).into_http(),
    };
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(message.len().try_into().unwrap());
    framed.extend_from_slice(&message);
    let ok = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        http::HeaderValue::from_static("0"),
    )]);
    let frames = [Frame::data(framed.freeze()), Frame::trailers(ok)];
    let frames = frames.map(Ok::<Frame<Bytes>, Status>);
    let body = StreamBody::new(tokio_stream::iter(frames));
    http::Response::builder()
        .header(CONTENT_TYPE, "application/grpc")
        .body(tonic::body::Body::new(body))
        .unwrap()
}

struct Nowhere;

impl Poster for Nowhere {
    fn post(&self, _: &str, _: Sample) -> Posting {
        unreachable!("no test posts")
    }
}
