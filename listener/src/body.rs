//! Reading a body within bounds: the group's limit, a deadline, and a bound on what all bodies together may hold.
//!
//! A body that came in one frame stays the frame's bytes. A slow client is charged for what it has sent, not for what it announced.
//! What is refused unread is drained where the connection ends, see `accept`.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::Instant;

/// The first buffer of a body in several frames. More is taken as it comes, never on the client's word.
const FIRST_BUFFER_BYTES: usize = 64 * 1024;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    TooLarge,
    Timeout,
    /// Not HTTP, or cut off.
    Broken,
    /// All bodies together hold what they may.
    NoRoom,
}

/// Bytes that bodies hold, over all connections.
pub(crate) struct Buffers {
    used: AtomicUsize,
    max: usize,
}

impl Buffers {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            max,
        }
    }
}

/// One body's part of [`Buffers`], given back when dropped. It goes with the body until the callback is answered.
pub(crate) struct Share {
    of: Arc<Buffers>,
    bytes: usize,
}

impl Share {
    pub(crate) fn none(of: &Arc<Buffers>) -> Self {
        Self {
            of: of.clone(),
            bytes: 0,
        }
    }

    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let before = self.of.used.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        if before + bytes > self.of.max {
            return Err(BodyError::NoRoom);
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// Reads the whole of a body of at most `limit` bytes.
pub(crate) async fn read<B>(
    body: &mut B,
    limit: u64,
    deadline: Instant,
    buffers: &Arc<Buffers>,
) -> Result<(Bytes, Share), BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut share = Share::none(buffers);
    if body.size_hint().lower() > limit {
        return Err(BodyError::TooLarge);
    }
    // The usual body: one frame. It is kept as it is until a second one comes.
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    let mut total: u64 = 0;
    while !body.is_end_stream() {
        // Most bodies are there with their heads, and need no timer.
        let there = poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx))).await;
        let frame = match there {
            Poll::Ready(frame) => frame,
            Poll::Pending => tokio::time::timeout_at(deadline, body.frame())
                .await
                .map_err(|_| BodyError::Timeout)?,
        };
        let frame = match frame {
            None => break,
            Some(Err(_)) => return Err(BodyError::Broken),
            Some(Ok(frame)) => frame,
        };
        // Trailers are nobody's business here.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        total += data.len() as u64;
        if total > limit {
            return Err(BodyError::TooLarge);
        }
        share.grow(data.len())?;
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut buffer =
                    BytesMut::with_capacity(FIRST_BUFFER_BYTES.max(first.len() + data.len()));
                buffer.extend_from_slice(&first);
                buffer.extend_from_slice(&data);
                first = Bytes::new();
                rest = Some(buffer);
            }
        }
    }
    Ok((rest.map_or(first, BytesMut::freeze), share))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::task::Context;
    use std::time::Duration;

    use hyper::body::Frame;

    use super::*;

    /// Frames that are there, then the end or a wait for ever.
    struct Frames(VecDeque<&'static [u8]>, bool);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop_front() {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(data))))),
                None if self.1 => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    async fn read_frames(
        frames: &[&'static [u8]],
        ends: bool,
        limit: u64,
        max: usize,
    ) -> Result<(Bytes, Share), BodyError> {
        let buffers = Arc::new(Buffers::new(max));
        let deadline = Instant::now() + Duration::from_millis(20);
        let mut body = Frames(frames.iter().copied().collect(), ends);
        read(&mut body, limit, deadline, &buffers).await
    }

    #[tokio::test]
    async fn a_body_in_one_frame_is_not_copied() -> Result<(), BodyError> {
        static BODY: &[u8] = b"12.50\r\n";
        let (body, share) = read_frames(&[BODY], true, 100, 100).await?;
        assert_eq!(body.as_ptr(), BODY.as_ptr());
        assert_eq!(share.bytes, BODY.len());
        Ok(())
    }

    #[tokio::test]
    async fn frames_are_joined_as_they_came() -> Result<(), BodyError> {
        let (body, _share) = read_frames(&[b"a\r", b"\nb", b"", b"c\n"], true, 100, 100).await?;
        assert_eq!(&body[..], b"a\r\nbc\n");
        Ok(())
    }

    #[tokio::test]
    async fn one_byte_above_the_limit_is_too_large() {
        assert!(read_frames(&[b"abc", b"de"], true, 5, 100).await.is_ok());
        let refused = read_frames(&[b"abc", b"def"], true, 5, 100).await.err();
        assert_eq!(refused, Some(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let refused = read_frames(&[b"abc"], false, 5, 100).await.err();
        assert_eq!(refused, Some(BodyError::Timeout));
    }

    #[tokio::test]
    async fn all_bodies_together_are_bounded_and_give_back_what_they_held() {
        let buffers = Arc::new(Buffers::new(4));
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut a = Frames([&b"abc"[..]].into(), true);
        let held = read(&mut a, 10, deadline, &buffers).await;
        assert!(held.is_ok());
        let mut b = Frames([&b"de"[..]].into(), true);
        let refused = read(&mut b, 10, deadline, &buffers).await.err();
        assert_eq!(refused, Some(BodyError::NoRoom));
        drop(held);
        assert_eq!(buffers.used.load(Relaxed), 0);
    }
}
