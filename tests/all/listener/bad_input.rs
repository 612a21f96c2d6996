//! What a careless or hostile caller may send: each gets its answer, and none costs more than its bound.

use std::time::{Duration, Instant};

use hookplane_listener::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{Answer, Rig, TOKEN, headers, read_answer, sign};
use crate::fake_control_plane::{Failure, soon};

const BODY: &[u8] = b"{\"a\": \"\\u00e9\", \"n\": 12.50}\r\n";

fn head(extra: &str) -> String {
    let signature = sign(BODY);
    let mut text = format!("POST /c/{TOKEN} HTTP/1.1\r\nhost: a\r\n");
    for (name, value) in headers(&signature) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(extra);
    text.push_str("\r\n");
    text
}

async fn send(rig: &Rig, bytes: &[u8]) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(rig.address).await?;
    soon(stream.write_all(bytes)).await??;
    Ok(stream)
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}

#[tokio::test]
async fn a_body_of_64_mib_is_refused_at_once_and_the_caller_can_read_it() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let mut stream = send(&rig, head("content-length: 67108864\r\n").as_bytes()).await?;
    let began = Instant::now();
    // Ten times as much as a socket's buffers take, before a byte is read.
    let chunk = vec![b' '; 1024 * 1024];
    let mut sent = 0;
    while sent < 64 && stream.write_all(&chunk).await.is_ok() {
        sent += 1;
    }
    let mut answer = [0; 12];
    soon(stream.read_exact(&mut answer)).await??;
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(rig.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_chunked_body_above_the_limit_is_413() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let mut bytes = head("transfer-encoding: chunked\r\n").into_bytes();
    for _ in 0..3 {
        bytes.extend(chunk(&vec![b' '; 1024 * 1024]));
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let mut stream = send(&rig, &bytes).await?;
    let mut answer = [0; 12];
    soon(stream.read_exact(&mut answer)).await??;
    assert_eq!(&answer, b"HTTP/1.1 413");
    Ok(())
}

// Risk 34: the raw bytes are what is verified, however they were cut.
#[tokio::test]
async fn a_body_in_many_chunks_is_verified_as_it_came() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let mut bytes = head("transfer-encoding: chunked\r\nconnection: close\r\n").into_bytes();
    for byte in BODY {
        bytes.extend(chunk(&[*byte]));
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let answer = read_answer(&mut send(&rig, &bytes).await?).await?;
    assert_eq!(answer.status, 202);
    assert_eq!(&rig.seen()[0].body[..], BODY);
    Ok(())
}

#[tokio::test]
async fn broken_chunks_are_400_and_the_connection_ends() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let mut bytes = head("transfer-encoding: chunked\r\n").into_bytes();
    bytes.extend_from_slice(b"zz\r\nnonsense\r\n");
    let answer = read_answer(&mut send(&rig, &bytes).await?).await?;
    assert_eq!(answer.status, 400);
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_never_kept() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let mut bytes = head("content-length: 1000\r\n").into_bytes();
    bytes.extend_from_slice(BODY);
    let mut stream = send(&rig, &bytes).await?;
    stream.shutdown().await?;
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await??;
    assert!(!rest.starts_with(b"HTTP/1.1 2"));
    assert!(rig.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_slow_head_ends_the_connection_and_a_slow_body_is_408() -> Result<(), Failure> {
    let limits = Limits {
        head_timeout: Duration::from_millis(200),
        body_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let rig = Rig::start(limits).await?;
    let mut slow_head = send(&rig, &head("").as_bytes()[..40]).await?;
    let mut slow_body = send(&rig, head("content-length: 100\r\n").as_bytes()).await?;
    let answer = read_answer(&mut slow_body).await?;
    assert_eq!(answer.status, 408);
    let mut rest = Vec::new();
    soon(slow_head.read_to_end(&mut rest)).await??;
    assert!(rest.is_empty());
    // Others are served all the while.
    assert_eq!(rig.push(BODY).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn pipelined_callbacks_are_answered_each_and_in_order() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let length = format!("content-length: {}\r\n", BODY.len());
    let mut bytes = Vec::new();
    for _ in 0..9 {
        bytes.extend_from_slice(head(&length).as_bytes());
        bytes.extend_from_slice(BODY);
    }
    bytes.extend_from_slice(head(&format!("{length}connection: close\r\n")).as_bytes());
    bytes.extend_from_slice(BODY);
    let mut all = String::new();
    soon(send(&rig, &bytes).await?.read_to_string(&mut all)).await??;
    assert_eq!(all.matches("HTTP/1.1 202").count(), 10, "{all}");
    assert_eq!(rig.seen().len(), 10);
    Ok(())
}

#[tokio::test]
async fn a_caller_that_waits_for_100_continue_gets_it_and_none_before_a_413() -> Result<(), Failure>
{
    let rig = Rig::start(Limits::default()).await?;
    let length = format!("content-length: {}\r\n", BODY.len());
    let expect = format!("{length}expect: 100-continue\r\nconnection: close\r\n");
    let mut stream = send(&rig, head(&expect).as_bytes()).await?;
    let mut go_on = [0; 25];
    soon(stream.read_exact(&mut go_on)).await??;
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(BODY).await?;
    assert_eq!(read_answer(&mut stream).await?.status, 202);

    let expect = "content-length: 67108864\r\nexpect: 100-continue\r\n";
    let mut stream = send(&rig, head(expect).as_bytes()).await?;
    assert_eq!(read_answer(&mut stream).await?.status, 413);
    Ok(())
}

#[tokio::test]
async fn invalid_utf8_in_path_query_and_headers_is_no_ones_trouble() -> Result<(), Failure> {
    let rig = Rig::start(Limits::default()).await?;
    let requests: [&[u8]; 3] = [
        b"POST /c/\xff\xfe HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        b"POST /c/x?a=%ff%zz HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        b"POST /c/0123456789abcdef0123456789abcdef HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\nx-signature: \xff\r\nx-event: \xfe\r\ncontent-length: 2\r\n\r\n{}",
    ];
    for request in requests {
        let mut bytes = Vec::new();
        soon(send(&rig, request).await?.read_to_end(&mut bytes)).await??;
        let answer = Answer::parse(&String::from_utf8(bytes)?)?;
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(rig.push(BODY).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn bodies_above_what_all_may_hold_are_503() -> Result<(), Failure> {
    let limits = Limits {
        max_buffered_bytes: 16,
        ..Limits::default()
    };
    let rig = Rig::start(limits).await?;
    let answer = rig.push(BODY).await?;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    Ok(())
}
