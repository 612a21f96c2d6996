//! When each token was used last: noted in memory on the way, written down now and then by a task of its own.
//!
//! What was used in the last minute before a crash may be lost. A use is written with the version of the token that it was read with, so a token
//! that was revoked meanwhile stays revoked.

use std::time::Duration;

use hookplane_rules::Timestamp;
use prost::Message;
use tokio_util::sync::CancellationToken;

use super::Tokens;
use crate::context::Context;
use crate::store::{MAX_WRITES, Precondition, Store, StoreError, Transaction, Write};

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
            written = write(&*context.store, context.clock.now(), &tokens) => if let Err(error) = written {
                tracing::warn!(%error, "when tokens were used last is not written yet; it is tried again");
            }
        }
    }
}

/// Writes what is a minute newer than the store's.
async fn write(store: &dyn Store, now: Timestamp, tokens: &Tokens) -> Result<(), StoreError> {
    let after = i64::try_from(EVERY.as_millis()).unwrap_or(i64::MAX);
    let unsaved = tokens.unsaved(now, after);
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
        match store.commit(transaction).await {
            // One was revoked, or another server has written it: next time.
            Ok(_) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hookplane_proto::v1;

    use super::*;
    use crate::access::bearer::Bearer;
    use crate::access::grant::tests::stored;
    use crate::keys;
    use crate::store::EmbeddedStore;

    struct Rig {
        store: std::sync::Arc<EmbeddedStore>,
        tokens: Tokens,
        bearer: Bearer,
        key: String,
        _folder: tempfile::TempDir,
    }

    impl Rig {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let bearer = Bearer::mint().unwrap();
            let spec = v1::TokenSpec {
                role: v1::TokenRole::Viewer.into(),
                ..Default::default()
            };
            let mut token = stored("", &bearer.id, "", spec);
            token.secret_sha256 = bearer.hash().to_vec().into();
            let rig = Self {
                store: EmbeddedStore::open(folder.path()).unwrap(),
                tokens: Tokens::default(),
                key: keys::token(keys::INSTALLATION_WIDE, &bearer.id),
                bearer,
                _folder: folder,
            };
            let value = token.encode_to_vec().into();
            rig.commit(Write::Put(rig.key.clone(), value)).await;
            rig.follow().await;
            rig
        }

        async fn commit(&self, write: Write) {
            let transaction = Transaction {
                checks: Vec::new(),
                writes: vec![write],
            };
            self.store.commit(transaction).await.unwrap();
        }

        /// As the view does.
        async fn follow(&self) {
            let entry = self.store.get(&self.key).await.unwrap();
            let change = (self.key.clone(), entry.map(|e| (e.revision, e.value)));
            self.tokens
                .apply(false, [change].iter().map(|(key, value)| (key, value)));
        }

        fn enter(&self, now: i64) {
            let hash = self.bearer.hash();
            assert!(
                self.tokens
                    .enter(&self.bearer.id, &hash, Timestamp(now))
                    .is_some()
            );
        }

        async fn write(&self, now: i64) {
            write(&*self.store, Timestamp(now), &self.tokens)
                .await
                .unwrap();
        }

        async fn kept(&self) -> Option<i64> {
            let entry = self.store.get(&self.key).await.unwrap()?;
            let stored = v1::StoredToken::decode(entry.value).unwrap();
            let status = stored.token.unwrap().status?;
            Some(status.last_use_time?.seconds)
        }
    }

    #[tokio::test]
    async fn a_use_is_written_once_a_minute_and_no_more() {
        let rig = Rig::new().await;
        rig.write(1_000).await;
        assert_eq!(rig.kept().await, None, "not used yet");
        rig.enter(100_000);
        rig.write(100_000).await;
        rig.follow().await;
        assert_eq!(rig.kept().await, Some(100));
        rig.enter(159_000);
        rig.write(159_000).await;
        assert_eq!(rig.kept().await, Some(100));
        rig.enter(160_000);
        rig.write(160_000).await;
        assert_eq!(rig.kept().await, Some(160));
    }

    #[tokio::test]
    async fn what_holds_a_call_open_uses_its_token() {
        let rig = Rig::new().await;
        let hash = rig.bearer.hash();
        let held = rig.tokens.enter(&rig.bearer.id, &hash, Timestamp(1_000));
        rig.write(500_000).await;
        assert_eq!(rig.kept().await, Some(500));
        rig.follow().await;
        drop(held);
        rig.write(900_000).await;
        assert_eq!(rig.kept().await, Some(500));
    }

    #[tokio::test]
    async fn a_use_does_not_bring_a_revoked_token_back() {
        let rig = Rig::new().await;
        rig.enter(100_000);
        // Revoked, and the view hasn't heard of it.
        rig.commit(Write::Delete(rig.key.clone())).await;
        rig.write(100_000).await;
        assert!(rig.store.get(&rig.key).await.unwrap().is_none());
    }
}
