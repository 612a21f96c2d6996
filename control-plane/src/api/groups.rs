//! Webhook groups: made with a callback URL, a pinned definition and a blank template; updated, rotated, deleted.

mod definitions;
mod learn;
mod list;
mod prepare;
mod remove;
mod rotate;

use bytes::Bytes;
use hookplane_proto::v1;
use tonic::{Request, Response, Status};

use super::desk::{Desk, Mode, stamp};
use super::glance::glance;
use super::names;
use super::status::Problem;
use crate::access::{Caller, Needs, Target, opened};
use crate::admission::Refused;
use crate::context::Context;
use crate::keys;
use crate::log::{NoteKind, NotesOf};
use crate::report::code_of;

use definitions::Definitions;
pub use learn::HandshakeApi;
pub(super) use prepare::prepare;
pub use rotate::MAX_OVERLAP_SECONDS;

/// How long a code for a person is shown: an hour.
const CODE_MILLIS: i64 = 3_600_000;

/// Serves `WebhookGroupService`.
pub struct GroupApi {
    /// The seams.
    pub context: Context,
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Fields(fields) => Self::Fields(fields),
            Refused::Seal(error) => error.into(),
            Refused::Io(error) => error.into(),
        }
    }
}

/// As callers see it: no secret, sealed or not.
pub(super) async fn present(
    desk: &Desk<'_>,
    group: v1::WebhookGroup,
    revision: u64,
) -> Result<v1::WebhookGroup, Problem> {
    present_of(desk, group, revision, &mut Definitions::default()).await
}

/// The same of one of many.
async fn present_of(
    desk: &Desk<'_>,
    mut group: v1::WebhookGroup,
    revision: u64,
    definitions: &mut Definitions,
) -> Result<v1::WebhookGroup, Problem> {
    stamp(&mut group.metadata, revision);
    let metadata = group.metadata.clone().unwrap_or_default();
    let spec = group.spec.get_or_insert_default();
    for secret in &mut spec.signature_secrets {
        secret.value.clear();
        secret.sealed = Bytes::new();
    }
    spec.sealed_parameters.clear();
    let pool = spec.pool.clone();
    let told = definitions.of(desk, &group).await?;
    let status = group.status.get_or_insert_default();
    status.connector_update_available = told.update_available;
    status.connector_confidence = told.pinned.confidence;
    status.connector_sources.clone_from(&told.pinned.sources);
    status
        .connector_limitations
        .clone_from(&told.pinned.limitations);
    let fleet = &desk.context.fleet;
    status.live = Some(fleet.live(&metadata.org, &pool, &metadata.uid, revision));
    let durability = desk.context.log.durability();
    status.durability = Some(v1::Durability {
        receipt: durability.receipt.into(),
        reasons: durability.reasons,
    });
    Ok(group)
}

/// With what was counted of them. A log that is away leaves that out, and keeps nobody from reading what is configured.
pub(super) async fn counted(context: &Context, groups: &mut [v1::WebhookGroup]) {
    let uid = |group: &v1::WebhookGroup| group.metadata.as_ref().map(|m| m.uid.clone());
    let uids: Vec<String> = groups.iter().filter_map(uid).collect();
    // Nobody waits for the counts of none.
    if uids.is_empty() {
        return;
    }
    let uids: Vec<&str> = uids.iter().map(String::as_str).collect();
    let mut counts = match glance(context.log.notes().counts(&uids)).await {
        Ok(counts) => counts,
        Err(error) => {
            tracing::debug!(%error, "groups are shown without their counts");
            return;
        }
    };
    for group in groups {
        let of = uid(group).and_then(|uid| counts.remove(&uid));
        group.status.get_or_insert_default().counts = Some(of.unwrap_or_default());
    }
}

/// The newest code for a person, if it is new enough to be of use.
async fn code(context: &Context, group: &v1::WebhookGroup) -> Option<v1::HandshakeCode> {
    let uid = &group.metadata.as_ref()?.uid;
    let of = NotesOf::Group(uid);
    let asked = context.log.notes().notes(NoteKind::Code, of, 1);
    let notes = match glance(asked).await {
        Ok(notes) => notes,
        Err(error) => {
            tracing::debug!(%error, "a group is shown without its code");
            return None;
        }
    };
    let note = notes.into_iter().next()?;
    let time = hookplane_rules::time::from_wire(note.time.as_ref()?);
    let age_millis = context.clock.now().0.saturating_sub(time.0);
    if age_millis >= CODE_MILLIS {
        return None;
    }
    Some(v1::HandshakeCode {
        code: code_of(&context.seal, uid, &note)?,
        time: note.time,
    })
}

