//! What is told, as the browser takes it.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::Stream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use super::turns::Turn;

/// Chunks that wait for the browser.
const AHEAD: usize = 4;
/// A browser that takes nothing for so long is dropped.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// As the browser takes it, a little ahead. The task is the stream's: it ends when the stream is dropped, and lets go of the feed when nobody reads.
pub(super) fn pumped(
    feed: impl Stream<Item = String> + Send + 'static,
    turn: Turn,
    patience: Duration,
) -> impl Stream<Item = String> {
    let (out, chunks) = mpsc::channel(AHEAD);
    let task = tokio::spawn(async move {
        let _turn = turn;
        tokio::pin!(feed);
        while let Some(chunk) = feed.next().await {
            if !matches!(timeout(patience, out.send(chunk)).await, Ok(Ok(()))) {
                return;
            }
        }
    });
    let task = AbortOnDrop(task);
    ReceiverStream::new(chunks).map(move |chunk| {
        let _owned = &task;
        chunk
    })
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::super::turns::Streams;
    use super::*;

    #[tokio::test]
    async fn a_browser_that_does_not_read_is_let_go() {
        let streams = Streams::default();
        let turn = streams.take("t", "acme").unwrap();
        let endless = stream::repeat_with(|| "x".to_owned());
        let unread = pumped(endless, turn, Duration::from_millis(20));
        streams.given_back().await;
        assert_eq!(unread.count().await, AHEAD);
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_gives_its_turn_back() {
        let streams = Streams::default();
        let turn = streams.take("t", "acme").unwrap();
        drop(pumped(stream::pending(), turn, PATIENCE));
        streams.given_back().await;
    }
}
