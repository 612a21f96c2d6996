//! Bodies as files: so many at a time, for each is in memory whole until its reader has it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::problem::Problem;

/// Of up to 25 MiB each.
const AT_ONCE: usize = 8;
/// For a turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// A reader that takes it slowly has its turn no longer, and keeps it from nobody.
const LONGEST: Duration = Duration::from_secs(60);
/// Given out at once.
const CHUNK: usize = 64 * 1024;

/// Those under way.
#[derive(Clone)]
pub(crate) struct Downloads(Arc<Semaphore>);

impl Default for Downloads {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// Held from before the body is read.
pub(super) struct Turn(OwnedSemaphorePermit);

impl Downloads {
    pub(super) async fn turn(&self) -> Result<Turn, Problem> {
        self.turn_within(PATIENCE).await
    }

    async fn turn_within(&self, patience: Duration) -> Result<Turn, Problem> {
        let turn = Arc::clone(&self.0).acquire_owned();
        match timeout(patience, turn).await {
            Ok(Ok(turn)) => Ok(Turn(turn)),
            _ => {
                let why = format!("{AT_ONCE} downloads are under way, and there can be no more");
                Err(tonic::Status::unavailable(why).into())
            }
        }
    }
}

/// Gives the turn back when all of it is taken, or the reader leaves.
pub(super) fn body(bytes: Bytes, turn: Turn) -> Body {
    let (under_way, over) = oneshot::channel::<()>();
    // It ends with the body, and soon anyway.
    tokio::spawn(async move {
        let _turn = turn.0;
        let _over = timeout(LONGEST, over).await;
    });
    let chunks = stream::unfold((bytes, under_way), |(mut rest, under_way)| async move {
        let chunk = rest.split_to(rest.len().min(CHUNK));
        (!chunk.is_empty()).then_some((Ok::<_, Infallible>(chunk), (rest, under_way)))
    });
    Body::from_stream(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_bodies_are_in_memory_at_once_and_each_arrives_whole() {
        let downloads = Downloads::default();
        let whole = Bytes::from(vec![7; 2 * CHUNK + 1]);
        let mut bodies = Vec::new();
        while let Ok(turn) = downloads.turn_within(Duration::ZERO).await {
            bodies.push(body(whole.clone(), turn));
        }
        assert_eq!(bodies.len(), AT_ONCE);
        // One is read, and another's reader leaves.
        let read = axum::body::to_bytes(bodies.remove(0), usize::MAX).await;
        assert_eq!(read.unwrap(), whole);
        drop(bodies.remove(0));
        let again = [downloads.turn().await, downloads.turn().await];
        assert!(again.iter().all(Result::is_ok));
        assert!(downloads.turn_within(Duration::ZERO).await.is_err());
    }
}
