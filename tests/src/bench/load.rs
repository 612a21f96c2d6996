//! The load: one thread, many connections, every answer looked at.
//!
//! - Closed loop: each connection sends its next callback when the last one is answered. Says what a request costs.
//! - Open loop: a callback falls due at a steady rate, whatever the server does, and its latency counts from then. What waits for a
//!   connection because the server is slow is slow too.
//! - Cold: closed, with a connection for each callback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::Failure;
use super::callbacks::Callback;
use super::cores::CpuClock;

/// For one answer. A server that is slower fails the run.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Before a window is measured.
const WARM_UP: Duration = Duration::from_millis(50);
/// Sources of connections: the listener limits how much one address may send, and a provider sends from several.
const SOURCES: u64 = 64;
/// An answer's head is a few hundred bytes.
const MAX_ANSWER_BYTES: usize = 4096;

/// Where callbacks go, and what must come back.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) callback: Callback,
    pub(super) status: u16,
    /// A line of the answer's head, or nothing.
    pub(super) line: &'static str,
}

/// What was measured in one window.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) requests: u64,
    pub(super) seconds: f64,
    /// Of each clock that was given.
    pub(super) cpu: Vec<Duration>,
    /// Of an open loop, ascending.
    pub(super) latencies: Vec<Duration>,
}

/// Numbers callbacks and counts answers.
#[derive(Default)]
pub(super) struct Counters {
    next: AtomicU64,
    answered: AtomicU64,
}

impl Counters {
    fn next(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    /// Answers so far that were what they had to be.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }
}

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr, number: u64) -> Result<Self, Failure> {
        let socket = TcpSocket::new_v4()?;
        // Below 256 by the remainder.
        let source = Ipv4Addr::new(127, 0, 1, (1 + number % SOURCES) as u8);
        socket.bind((source, 0).into())?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            answer: Vec::with_capacity(MAX_ANSWER_BYTES),
        })
    }

    /// Sends a callback, and takes the answer only if it is the one that is due.
    async fn exchange(&mut self, target: &mut Target, counters: &Counters) -> Result<(), Failure> {
        let bytes = target.callback.numbered(counters.next());
        self.stream.write_all(bytes).await?;
        self.answer.clear();
        let head = loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err("the server closed the connection before its answer".into());
            }
            if let Some(head) = Head::read(&self.answer)? {
                break head;
            }
            if self.answer.len() > MAX_ANSWER_BYTES {
                return Err("the answer's head does not end".into());
            }
        };
        while self.answer.len() < head.end + head.body_bytes {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err("the server closed the connection within its answer".into());
            }
        }
        let text = std::str::from_utf8(&self.answer[..head.end])?;
        if head.status != target.status || !text.contains(target.line) {
            return Err(format!(
                "expected {} {:?}, the answer was {text:?}",
                target.status, target.line
            )
            .into());
        }
        counters.answered.fetch_add(1, Relaxed);
        Ok(())
    }
}

struct Head {
    status: u16,
    end: usize,
    body_bytes: usize,
}

impl Head {
    /// None until it is whole.
    fn read(answer: &[u8]) -> Result<Option<Self>, Failure> {
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&answer[..end])?;
        let status = text
            .get(9..12)
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| format!("no answer of HTTP/1.1: {text:?}"))?;
        let body_bytes = match text.split_once("\r\ncontent-length: ") {
            Some((_, rest)) => rest.split("\r\n").next().unwrap_or(rest).parse()?,
            None => return Err(format!("an answer without its length: {text:?}").into()),
        };
        Ok(Some(Self {
            status,
            end: end + 4,
            body_bytes,
        }))
    }
}

async fn in_time<T>(what: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(ANSWER_TIMEOUT, what)
        .await
        .map_err(|_| format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))?
}

/// One callback on a connection of its own.
pub(super) async fn probe(target: &Target, counters: &Counters) -> Result<(), Failure> {
    in_time(async {
        let mut connection = Connection::open(target.address, 0).await?;
        connection.exchange(&mut target.clone(), counters).await
    })
    .await
}

