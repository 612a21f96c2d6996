//! A webhook as callers see it: without secrets, with how it is doing.

use hookplane_proto::v1;

use crate::api::desk::{Desk, stamp};
use crate::api::status::Problem;
use crate::api::{mappings, targets};
use crate::keys;

pub(in crate::api) async fn present(
    desk: &Desk<'_>,
    webhook: v1::Webhook,
    revision: u64,
) -> Result<v1::Webhook, Problem> {
    let group = Group::of(desk, &webhook).await?;
    Ok(present_of(desk, webhook, revision, &group).await)
}

/// What a webhook's status needs of its group.
pub(super) struct Group {
    pub(super) key: String,
    uid: String,
    pool: String,
}

impl Group {
    pub(super) fn key(webhook: &v1::Webhook) -> String {
        let of = webhook.metadata.as_ref();
        of.map_or_else(String::new, |of| keys::group(&of.org, &of.group))
    }

    pub(super) async fn of(desk: &Desk<'_>, webhook: &v1::Webhook) -> Result<Self, Problem> {
        let key = Self::key(webhook);
        let (uid, pool) = match desk.get::<v1::WebhookGroup>(&key).await? {
            Some((group, _)) => (
                group.metadata.unwrap_or_default().uid,
                group.spec.unwrap_or_default().pool,
            ),
            None => Default::default(),
        };
        Ok(Self { key, uid, pool })
    }
}

/// One of many.
pub(super) async fn present_of(
    desk: &Desk<'_>,
    mut webhook: v1::Webhook,
    revision: u64,
    group: &Group,
) -> v1::Webhook {
    stamp(&mut webhook.metadata, revision);
    let destinations = targets::statuses(desk.context, &webhook);
    targets::hide(webhook.spec.get_or_insert_default());
    let metadata = webhook.metadata.clone().unwrap_or_default();
    let warnings = desk.context.drift.warnings(&group.uid, &webhook).await;
    let live = desk
        .context
        .fleet
        .live(&metadata.org, &group.pool, &metadata.uid, revision);
    webhook.status = Some(v1::WebhookStatus {
        live: Some(live),
        destinations,
        warnings,
        ..mappings::kept(webhook.status)
    });
    webhook
}
