//! What the rules say of a callback: on the worker that took it, aside where that takes long, or once more when a public key has been fetched.

use std::sync::Arc;

use hookplane_rules::{
    Callback, Group, Keys, Matched, Needed, Proven, Refused, Reply, Shaken, Timestamp, Unproven,
    Verified,
};
use tokio::time::Instant;

use crate::handle::Turn;
use crate::keys::{Asker, Just};
use crate::respond::Why;
use crate::state::State;

/// Hashing and decoding more than this would keep others of the same worker waiting (about 0.5 ms), so it is done aside.
pub(crate) const ASIDE_ABOVE_BYTES: usize = 256 * 1024;

/// Who asks, and until when.
pub(crate) struct Asked<'a> {
    pub(crate) state: &'a State,
    pub(crate) group: &'a Arc<Group>,
    pub(crate) received: Timestamp,
    pub(crate) deadline: Instant,
}

impl Asked<'_> {
    /// Says what it is, or why it is refused. The outer error is no verdict: nobody could say in time.
    pub(crate) async fn decide(
        &self,
        callback: Callback,
        unpacks: bool,
    ) -> Result<Result<Decided, Box<Refused>>, Box<Turn>> {
        let Self { state, group, .. } = *self;
        let now = state.clock.now();
        let decided = if callback.body.len() <= ASIDE_ABOVE_BYTES && !unpacks {
            decide(group, callback, &*state.keys, now)
        } else {
            Box::pin(decide_aside(group, callback, state.keys.clone(), now)).await?
        };
        match decided {
            Ok(decided) => Ok(Ok(decided)),
            Err(Unproven::Refused(refused)) => Ok(Err(refused)),
            Err(Unproven::NeedsKey(needed)) => Box::pin(decide_with_key(self, *needed)).await,
        }
    }
}

/// With the answer, where that is made of the request.
pub(crate) enum Decided {
    Handshake(Shaken),
    /// Told before its body was decoded.
    Unregistered(Verified, Option<Reply>),
    Matched(Matched, Option<Reply>),
}

/// All that the rules have to say, in one go.
fn decide(
    group: &Group,
    callback: Callback,
    keys: &dyn Keys,
    now: Timestamp,
) -> Result<Decided, Unproven> {
    match group.verify_with(callback, keys, now)? {
        Proven::Handshake(shaken) => Ok(Decided::Handshake(shaken)),
        Proven::Genuine(mut verified) => {
            let is_unregistered = verified.is_unregistered(group);
            let reply = group.answer_to(&verified);
            Ok(if is_unregistered {
                Decided::Unregistered(verified, reply)
            } else {
                Decided::Matched(group.match_events(group.extract(verified)?), reply)
            })
        }
    }
}

/// Large bodies are decided upon where nobody waits behind them.
async fn decide_aside(
    group: &Arc<Group>,
    callback: Callback,
    keys: Arc<dyn Keys + Send + Sync>,
    now: Timestamp,
) -> Result<Result<Decided, Unproven>, Box<Turn>> {
    let aside = group.clone();
    tokio::task::spawn_blocking(move || decide(&aside, callback, &*keys, now))
        .await
        .map_err(|error| {
            tracing::error!(%error, "deciding on a callback panicked: please report this as a bug");
            Turn::of(Why::Internal, "a bug: see the listener's log", group)
        })
}

/// Fetches the public key that is lacking, and decides once more. Without it nobody can say whether the callback is genuine.
async fn decide_with_key(
    asked: &Asked<'_>,
    needed: Needed,
) -> Result<Result<Decided, Box<Refused>>, Box<Turn>> {
    let Asked { state, group, .. } = *asked;
    let Needed { source, callback } = needed;
    let set = state
        .keys
        .fetch(&source, Asker::of(group), asked.received, asked.deadline)
        .await
        .map_err(|why| Turn::of(Why::KeyUnavailable, why, group))?;
    let keys = Arc::new(Just(source, set));
    let decided = decide_aside(group, callback, keys, state.clock.now()).await?;
    Ok(decided.map_err(|unproven| match unproven {
        Unproven::Refused(refused) => refused,
        // The set is as new as can be, so that what the request names is nobody's key.
        Unproven::NeedsKey(needed) => Box::new(Refused {
            refusal: needed.refusal(),
            callback: Some(needed.callback),
        }),
    }))
}
