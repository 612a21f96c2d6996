//! What was kept is made findable by its text, behind everybody's back: whenever the log has grown, until nothing is left to do.
//!
//! Each replica asks the log to; of several one at a time does. An error delays it and loses nothing: the log knows how far it has come.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// What comes within it is done at once, so that a quiet event costs one step and a thousand at a time cost a few.
const GATHER: Duration = Duration::from_millis(200);
/// Between two steps while there is more: others have the log, too.
const PAUSE: Duration = Duration::from_millis(5);
/// While events come, as many times as long as the step took: it has a quarter of a core then, and those who wait for an answer have the rest.
const GIVE_WAY: u32 = 3;
/// So that it goes on, however slow a step was.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// It gives way no longer than so: what isn't findable isn't counted towards a group's size either.
const BEHIND: Duration = Duration::from_secs(60);
/// A log that is quiet is looked at as often: another replica may have had the turn, and ended before it was done.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// After an error, doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Until `shutdown`.
pub(crate) async fn run(context: Context, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        // Each step is one transaction, so it may end between any two.
        () = follow(&context) => {}
    }
}

async fn follow(context: &Context) {
    let mut newest = context.log.newest();
    let mut retry = FIRST_RETRY;
    let mut behind: Option<Instant> = None;
    loop {
        newest.borrow_and_update();
        loop {
            let since = *behind.get_or_insert_with(Instant::now);
            let began = Instant::now();
            match context.log.index().await {
                Ok(more) => {
                    if retry > FIRST_RETRY {
                        tracing::info!("what is kept is made findable by its text again");
                        retry = FIRST_RETRY;
                    }
                    if !more {
                        break;
                    }
                    context.metrics.indexing_since(Some(since));
                    let events_come = newest.has_changed().unwrap_or(false);
                    newest.borrow_and_update();
                    let gives_way = events_come && since.elapsed() < BEHIND;
                    tokio::time::sleep(rest(began.elapsed(), gives_way)).await;
                }
                Err(error) => {
                    if retry == FIRST_RETRY {
                        tracing::warn!(%error, "what is kept is not findable by its text yet; it is tried again");
                    }
                    context.metrics.indexing_since(Some(since));
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(LAST_RETRY);
                }
            }
        }
        behind = None;
        context.metrics.indexing_since(None);
        // The log ends after this does.
        if let Ok(Err(_)) = tokio::time::timeout(LOOK_AGAIN, newest.changed()).await {
            return;
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// After a step that took so long.
fn rest(took: Duration, gives_way: bool) -> Duration {
    if gives_way {
        (took * GIVE_WAY).clamp(PAUSE, LONGEST_REST)
    } else {
        PAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_way_to_events_that_come_and_to_nothing_else() {
        let step = Duration::from_millis(40);
        assert_eq!(rest(step, false), PAUSE);
        assert_eq!(rest(step, true), step * 3);
        assert_eq!(rest(Duration::ZERO, true), PAUSE);
        assert_eq!(rest(Duration::from_secs(60), true), LONGEST_REST);
    }
}
