//! What has to be done before a handshake is answered.

use std::borrow::Cow;

use hookplane_proto::v1;
use hookplane_rules::{Group, Learned, RefusalKind, Shaken, Timestamp};
use http::StatusCode;
use tokio::time::Instant;

use crate::keys::Asker;
use crate::learn::NotLearned;
use crate::respond::Why;
use crate::state::State;

/// Why a handshake isn't answered as its provider wants, and the status where that isn't the reason's own.
pub(crate) type NotShaken = (Why, Option<StatusCode>, Cow<'static, str>);

/// Returns once a secret that was handed over is stored, for the provider will sign with it from then on, and what it wants to see fetched was.
pub(crate) async fn finish(
    state: &State,
    group: &Group,
    shaken: &mut Shaken,
    received: Timestamp,
    deadline: Instant,
) -> Result<(), NotShaken> {
    if let Some(learned) = shaken.learn.take() {
        learn(state, group, learned, deadline).await?;
    }
    if let Some(confirm) = shaken.confirm.take() {
        let fetched = state
            .keys
            .confirm(&confirm, Asker::of(group), deadline)
            .await;
        fetched.map_err(|why| (Why::KeyUnavailable, None, why.into()))?;
    }
    if let Some(code) = shaken.code.take() {
        state.refusals.code(group.uid(), code, received);
    }
    Ok(())
}

async fn learn(
    state: &State,
    group: &Group,
    learned: Learned,
    deadline: Instant,
) -> Result<(), NotShaken> {
    let request = v1::LearnSecretRequest {
        pool: state.pool.clone(),
        group_uid: group.uid().to_owned(),
        secret: learned.into_text(),
    };
    let stored = state.learner.learn(request, deadline).await;
    stored.map_err(|why| match why {
        NotLearned::Refused(reason) => (
            Why::Rule(RefusalKind::Handshake),
            Some(StatusCode::FORBIDDEN),
            format!("it hands over a secret, and the control plane refused it: {reason}").into(),
        ),
        NotLearned::Gone => (Why::GroupGone, None, "the group is gone".into()),
        NotLearned::Unanswered => (
            Why::NotDurable,
            None,
            "the control plane did not say in time that the secret is stored".into(),
        ),
    })
}
