//! An org of Salesforce's, stubbed: real HTTP on loopback, with objects, records and an index by external id.
//!
//! **Built from the documented shapes of the REST API, and never run against an org.** What it answers is what the documentation and its examples
//! say; where they say nothing it is a guess, and an org may do otherwise. Messages are near enough, codes and statuses are meant to be exact.
//!
//! ```text
//!   HTTP ─▶ fault? ─▶ token ─▶ limit ─▶ graph │ rest ─▶ save (types, lookups, required, unique, locks) ─▶ records
//! ```
//!
//! It has: the token endpoint (client credentials; JWT bearer, its signature checked); rows by id and by external id; collections; graphs that are
//! taken back whole; 300 where several match; errors row by row; tokens that expire; the day's limit; rows that are locked, and rows that lock each other
//! out while requests are under way; platform events; descriptions with `Last-Modified`. It hasn't: queries, triggers, duplicate rules, permissions.

mod graph;
mod org;
mod rest;
mod save;
mod token;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

pub use org::{Fault, Field, Fields, Kind, Object, Org, Seen, plain};
use rest::{Path, decoded, errors};
pub use token::App;

/// Ends with this.
pub struct Stub {
    /// Where it takes connections.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    org: Mutex<Org>,
    url: String,
    /// How long a request that writes keeps its records locked.
    pace: Mutex<Duration>,
}

impl Shared {
    fn org(&self) -> MutexGuard<'_, Org> {
        self.org.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stub {
    /// On a free port of loopback.
    pub async fn start(org: Org) -> io::Result<Self> {
        Self::on(([127, 0, 0, 1], 0).into(), org).await
    }

    /// On this address.
    pub async fn on(address: SocketAddr, org: Org) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            org: Mutex::new(org),
            url: format!("http://{address}"),
            pace: Mutex::default(),
        });
        let serving = serve(listener, Arc::clone(&shared));
        Ok(Self {
            address,
            shared,
            _task: AbortOnDropHandle::new(tokio::spawn(serving)),
        })
    }

    /// `http://127.0.0.1:49152`
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// The org, to look at and to change. Requests wait meanwhile.
    pub fn org(&self) -> MutexGuard<'_, Org> {
        self.shared.org()
    }

    /// From now on a request that writes keeps its records locked for so long.
    pub fn set_pace(&self, pace: Duration) {
        *self
            .shared
            .pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = pace;
    }

    /// The next request whose path has this text goes wrong.
    pub fn fail(&self, path: &str, fault: Fault) {
        self.org().faults.push_back((path.to_owned(), fault));
    }

    /// Requests so far whose path has this text.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.org()
            .seen
            .iter()
            .filter(|seen| seen.path.contains(path))
            .cloned()
            .collect()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Ends them all when it is dropped.
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => return,
            },
            Some(_) = connections.join_next() => continue,
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&shared)));
            // A client that is gone is no fault of the stub's, and a fault that was asked for is none either.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

type Body = Full<Bytes>;

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    let path = head
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let headers = plain_headers(&head.headers);
    let method = head.method.as_str();
    let fault = {
        let mut org = shared.org();
        org.seen.push(Seen {
            method: method.to_owned(),
            path: path.clone(),
            headers: headers.clone(),
            body: text.clone(),
        });
        org.fault(&path)
    };
    match fault {
        Some(Fault::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::Silence) => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
        Some(Fault::Answer(status, body)) => return Ok(reply(status, &[], body)),
        Some(Fault::AnswerWith(status, header, body)) => {
            return Ok(reply(status, &[(header.0, header.1.to_owned())], body));
        }
        Some(Fault::Expired) => shared.org().app.tokens.clear(),
        Some(Fault::ResetAfterwards) | None => {}
    }
    let (answered, locked) = {
        let mut org = shared.org();
        let answered = routed(&mut org, &shared.url, method, &path, &headers, &text);
        let locked = std::mem::take(&mut org.locking);
        org.held.extend(locked.iter().cloned());
        (answered, locked)
    };
    let pace = *shared.pace.lock().unwrap_or_else(PoisonError::into_inner);
    if !locked.is_empty() && !pace.is_zero() {
        tokio::time::sleep(pace).await;
    }
    {
        let mut org = shared.org();
        for id in &locked {
            if let Some(place) = org.held.iter().position(|held| held == id) {
                org.held.swap_remove(place);
            }
        }
    }
    if matches!(fault, Some(Fault::ResetAfterwards)) {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    Ok(answered)
}

fn routed(
    org: &mut Org,
    url: &str,
    method: &str,
    path: &str,
    headers: &BTreeMap<String, String>,
    body: &str,
) -> Response<Body> {
    if path == "/services/oauth2/token" {
        let (status, granted) = org.app.grant(url, &form(body));
        return reply(status, &[], granted.to_string());
    }
    // For people who look at the stub; Salesforce has nothing like it.
    if path == "/records" {
        return reply(200, &[], all_records(org));
    }
    let Some(rest) = path
        .strip_prefix("/services/data/")
        .and_then(|rest| rest.split_once('/'))
    else {
        return reply(
            404,
            &[],
            errors("NOT_FOUND", "The requested resource does not exist").to_string(),
        );
    };
    if !org.app.admits(headers.get("authorization")) {
        return reply(
            401,
            &[],
            errors("INVALID_SESSION_ID", "Session expired or invalid").to_string(),
        );
    }
    if org.calls.0 >= org.calls.1 {
        return reply(
            403,
            &[],
            errors("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.").to_string(),
        );
    }
    org.calls.0 += 1;
    let mut more = vec![(
        "Sforce-Limit-Info",
        format!("api-usage={}/{}", org.calls.0, org.calls.1),
    )];
    let wanted = Path::parse(rest.1);
    if let ("GET", [first, object, last]) = (method, &wanted.segments[..])
        && first == "sobjects"
        && last == "describe"
        && let Some(changed) = org.objects.get(object).map(|object| object.changed.clone())
    {
        if headers.get("if-modified-since") == Some(&changed) {
            return reply(304, &more, String::new());
        }
        more.push(("Last-Modified", changed));
    }
    let (status, value) = if method == "POST" && wanted.segments == ["composite", "graph"] {
        org.graphs(body)
    } else {
        org.answer(method, &wanted, body)
    };
    let body = if value == Value::Null {
        String::new()
    } else {
        value.to_string()
    };
    reply(status, &more, body)
}

fn reply(status: u16, more: &[(&str, String)], body: String) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if !body.is_empty() {
        response = response.header(header::CONTENT_TYPE, "application/json;charset=UTF-8");
    }
    for (name, value) in more {
        response = response.header(*name, value);
    }
    // Statuses and headers are the test's, and a test that writes them wrong should stop.
    response
        .body(Full::new(Bytes::from(body)))
        .expect("an HTTP answer")
}

fn plain_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
}

fn form(body: &str) -> BTreeMap<String, String> {
    body.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(&value.replace('+', " "))))
        .collect()
}

/// Every object's records, as they are kept.
fn all_records(org: &Org) -> String {
    let record = |(id, fields): (&String, &Fields)| {
        let mut parts = vec![format!("\"Id\":{}", json!(id))];
        parts.extend(
            fields
                .iter()
                .map(|(name, value)| format!("{}:{value}", json!(name))),
        );
        format!("{{{}}}", parts.join(","))
    };
    let objects = org.objects.iter().map(|(name, object)| {
        let records: Vec<String> = object.records.iter().map(record).collect();
        format!("{}:[{}]", json!(name), records.join(",\n  "))
    });
    format!("{{{}}}\n", objects.collect::<Vec<_>>().join(",\n"))
}
