//! When each token was used last: noted in memory on the way, written down now and then by a task of its own.
//!
//! What was used in the last minute before a crash may be lost. A use is written with the version of the token that it was read with, so a token
//! that was revoked meanwhile stays revoked.

use std::time::Duration;

use prost::Message;
use tokio_util::sync::CancellationToken;

use super::Tokens;
use crate::context::Context;
use crate::store::{MAX_WRITES, Precondition, StoreError, Transaction, Write};

/// Between two looks, and between two writes of one token.
const EVERY: Duration = Duration::from_secs(60);
/// Each is a check and a write, and 30 KB at most: a consumer of 100 webhooks.
const AT_ONCE: usize = MAX_WRITES / 4;

/// Until `shutdown`.
pub(crate) async fn run(context: Context, shutdown: CancellationToken) {
    let tokens = context.view.tokens();
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = every.tick() => {}
        }
        // Each write is one transaction, so it may end between any two.
        tokio::select! {
            () = shutdown.cancelled() => return,
            written = write(&context, &tokens) => if let Err(error) = written {
                tracing::warn!(%error, "when tokens were used last is not written yet; it is tried again");
            }
        }
    }
}

/// Writes what is a minute newer than the store's.
async fn write(context: &Context, tokens: &Tokens) -> Result<(), StoreError> {
    let after = i64::try_from(EVERY.as_millis()).unwrap_or(i64::MAX);
    let unsaved = tokens.unsaved(context.clock.now(), after);
    for some in unsaved.chunks(AT_ONCE) {
        let transaction = Transaction {
            checks: some
                .iter()
                .map(|one| (one.key.clone(), Precondition::At(one.revision)))
                .collect(),
            writes: some
                .iter()
                .map(|one| Write::Put(one.key.clone(), one.stored.encode_to_vec().into()))
                .collect(),
        };
        match context.store.commit(transaction).await {
            // One was revoked, or another server has written it: next time.
            Ok(_) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
