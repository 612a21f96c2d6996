//! What can be told of connections without a plan: hyper's own answers, times and bounds.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::*;
use crate::fake_control_plane::{Failure, soon};
use crate::testing::{Fixed, config};

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(limits: Limits) -> Result<Server, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (state, _reports) = State::new(&config("http://127.0.0.1:1", limits), Arc::new(Fixed(0)));
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(run(listener, None, state, shutdown.clone()));
    Ok(Server {
        address,
        shutdown,
        task,
    })
}

async fn read_all(stream: &mut TcpStream) -> Result<String, Failure> {
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await??;
    Ok(text)
}

#[tokio::test]
async fn ten_thousand_headers_are_answered_431_that_the_caller_can_read() -> Result<(), Failure> {
    let server = start(Limits::default()).await?;
    let mut stream = TcpStream::connect(server.address).await?;
    let mut request = String::from("POST /x HTTP/1.1\r\nhost: a\r\n");
    for n in 0..10_000 {
        request.push_str(&format!("x-{n}: {n}\r\n"));
    }
    request.push_str("\r\n");
    // All of it is sent before a byte is read: a connection closed at once would be reset, and the answer lost.
    soon(stream.write_all(request.as_bytes())).await??;
    let answer = read_all(&mut stream).await?;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    Ok(())
}

#[tokio::test]
async fn one_endless_header_is_answered_431_that_the_caller_can_read() -> Result<(), Failure> {
    let server = start(Limits::default()).await?;
    let mut stream = TcpStream::connect(server.address).await?;
    let request = format!("POST /x HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1_000_000));
    soon(stream.write_all(request.as_bytes())).await??;
    let answer = read_all(&mut stream).await?;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    Ok(())
}

#[tokio::test]
async fn what_is_no_http_is_answered_400() -> Result<(), Failure> {
    let server = start(Limits::default()).await?;
    let mut stream = TcpStream::connect(server.address).await?;
    stream.write_all(b"\xff\xfe\x00 what\r\n\r\n").await?;
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await??;
    assert!(answer.starts_with(b"HTTP/1.1 400 "));
    Ok(())
}

// Whoever opens connections and says nothing keeps nobody out.
#[tokio::test]
async fn idle_connections_give_their_places_up_for_one_that_asks() -> Result<(), Failure> {
    let limits = Limits {
        max_connections: 4,
        head_timeout: Duration::from_secs(3_600),
        ..Limits::default()
    };
    let server = start(limits).await?;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(server.address).await?);
    }
    for _ in 0..5 {
        let mut stream = TcpStream::connect(server.address).await?;
        let request = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = [0; 9];
        soon(stream.read_exact(&mut answer)).await??;
        assert_eq!(&answer, b"HTTP/1.1 ");
        idle.push(stream);
    }
    Ok(())
}

#[tokio::test]
async fn a_head_that_does_not_end_in_time_is_given_up() -> Result<(), Failure> {
    let limits = Limits {
        head_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = start(limits).await?;
    // Nothing at all; a part of the HTTP/2 preface; a part of an HTTP/1 head; HTTP/2 without a request.
    let beginnings: [&[u8]; 4] = [
        b"",
        b"PRI * HT",
        b"POST /x HTTP/1.1\r\nhost: a\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    ];
    for beginning in beginnings {
        let mut stream = TcpStream::connect(server.address).await?;
        stream.write_all(beginning).await?;
        let mut rest = Vec::new();
        soon(stream.read_to_end(&mut rest)).await??;
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{rest:?}");
    }
    Ok(())
}

#[tokio::test]
async fn of_more_connections_than_there_are_places_the_first_idle_one_is_ended()
-> Result<(), Failure> {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let server = start(limits).await?;
    let mut first = TcpStream::connect(server.address).await?;
    first.write_all(b"POST /x HTTP/1.1\r\n").await?;
    let mut second = TcpStream::connect(server.address).await?;
    second.write_all(b"nonsense\r\n\r\n").await?;
    let answer = read_all(&mut second).await?;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    // Closed or reset, and never answered.
    let mut byte = [0; 1];
    let ended = soon(first.read(&mut byte)).await?;
    assert!(ended.is_err() || ended.is_ok_and(|read| read == 0));
    Ok(())
}

// Risk 22: shutdown hangs.
#[tokio::test]
async fn a_stalled_client_does_not_hold_up_the_shutdown() -> Result<(), Failure> {
    let limits = Limits {
        // Nothing else ends it.
        head_timeout: Duration::from_secs(3600),
        drain: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = start(limits).await?;
    let mut idle = TcpStream::connect(server.address).await?;
    let mut stalled = TcpStream::connect(server.address).await?;
    stalled
        .write_all(b"POST /x HTTP/1.1\r\nhost: a\r\n")
        .await?;
    server.shutdown.cancel();
    soon(server.task).await??;
    let mut rest = Vec::new();
    soon(idle.read_to_end(&mut rest)).await??;
    assert!(rest.is_empty());
    let refused = TcpStream::connect(server.address).await;
    assert!(refused.is_err(), "still accepting");
    Ok(())
}