/// A group by its path.
pub(super) async fn find(
    desk: &Desk<'_>,
    org: &str,
    group: &str,
) -> Result<(v1::WebhookGroup, u64), Problem> {
    let found = desk.get(&keys::group(org, group)).await?;
    found.ok_or_else(|| Problem::NotFound(names::group(org, group)))
}

impl GroupApi {
    async fn save(
        &self,
        caller: &Caller,
        group: &v1::WebhookGroup,
        mode: Mode<'_>,
        validate_only: bool,
    ) -> Result<v1::WebhookGroup, Problem> {
        let metadata = group.metadata.clone().unwrap_or_default();
        let desk = Desk::new(&self.context, caller);
        desk.owned(&metadata.org)?;
        let mut prepared = prepare(&desk, group, mode).await?;
        let revision = desk.write_unless(validate_only, &mut prepared).await?;
        let mut group = present(&desk, prepared.resource, revision).await?;
        counted(&self.context, std::slice::from_mut(&mut group)).await;
        Ok(group)
    }
}

#[tonic::async_trait]
impl v1::webhook_group_service_server::WebhookGroupService for GroupApi {
    async fn list_webhook_groups(
        &self,
        request: Request<v1::ListWebhookGroupsRequest>,
    ) -> Result<Response<v1::ListWebhookGroupsResponse>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(
            list::list(&self.context, &caller, request).await?,
        ))
    }

    async fn get_webhook_group(
        &self,
        request: Request<v1::GetWebhookGroupRequest>,
    ) -> Result<Response<v1::WebhookGroup>, Status> {
        let (caller, v1::GetWebhookGroupRequest { name }) = opened(request)?;
        let [org, group] = names::parse("name", &name, "orgs/*/groups/*", false)?;
        caller.check(Target::Org(org))?;
        let desk = Desk::new(&self.context, &caller);
        let (group, revision) = find(&desk, org, group).await?;
        let mut group = present(&desk, group, revision).await?;
        counted(&self.context, std::slice::from_mut(&mut group)).await;
        // Whoever has it can finish what an editor began.
        if caller.is_enough_for(Needs::Edit) {
            group.status.get_or_insert_default().handshake_code = code(&self.context, &group).await;
        }
        Ok(Response::new(group))
    }

    async fn create_webhook_group(
        &self,
        request: Request<v1::CreateWebhookGroupRequest>,
    ) -> Result<Response<v1::WebhookGroup>, Status> {
        let (caller, request) = opened(request)?;
        let [org] = names::parse("parent", &request.parent, "orgs/*", false)?;
        let mut group = request.webhook_group.unwrap_or_default();
        group.metadata.get_or_insert_default().org = org.to_owned();
        Ok(Response::new(
            self.save(&caller, &group, Mode::Create, request.validate_only)
                .await?,
        ))
    }

    async fn update_webhook_group(
        &self,
        request: Request<v1::UpdateWebhookGroupRequest>,
    ) -> Result<Response<v1::WebhookGroup>, Status> {
        let (caller, request) = opened(request)?;
        let mask = request.update_mask.unwrap_or_default().paths;
        let group = request.webhook_group.unwrap_or_default();
        Ok(Response::new(
            self.save(
                &caller,
                &group,
                Mode::Update { mask: &mask },
                request.validate_only,
            )
            .await?,
        ))
    }

    async fn delete_webhook_group(
        &self,
        request: Request<v1::DeleteWebhookGroupRequest>,
    ) -> Result<Response<()>, Status> {
        let (caller, request) = opened(request)?;
        remove::remove(&self.context, &caller, request).await?;
        Ok(Response::new(()))
    }

    async fn rotate_callback_url(
        &self,
        request: Request<v1::RotateCallbackUrlRequest>,
    ) -> Result<Response<v1::WebhookGroup>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(
            rotate::rotate(&self.context, &caller, request).await?,
        ))
    }
}
