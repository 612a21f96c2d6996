//! Deleting a group with its webhooks, however many there are.

use hookplane_proto::v1;

use super::find;
use crate::access::{Caller, Target};
use crate::api::desk::{Desk, check_etag};
use crate::api::status::Problem;
use crate::api::{guard, names, waiting};
use crate::config::tombstone;
use crate::context::Context;
use crate::keys;
use crate::log::Selection;
use crate::store::{MAX_WRITES, StoreError, Transaction, Write};
use crate::tidy;

/// Webhooks in one transaction: each is a write and a note of its deliveries. They share a tombstone; the group takes two checks, two
/// writes, and its own.
const AT_ONCE: usize = (MAX_WRITES - 6) / 2;
/// So many webhooks go with their group unasked, and more if they are at most one in [`LARGE_SHARE`] of their org's.
const LARGE: usize = 20;
const LARGE_SHARE: usize = 5;
/// Somebody wrote in between: read again this often.
const ATTEMPTS: usize = 5;

/// Webhooks go first, so that what a crash leaves behind is a group that can be deleted again.
pub(super) async fn remove(
    context: &Context,
    caller: &Caller,
    request: v1::DeleteWebhookGroupRequest,
) -> Result<(), Problem> {
    let [org, name] = names::parse("name", &request.name, "orgs/*/groups/*", false)?;
    caller.check(Target::Org(org))?;
    let desk = Desk::new(context, caller);
    let mut attempt = 1;
    let uid = loop {
        let (group, revision) = find(&desk, org, name).await?;
        check_etag(&request.name, &request.etag, revision)?;
        if !request.discard_pending {
            let selection = Selection {
                group_uid: group.metadata.as_ref().map(|m| m.uid.clone()),
                ..Selection::default()
            };
            waiting::none(context, &request.name, selection).await?;
        }
        match attempt_at(&desk, &group, revision, request.confirm_large).await {
            Err(Problem::Store(StoreError::Conflict { .. })) if attempt < ATTEMPTS => attempt += 1,
            done => {
                done?;
                break group.metadata.unwrap_or_default().uid;
            }
        }
    };
    tidy::drop_noted(context).await;
    if let Err(error) = context.log.notes().forget(&uid).await {
        // A uid is never used again, so a few rows are all that it costs.
        tracing::warn!(%error, "what was counted of a deleted group is left");
    }
    Ok(())
}

async fn attempt_at(
    desk: &Desk<'_>,
    group: &v1::WebhookGroup,
    revision: u64,
    confirmed: bool,
) -> Result<(), Problem> {
    let metadata = group.metadata.clone().unwrap_or_default();
    let (org, name) = (&*metadata.org, &*metadata.name);
    let (key, guarded) = (keys::group(org, name), keys::group_guard(org, name));
    // Read before the webhooks: one that is written later changes it, and then nothing more is deleted.
    let checks = vec![
        (key.clone(), crate::store::Precondition::At(revision)),
        guard::read(desk, guarded.clone()).await?,
    ];
    let mut left = desk
        .all::<v1::Webhook>(&keys::webhook(org, name, ""))
        .await?;
    // Risk 32: a removal of most of what there is, by mistake.
    let all = desk.context.view.webhooks_of(org).max(left.len());
    if !confirmed && left.len() > LARGE && left.len() * LARGE_SHARE > all {
        return Err(Problem::Large(format!(
            "`orgs/{org}/groups/{name}` has {} of the {all} webhooks of `orgs/{org}`: say that all of them are to go",
            left.len()
        )));
    }
    loop {
        let rest = left.split_off(left.len().min(AT_ONCE));
        let last = rest.is_empty();
        let mut writes = Vec::new();
        let mut uids = Vec::new();
        for (key, webhook) in left {
            writes.push(Write::Delete(key));
            let uid = webhook.metadata.unwrap_or_default().uid;
            writes.push(tidy::note(&uid, "its webhook group was deleted"));
            uids.push(uid);
        }
        let now = desk.context.clock.now();
        if last {
            // Its own tombstone stands for the webhooks that go with it.
            writes.extend([Write::Delete(key.clone()), Write::Delete(guarded.clone())]);
            writes.push(tombstone::of_group(group, now));
        } else {
            writes.extend(tombstone::of_webhooks(&metadata.uid, uids, now));
        }
        desk.commit(Transaction {
            checks: checks.clone(),
            writes,
        })
        .await?;
        if last {
            return Ok(());
        }
        left = rest;
    }
}
