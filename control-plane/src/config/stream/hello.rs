//! A listener's hello: who it is, and whether changes can bring it up to date.

use std::time::Duration;

use hookplane_proto::v1;
use hookplane_proto::v1::stream_config_request::Kind as Said;
use tokio::time::{Instant, timeout};
use tonic::{Status, Streaming};

use crate::config::proof::Proofs;
use crate::config::{ListenerScope, View, epoch};
use crate::context::Context;
use crate::keys;
use crate::store::StoreError;

/// For the listener's hello.
const HELLO: Duration = Duration::from_secs(10);
/// For this view to come to where a listener already is, and for the store's own word on it.
const CATCH_UP: Duration = Duration::from_secs(5);
/// What a listener may say of itself, in bytes each.
const NAME_BYTES: usize = 256;

/// What the stream begins with.
pub(super) struct Start {
    pub(super) epoch: std::sync::Arc<str>,
    /// Its place in the pool's history. None for a full list.
    pub(super) cursor: Option<u64>,
}

pub(super) async fn read(
    said: &mut Streaming<v1::StreamConfigRequest>,
) -> Result<v1::ConfigHello, Status> {
    let first = timeout(HELLO, said.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello came"))??;
    let Some(Said::Hello(hello)) = first.and_then(|r| r.kind) else {
        return Err(Status::invalid_argument("the first request must be hello"));
    };
    for (field, text) in [
        ("listener", &hello.listener),
        ("boot", &hello.boot),
        ("pool", &hello.pool),
        ("software_version", &hello.software_version),
    ] {
        if text.len() > NAME_BYTES {
            return Err(Status::invalid_argument(format!(
                "hello.{field} is longer than {NAME_BYTES} bytes"
            )));
        }
    }
    Ok(hello)
}

/// Whether changes can bring this listener up to date. Older state is never sent as newer.
///
/// ```text
///   nothing yet ───────────────────────────────────▶ full list
///   another epoch: the store's own word, then ours ─▶ full list | refuse, while our view has not come to that epoch
///   ahead of us:   unproven, refuse; wait; the store's own word ──────▶ resume | refuse, while our view lags | another epoch, full lists
///   known to us ───────────────────────────────────▶ resume, or a full list where our history doesn't reach
/// ```
pub(super) async fn start(
    context: &Context,
    scope: &ListenerScope,
    hello: &v1::ConfigHello,
    proofs: &Proofs,
) -> Result<Start, Status> {
    let view = &context.view;
    let full = |view: &View| Start {
        epoch: view.epoch(),
        cursor: None,
    };
    if hello.revision == 0 || hello.epoch.is_empty() {
        return Ok(full(view));
    }
    if *hello.epoch != *view.epoch() {
        // It may have been told of an epoch that this view hasn't heard of: what this view has is then the older one.
        let stored = stored_epoch(context).await?;
        if !view.reached(stored.begun, deadline()).await || *stored.epoch != *view.epoch() {
            return Err(behind());
        }
        if *hello.epoch != *stored.epoch {
            return Ok(full(view));
        }
    }
    // A claim costs everybody full lists, or this call a wait: not without proof that this was said.
    if hello.revision > view.revision() && !proofs.holds(&hello.epoch, hello.revision, &hello.proof)
    {
        return Err(Status::invalid_argument(
            "hello.proof did not come with hello.revision; say revision 0 for a full list",
        ));
    }
    // Risk 25: a replica whose watch lags waits, then refuses.
    if !view.reached(hello.revision, deadline()).await {
        let revision = stored_epoch(context).await?.store_revision;
        if revision >= hello.revision {
            return Err(behind());
        }
        rolled_back(context, hello, revision).await?;
        return Ok(full(view));
    }
    Ok(Start {
        epoch: hello.epoch.as_str().into(),
        cursor: view.place(scope, &hello.epoch, hello.revision),
    })
}

/// Risk 26: the store itself is behind what it once said. Everybody gets a full list, under another epoch.
async fn rolled_back(
    context: &Context,
    hello: &v1::ConfigHello,
    store_revision: u64,
) -> Result<(), Status> {
    let view = &context.view;
    if !view.may_renew() {
        return Err(Status::unavailable(
            "another epoch has just begun; come back in a minute",
        ));
    }
    tracing::error!(
        listener = hello.listener,
        listener_revision = hello.revision,
        store_revision,
        "a listener is ahead of the store: the store was restored from an older copy; another epoch begins"
    );
    let renewed = epoch::renew(&*context.store, &hello.epoch);
    let at = timeout(CATCH_UP, renewed)
        .await
        .unwrap_or_else(|_| Err(StoreError::Unavailable("no answer".to_owned())))
        .map_err(unavailable)?;
    if view.reached(at, deadline()).await && *view.epoch() != *hello.epoch {
        Ok(())
    } else {
        Err(behind())
    }
}

/// From the store itself.
struct Stored {
    epoch: String,
    /// The revision that it was written at.
    begun: u64,
    /// Of the whole store, what no view watches included.
    store_revision: u64,
}

async fn stored_epoch(context: &Context) -> Result<Stored, Status> {
    let listing = timeout(CATCH_UP, context.store.list(keys::EPOCH, None, 1, None))
        .await
        .unwrap_or_else(|_| Err(StoreError::Unavailable("no answer".to_owned())))
        .map_err(unavailable)?;
    let entry = listing.entries.first();
    let value = entry.map(|entry| &entry.value[..]).unwrap_or_default();
    Ok(Stored {
        epoch: String::from_utf8_lossy(value).into_owned(),
        begun: entry.map(|entry| entry.revision).unwrap_or_default(),
        store_revision: listing.revision,
    })
}

fn deadline() -> Instant {
    Instant::now() + CATCH_UP
}

fn behind() -> Status {
    Status::unavailable("this replica's view of the store is behind; try another one")
}

fn unavailable(error: StoreError) -> Status {
    Status::unavailable(error.to_string())
}
