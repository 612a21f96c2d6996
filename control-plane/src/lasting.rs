//! Tasks that are to run as long as the server does.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Before what ended is begun again: it may well end again.
const PAUSE: Duration = Duration::from_secs(5);

/// Runs a task until `shutdown`. Where it ends before, that is said at once, and it is begun again after a pause.
pub(crate) fn lasting<F>(
    what: &'static str,
    shutdown: &CancellationToken,
    begin: impl Fn() -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    lasting_with(PAUSE, what, shutdown, begin)
}

fn lasting_with<F>(
    pause: Duration,
    what: &'static str,
    shutdown: &CancellationToken,
    begin: impl Fn() -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        loop {
            let ended = tokio::spawn(begin()).await;
            match ended {
                Err(error) => {
                    tracing::error!(%error, "{what} broke off: please report this as a bug");
                }
                Ok(()) if !shutdown.is_cancelled() => {
                    tracing::error!("{what} ended before the server: please report this as a bug");
                }
                Ok(()) => {}
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_breaks_off_is_begun_again_until_the_end() {
        let shutdown = CancellationToken::new();
        let (begun, ending) = (Arc::new(AtomicU32::new(0)), shutdown.clone());
        let times = Arc::clone(&begun);
        let task = lasting_with(Duration::ZERO, "this", &shutdown, move || {
            let (times, ending) = (Arc::clone(&times), ending.clone());
            async move {
                match times.fetch_add(1, Ordering::Relaxed) {
                    0 => panic!("once"),
                    1 => {}
                    _ => ending.cancel(),
                }
            }
        });
        task.await.unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 3);
    }
}
