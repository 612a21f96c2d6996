//! A webhook's mapping when it is saved: compiled, whether it is active or not, and a version of its own where it differs from the last.

use hookplane_proto::v1;
use hookplane_rules::FieldError;

use super::desk::{Desk, put};
use super::status::Problem;
use crate::aside;
use crate::keys;
use crate::mapping::Mapping;
use crate::store::Write;

/// Versions of a webhook's mapping that are kept: older deliveries can be replayed with them.
pub(super) const KEPT_VERSIONS: u32 = 200;

/// What of a webhook's status is stored.
pub(super) fn kept(status: Option<v1::WebhookStatus>) -> v1::WebhookStatus {
    let status = status.unwrap_or_default();
    v1::WebhookStatus {
        mapping_version: status.mapping_version,
        newest_mapping_version: status.newest_mapping_version,
        ..Default::default()
    }
}

/// What goes into the webhook's own transaction besides it; its status says which version maps new events from then on. The stored webhook's
/// status is in it, as is the new spec.
pub(super) async fn save(
    desk: &Desk<'_>,
    webhook: &mut v1::Webhook,
    errors: &mut Vec<FieldError>,
) -> Result<Vec<Write>, Problem> {
    let mut status = kept(webhook.status.take());
    status.mapping_version = 0;
    let mut writes = Vec::new();
    let mapping = webhook.spec.as_ref().and_then(|spec| spec.mapping.as_ref());
    if let Some(mapping) = mapping {
        let of_task = mapping.clone();
        let org = webhook.metadata.as_ref().map_or("", |m| &m.org);
        let compiled = aside::SAVES.run(org, move |_| Mapping::compile(&of_task).map(drop));
        match compiled.await? {
            Ok(_) => {
                let uid = webhook.metadata.as_ref().map_or("", |m| &m.uid);
                let newest = status.newest_mapping_version;
                status.newest_mapping_version =
                    version(desk, uid, newest, mapping, &mut writes).await?;
                if mapping.active {
                    status.mapping_version = status.newest_mapping_version;
                }
            }
            Err(wrong) => errors.extend(wrong),
        }
    }
    webhook.status = (status != v1::WebhookStatus::default()).then_some(status);
    Ok(writes)
}

/// The newest one's number where it is the same, else the next.
async fn version(
    desk: &Desk<'_>,
    webhook_uid: &str,
    newest: u32,
    mapping: &v1::Mapping,
    writes: &mut Vec<Write>,
) -> Result<u32, Problem> {
    if newest > 0 {
        let stored = desk
            .get::<v1::Mapping>(&keys::mapping(webhook_uid, newest))
            .await?;
        // Whether it is active is no part of a version.
        if stored.is_some_and(|(stored, _)| stored.base == mapping.base) {
            return Ok(newest);
        }
    }
    let next = newest.saturating_add(1);
    let saved = v1::Mapping {
        active: true,
        base: mapping.base.clone(),
    };
    writes.push(put(keys::mapping(webhook_uid, next), &saved));
    if next > KEPT_VERSIONS {
        writes.push(Write::Delete(keys::mapping(
            webhook_uid,
            next - KEPT_VERSIONS,
        )));
    }
    Ok(next)
}
