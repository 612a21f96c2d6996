//! A webhook's mapping when it is saved: compiled, whether it is active or not, and a version of its own where it differs from the last. And
//! versions as they are read.

use hookplane_proto::v1;
use hookplane_rules::FieldError;

use super::desk::Desk;
use super::status::Problem;
use crate::aside;
use crate::keys;
use crate::mapping::Mapping;
use crate::store::Write;

use prost::Message;

/// Versions of a webhook's mapping that are kept: older deliveries can be replayed with them.
pub(super) const KEPT_VERSIONS: u32 = 200;

/// Stored behind a version's mapping, in the same bytes: who reads a mapping alone, as an older program does, passes over it.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(message, optional, tag = "1000")]
    made: Option<Made>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Made {
    #[prost(message, optional, tag = "1")]
    time: Option<prost_types::Timestamp>,
    #[prost(string, tag = "2")]
    token_id: String,
}

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
    let made = Stored {
        made: Some(Made {
            time: Some(desk.now()),
            token_id: desk.caller.id().to_owned(),
        }),
    };
    let mut value = saved.encode_to_vec();
    value.extend(made.encode_to_vec());
    writes.push(Write::Put(keys::mapping(webhook_uid, next), value.into()));
    if next > KEPT_VERSIONS {
        writes.push(Write::Delete(keys::mapping(
            webhook_uid,
            next - KEPT_VERSIONS,
        )));
    }
    Ok(next)
}

/// One version of a webhook's mapping.
pub(super) async fn read(
    desk: &Desk<'_>,
    webhook: &v1::Webhook,
    request: v1::GetMappingVersionRequest,
) -> Result<v1::MappingVersion, Problem> {
    let version = request.version;
    let newest = kept(webhook.status.clone()).newest_mapping_version;
    if !(1..=newest).contains(&version) {
        let message = match newest {
            0 => "is none: the webhook never had a mapping".to_owned(),
            _ => format!("has to be 1 to {newest}, the newest"),
        };
        return Err(Problem::field("version", message));
    }
    let uid = webhook.metadata.as_ref().map_or("", |m| &m.uid);
    let key = keys::mapping(uid, version);
    let Some(entry) = desk.context.store.get(&key).await? else {
        let name = request.name;
        return Err(Problem::NotFound(format!(
            "{name}, mapping version {version}, any more (the newest {KEPT_VERSIONS} are kept)"
        )));
    };
    let unreadable = |error| Problem::Internal(format!("read the stored `{key}`: {error}"));
    let mapping = v1::Mapping::decode(entry.value.clone()).map_err(unreadable)?;
    let stored = Stored::decode(entry.value).map_err(unreadable)?;
    let made = stored.made.unwrap_or_default();
    Ok(v1::MappingVersion {
        version,
        mapping: Some(mapping),
        create_time: made.time,
        token_id: made.token_id,
        webhook_uid: uid.to_owned(),
    })
}
