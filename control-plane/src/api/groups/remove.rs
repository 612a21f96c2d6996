//! Deleting a group with its webhooks, however many there are.

use hookplane_proto::v1;

use super::find;
use crate::access::{Caller, Target};
use crate::api::desk::{Desk, check_etag};
use crate::api::status::Problem;
use crate::api::{guard, names};
use crate::context::Context;
use crate::keys;
use crate::store::{MAX_WRITES, StoreError, Transaction, Write};
use crate::tidy;

/// Webhooks in one transaction: each is a write and a note of its deliveries, and the group takes two checks and two writes.
const AT_ONCE: usize = (MAX_WRITES - 4) / 2;
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
    loop {
        let (_, revision) = find(&desk, org, name).await?;
        check_etag(&request.name, &request.etag, revision)?;
        match attempt_at(&desk, org, name, revision).await {
            Err(Problem::Store(StoreError::Conflict { .. })) if attempt < ATTEMPTS => attempt += 1,
            done => break done?,
        }
    }
    tidy::drop_noted(context).await;
    Ok(())
}

async fn attempt_at(desk: &Desk<'_>, org: &str, name: &str, revision: u64) -> Result<(), Problem> {
    let (key, guarded) = (keys::group(org, name), keys::group_guard(org, name));
    // Read before the webhooks: one that is written later changes it, and then nothing more is deleted.
    let checks = vec![
        (key.clone(), crate::store::Precondition::At(revision)),
        guard::read(desk, guarded.clone()).await?,
    ];
    let mut left = desk
        .all::<v1::Webhook>(&keys::webhook(org, name, ""))
        .await?;
    loop {
        let rest = left.split_off(left.len().min(AT_ONCE));
        let last = rest.is_empty();
        let mut writes = Vec::new();
        for (key, webhook) in left {
            writes.push(Write::Delete(key));
            let uid = webhook.metadata.unwrap_or_default().uid;
            writes.push(tidy::note(&uid, "its webhook group was deleted"));
        }
        if last {
            writes.extend([Write::Delete(key.clone()), Write::Delete(guarded.clone())]);
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