/// Each connection as fast as it is answered; with `cold`, each callback on a connection of its own.
pub(super) async fn closed(
    target: &Target,
    connections: u64,
    cold: bool,
    length: Duration,
    clocks: &[CpuClock],
    counters: &Arc<Counters>,
) -> Result<Window, Failure> {
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        let (mut target, counters, over) = (target.clone(), counters.clone(), over.clone());
        tasks.spawn(async move {
            let mut kept: Option<Connection> = None;
            let mut opened = number;
            while !over.load(Relaxed) {
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => Connection::open(target.address, opened).await?,
                };
                in_time(connection.exchange(&mut target, &counters)).await?;
                opened += connections;
                if !cold {
                    kept = Some(connection);
                }
            }
            Ok::<_, Failure>(())
        });
    }
    let measured = async {
        sleep(WARM_UP).await;
        let measure = Measure::start(clocks)?;
        let before = counters.answered();
        sleep(length).await;
        loop {
            let window = measure.end(counters.answered() - before)?;
            // On a busy machine the server may not have had its turn yet, and a window that saw nothing has no figures. A server that doesn't
            // answer at all ends its connection, and so the window.
            if window.requests > 0 && window.cpu.first().is_some_and(|used| !used.is_zero()) {
                return Ok::<_, Failure>(window);
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    // A connection that fails ends the window at once.
    let window = tokio::select! {
        window = measured => window?,
        Some(ended) = tasks.join_next() => {
            ended??;
            return Err("a connection ended by itself".into());
        }
    };
    over.store(true, Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(window)
}

/// `rate` callbacks a second, due at even distances.
pub(super) async fn open(
    target: &Target,
    connections: u64,
    rate: u32,
    length: Duration,
    clocks: &[CpuClock],
    counters: &Arc<Counters>,
) -> Result<Window, Failure> {
    let (fall_due, queue) = unbounded_channel::<Instant>();
    let queue = Arc::new(Mutex::new(queue));
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        let (mut target, counters, queue) = (target.clone(), counters.clone(), queue.clone());
        tasks.spawn(async move {
            let mut connection = Connection::open(target.address, number).await?;
            let mut latencies = Vec::new();
            loop {
                // Whoever is free takes the next.
                let next = queue.lock().await.recv().await;
                let Some(due) = next else {
                    return Ok::<_, Failure>(latencies);
                };
                in_time(connection.exchange(&mut target, &counters)).await?;
                latencies.push(due.elapsed());
            }
        });
    }
    let measure = Measure::start(clocks)?;
    let start = Instant::now();
    let every = Duration::from_secs(1) / rate;
    let mut next = start;
    while next < start + length {
        // This core has nothing else to do, and timers are too coarse.
        while Instant::now() < next {
            tokio::task::yield_now().await;
        }
        fall_due.send(next)?;
        next += every;
    }
    drop(fall_due);
    let mut latencies = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        latencies.extend(ended??);
    }
    latencies.sort_unstable();
    let mut window = measure.end(latencies.len() as u64)?;
    window.latencies = latencies;
    Ok(window)
}

struct Measure<'a> {
    start: Instant,
    clocks: &'a [CpuClock],
    before: Vec<Duration>,
}

impl<'a> Measure<'a> {
    fn start(clocks: &'a [CpuClock]) -> Result<Self, Failure> {
        let before = clocks
            .iter()
            .map(|clock| clock.now())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            start: Instant::now(),
            clocks,
            before,
        })
    }

    fn end(&self, requests: u64) -> Result<Window, Failure> {
        let seconds = self.start.elapsed().as_secs_f64();
        let after = self.clocks.iter().map(|clock| clock.now());
        let used = after
            .zip(&self.before)
            .map(|(after, before)| Ok(after? - *before));
        Ok(Window {
            requests,
            seconds,
            cpu: used.collect::<Result<_, Failure>>()?,
            latencies: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Answers whatever comes on each connection with these bytes.
    async fn answering(answer: &'static str) -> Result<SocketAddr, Failure> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = socket.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while let Ok(1..) = stream.read(&mut request).await {
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Ok(address)
    }

    async fn window(answer: &'static str, line: &'static str) -> Result<Window, Failure> {
        let target = Target {
            address: answering(answer).await?,
            callback: Callback::new("/", "push", 300, false),
            status: 200,
            line,
        };
        let counters = Arc::default();
        let length = Duration::from_millis(20);
        let clocks = [CpuClock::of(std::process::id())?];
        closed(&target, 2, true, length, &clocks, &counters).await?;
        open(&target, 2, 100, length, &clocks, &counters).await?;
        closed(&target, 2, false, length, &clocks, &counters).await
    }

    #[tokio::test]
    async fn only_the_answer_that_is_due_counts() -> Result<(), Failure> {
        let kept = "HTTP/1.1 200 OK\r\nreceipt: synced\r\ncontent-length: 2\r\n\r\nok";
        let line = "\r\nreceipt: synced\r\n";
        assert!(window(kept, line).await?.requests > 0);
        for wrong in [
            "HTTP/1.1 503 Service Unavailable\r\nreceipt: synced\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nreceipt: synced\r\n\r\n",
        ] {
            assert!(window(wrong, line).await.is_err(), "{wrong}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn latency_counts_from_when_a_callback_was_due() -> Result<(), Failure> {
        // One connection and far more callbacks than it can take: what waits for it is late.
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let target = Target {
            address: answering(answer).await?,
            callback: Callback::new("/", "push", 300, false),
            status: 200,
            line: "",
        };
        let length = Duration::from_millis(20);
        let window = open(&target, 1, 100_000, length, &[], &Arc::default()).await?;
        assert_eq!(window.requests, 2000);
        let (first, last) = (window.latencies[0], window.latencies[1999]);
        let answered_one_by_one = window.latencies.iter().sum::<Duration>() / 2000;
        assert!(first < answered_one_by_one && answered_one_by_one < last);
        Ok(())
    }
}
