//! Callback URLs: made, replaced, retired.

use hookplane_proto::v1;
use hookplane_rules::Timestamp;
use hookplane_rules::time::to_wire;

use super::{counted, find, present};
use crate::access::{Caller, Target};
use crate::api::desk::{Desk, check_etag, put, random};
use crate::api::names;
use crate::api::status::Problem;
use crate::context::Context;
use crate::keys;
use crate::store::{Precondition, Transaction};

/// Old URLs taken at once.
const MAX_RETIRING: usize = 8;
/// For how long the URL of before a rotation may go on: 90 days.
pub const MAX_OVERLAP_SECONDS: u32 = 90 * 24 * 3600;
const TOKEN_BYTES: usize = 16;

pub(super) async fn rotate(
    context: &Context,
    caller: &Caller,
    request: v1::RotateCallbackUrlRequest,
) -> Result<v1::WebhookGroup, Problem> {
    let [org, name] = names::parse("name", &request.name, "orgs/*/groups/*", false)?;
    caller.check(Target::Org(org))?;
    if request.overlap_seconds > MAX_OVERLAP_SECONDS {
        return Err(Problem::field(
            "overlap_seconds",
            format!("is at most {MAX_OVERLAP_SECONDS} (90 days)"),
        ));
    }
    let desk = Desk::new(context, caller);
    let (mut group, revision) = find(&desk, org, name).await?;
    check_etag(&request.name, &request.etag, revision)?;
    let url = callback_url(context, org, &group.spec.clone().unwrap_or_default())?;
    let now = context.clock.now().0;
    let status = group.status.get_or_insert_default();
    prune(status, now);
    let old = std::mem::replace(&mut status.callback_url, url);
    if request.overlap_seconds > 0 {
        if status.retiring_urls.len() >= MAX_RETIRING {
            return Err(Problem::Refused(format!(
                "{MAX_RETIRING} old URLs are still taken: wait until one expires, or rotate without overlap"
            )));
        }
        let expires = now.saturating_add(i64::from(request.overlap_seconds) * 1000);
        status.retiring_urls.push(v1::RetiringUrl {
            url: old,
            expire_time: Some(to_wire(Timestamp(expires))),
        });
    }
    group.metadata.get_or_insert_default().update_time = Some(desk.now());
    let key = keys::group(org, name);
    let transaction = Transaction {
        checks: vec![(key.clone(), Precondition::At(revision))],
        writes: vec![put(key, &group)],
    };
    let revision = desk.commit(transaction).await?;
    let mut group = present(&desk, group, revision).await?;
    counted(context, std::slice::from_mut(&mut group)).await;
    Ok(group)
}

/// A URL with a fresh token.
pub(super) fn callback_url(
    context: &Context,
    org: &str,
    spec: &v1::WebhookGroupSpec,
) -> Result<String, Problem> {
    let token = hex::encode(random::<TOKEN_BYTES>()?);
    Ok(format!(
        "{}/{org}/{}/{}/{token}",
        context.public_url, spec.connector, spec.function
    ))
}

/// Forgets the old URLs whose time has come.
pub(super) fn prune(status: &mut v1::WebhookGroupStatus, now_millis: i64) {
    let now = now_millis.div_euclid(1000);
    status
        .retiring_urls
        .retain(|url| url.expire_time.as_ref().is_some_and(|t| t.seconds > now));
}
