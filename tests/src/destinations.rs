//! Where deliveries go in tests: a scripted receiver on this machine, and the client that reaches it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookplane_control_plane::dispatch::client::{HttpClient, Names, Networks};
use hookplane_control_plane::outgoing::OutgoingTls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The largest request that a receiver reads.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// To loopback alone, without TLS.
pub fn client() -> HttpClient {
    let none: OutgoingTls = Arc::new(|| Err("nobody here speaks TLS".to_owned()));
    HttpClient::new(Networks::loopback(), none, Names::default())
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Received {
    /// From 0.
    pub number: usize,
    /// Lower-case names.
    pub headers: BTreeMap<String, String>,
    /// As it came.
    pub body: Vec<u8>,
}

impl Received {
    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What comes back.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status.
    Status(u16),
    /// A status, a header line, and a body.
    With(u16, String, String),
    /// The connection is closed.
    Closed,
    /// Nothing, ever.
    Never,
    /// A status after a while.
    After(Duration, u16),
}

type Script = Box<dyn FnMut(&Received) -> Reply + Send>;

struct Shared {
    received: Mutex<Vec<Received>>,
    script: Mutex<Script>,
}

/// Takes what is posted, and answers as its script says. Ends with this.
pub struct Receiver {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// On a port of its own.
    pub async fn start(
        script: impl FnMut(&Received) -> Reply + Send + 'static,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", socket.local_addr()?);
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            script: Mutex::new(Box::new(script)),
        });
        let of_serving = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = socket.accept().await {
                connections.spawn(serve(stream, Arc::clone(&of_serving)));
            }
        });
        Ok(Self {
            url,
            shared,
            serving,
        })
    }

    /// Another script from now on.
    pub fn say(&self, script: impl FnMut(&Received) -> Reply + Send + 'static) {
        *self
            .shared
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Box::new(script);
    }

    /// All that came, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many came.
    pub fn count(&self) -> usize {
        self.shared
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    while let Some((headers, body)) = request(&mut stream, &mut buffer).await {
        let reply = {
            let mut received = shared
                .received
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let one = Received {
                number: received.len(),
                headers,
                body,
            };
            received.push(one.clone());
            drop(received);
            (shared.script.lock().unwrap_or_else(PoisonError::into_inner))(&one)
        };
        let (status, header, body) = match reply {
            Reply::Status(status) => (status, String::new(), String::new()),
            Reply::With(status, header, body) => (status, header, body),
            Reply::After(time, status) => {
                tokio::time::sleep(time).await;
                (status, String::new(), String::new())
            }
            Reply::Closed => return,
            Reply::Never => return std::future::pending().await,
        };
        let header = if header.is_empty() {
            header
        } else {
            format!("{header}\r\n")
        };
        let answer = format!(
            "HTTP/1.1 {status} Said\r\n{header}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> Option<(BTreeMap<String, String>, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let headers: BTreeMap<String, String> = head
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let length: usize = headers
                .get("content-length")
                .map_or(Some(0), |n| n.parse().ok())?;
            let whole = end + 4 + length;
            while buffer.len() < whole {
                read(stream, buffer).await?;
            }
            let body = buffer[end + 4..whole].to_vec();
            buffer.drain(..whole);
            return Some((headers, body));
        }
        read(stream, buffer).await?;
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let count = stream.read_buf(buffer).await.ok()?;
    (count > 0 && buffer.len() <= MAX_BYTES).then_some(())
}
