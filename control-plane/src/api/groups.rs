//! Webhook groups: made with a callback URL, a pinned definition and a blank template; updated, rotated, deleted.

use bytes::Bytes;
use hookplane_proto::v1;
use hookplane_rules::{Connector, FieldError, TEMPLATE, Webhook};
use tonic::{Request, Response, Status};

use super::desk::{
    Desk, Mode, Prepared, check_etag, compile, decode, differing, put, random, snake, stamp,
    timestamp,
};
use super::page::page;
use super::status::Problem;
use super::{names, webhooks};
use crate::admission::{self, Refused};
use crate::context::Context;
use crate::keys;
use crate::store::{MAX_WRITES, Precondition, Transaction, Write};

/// Old URLs taken at once.
const MAX_RETIRING: usize = 8;
const MAX_OVERLAP_SECONDS: u32 = 90 * 24 * 3600;
const TOKEN_BYTES: usize = 16;

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

fn merge(
    stored: &v1::WebhookGroupSpec,
    given: v1::WebhookGroupSpec,
    mask: &[String],
) -> Result<v1::WebhookGroupSpec, Problem> {
    if mask.is_empty() {
        return Ok(given);
    }
    let mut spec = stored.clone();
    for path in mask {
        match snake(path).as_str() {
            "connector" => spec.connector.clone_from(&given.connector),
            "function" => spec.function.clone_from(&given.function),
            "display_name" => spec.display_name.clone_from(&given.display_name),
            "pool" => spec.pool.clone_from(&given.pool),
            "external_id" => spec.external_id.clone_from(&given.external_id),
            "signature_secrets" => spec.signature_secrets.clone_from(&given.signature_secrets),
            "parameters" => spec.parameters.clone_from(&given.parameters),
            "accept_unsigned" => spec.accept_unsigned = given.accept_unsigned,
            "registered_events" => spec.registered_events.clone_from(&given.registered_events),
            "disabled" => spec.disabled = given.disabled,
            "max_body_bytes" => spec.max_body_bytes = given.max_body_bytes,
            "capture_unmatched" => spec.capture_unmatched = given.capture_unmatched,
            "refuse_suspected_replays" => {
                spec.refuse_suspected_replays = given.refuse_suspected_replays
            }
            "dedup_window_days" => spec.dedup_window_days = given.dedup_window_days,
            "rate_limit_per_second" => spec.rate_limit_per_second = given.rate_limit_per_second,
            _ => {
                return Err(Problem::field(
                    "update_mask",
                    format!("`{path}` is no field of a webhook group's spec"),
                ));
            }
        }
    }
    Ok(spec)
}

/// What saving this group would do.
pub(super) async fn prepare(
    desk: &Desk<'_>,
    given: &v1::WebhookGroup,
    mode: Mode<'_>,
) -> Result<Prepared<v1::WebhookGroup>, Problem> {
    let metadata = given.metadata.clone().unwrap_or_default();
    names::check("metadata.org", &metadata.org)?;
    names::check("metadata.name", &metadata.name)?;
    let name = names::group(&metadata.org, &metadata.name);
    let needs_org = desk.needs_org(&metadata.org).await?;
    let key = keys::group(&metadata.org, &metadata.name);
    let stored = desk.get::<v1::WebhookGroup>(&key).await?;
    let mut spec = given.spec.clone().unwrap_or_default();
    match (mode, &stored) {
        (Mode::Create, Some(_)) => return Err(Problem::Exists(name)),
        (Mode::Update { .. }, None) => return Err(Problem::NotFound(name)),
        (Mode::Update { mask }, Some((group, revision))) => {
            check_etag(&name, &metadata.etag, *revision)?;
            spec = merge(&group.spec.clone().unwrap_or_default(), spec, mask)?;
        }
        _ => {}
    }
    let old_spec = stored
        .as_ref()
        .map(|(group, _)| group.spec.clone().unwrap_or_default());
    let definition = match (
        desk.definition(&metadata.org, &spec.connector).await?,
        &stored,
    ) {
        (Some(definition), _) => definition,
        // The definition is gone: the group keeps the one it was saved with.
        (None, Some((group, _)))
            if old_spec
                .as_ref()
                .is_some_and(|old| old.connector == spec.connector) =>
        {
            desk.pinned(group).await?
        }
        _ => {
            return Err(Problem::field(
                "spec.connector",
                format!(
                    "there is no connector `{}`, built in or of org `{}`: `hookplane get connectors` lists them",
                    spec.connector, metadata.org
                ),
            ));
        }
    };
    admission::fill_defaults(&mut spec, old_spec.as_ref(), &definition)?;
    let errors = admission::check_bounds(&spec);
    if !errors.is_empty() {
        return Err(Problem::Fields(errors));
    }
    let (mut group, revision) = match stored {
        Some((group, revision)) => (group, revision),
        None => {
            let callback_url = callback_url(desk.context, &metadata.org, &spec)?;
            let status = v1::WebhookGroupStatus {
                callback_url,
                ..Default::default()
            };
            (
                v1::WebhookGroup {
                    metadata: Some(desk.fresh(&metadata.org, "", &metadata.name)?),
                    spec: None,
                    status: Some(status),
                },
                0,
            )
        }
    };
    let uid = group.metadata.as_ref().map_or("", |m| &m.uid).to_owned();
    let admitted = admission::seal_secrets(
        &desk.context.seal,
        &uid,
        spec,
        old_spec.as_ref(),
        &definition,
    )?;
    let digest = Connector::version_of(&definition.spec.clone().unwrap_or_default());
    let mut changed = match &old_spec {
        Some(old) => differing(old, &admitted.spec)?,
        None => Vec::new(),
    };
    if old_spec.is_some() {
        if group
            .status
            .as_ref()
            .is_some_and(|s| s.connector_version != digest)
        {
            changed.push("status.connectorVersion".to_owned());
        }
        let listed = changed
            .iter()
            .any(|field| field == "spec.signatureSecrets" || field == "spec.parameters");
        if admitted.secret == v1::SecretChange::Changed && !listed {
            changed.push("spec.signatureSecrets".to_owned());
        }
    }
    let action = match (&old_spec, changed.is_empty()) {
        (None, _) => v1::ChangeAction::Create,
        (Some(_), true) => v1::ChangeAction::Unchanged,
        (Some(_), false) => v1::ChangeAction::Update,
    };
    let mut transaction = Transaction::default();
    if action != v1::ChangeAction::Unchanged {
        group.spec = Some(admitted.spec);
        group.metadata.get_or_insert_default().update_time = Some(desk.now());
        let status = group.status.get_or_insert_default();
        status.connector_version.clone_from(&digest);
        prune(status, desk.context.clock.now().0);
        let connector = compile(&definition)?;
        let opened = admission::compile_group(&desk.context.seal, &group, &connector)?;
        let check = if revision == 0 {
            Precondition::Absent
        } else {
            Precondition::At(revision)
        };
        transaction.checks = vec![needs_org, (key.clone(), check)];
        transaction.writes.push(put(key, &group));
        if desk.entry(&keys::pin(&digest)).await?.is_none() {
            transaction
                .writes
                .push(put(keys::pin(&digest), &definition));
        }
        if old_spec.is_none() {
            let template = webhooks::template(desk, &metadata.org, &metadata.name)?;
            let key = keys::webhook(&metadata.org, &metadata.name, TEMPLATE);
            transaction.checks.push((key.clone(), Precondition::Absent));
            transaction.writes.push(put(key, &template));
        } else {
            still_compile(desk, &opened, &connector).await?;
        }
    }
    Ok(Prepared {
        transaction,
        resource: group,
        revision,
        action,
        changed,
        secret: admitted.secret,
    })
}

/// A group's change that breaks one of its webhooks is refused: that webhook would silently get nothing.
async fn still_compile(
    desk: &Desk<'_>,
    opened: &v1::WebhookGroup,
    connector: &Connector,
) -> Result<(), Problem> {
    let metadata = opened.metadata.clone().unwrap_or_default();
    let prefix = keys::webhook(&metadata.org, &metadata.name, "");
    for (_, webhook) in desk.all::<v1::Webhook>(&prefix).await? {
        let name = webhook.metadata.as_ref().map_or("", |m| &m.name);
        if name == TEMPLATE {
            continue;
        }
        if let Err(errors) = Webhook::compile(&webhook, opened, connector) {
            let fields = errors
                .into_iter()
                .map(|e| FieldError::new("spec.registeredEvents", format!("webhook `{name}` would no longer be valid ({e}): change that webhook first")))
                .collect();
            return Err(Problem::Fields(fields));
        }
    }
    Ok(())
}

fn callback_url(
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

fn prune(status: &mut v1::WebhookGroupStatus, now_millis: i64) {
    let now = now_millis.div_euclid(1000);
    status
        .retiring_urls
        .retain(|url| url.expire_time.as_ref().is_some_and(|t| t.seconds > now));
}

/// As callers see it: no secret, sealed or not.
pub(super) async fn present(
    desk: &Desk<'_>,
    mut group: v1::WebhookGroup,
    revision: u64,
) -> Result<v1::WebhookGroup, Problem> {
    stamp(&mut group.metadata, revision);
    let metadata = group.metadata.clone().unwrap_or_default();
    let spec = group.spec.get_or_insert_default();
    for secret in &mut spec.signature_secrets {
        secret.value.clear();
        secret.sealed = Bytes::new();
    }
    spec.sealed_parameters.clear();
    let current = desk.definition(&metadata.org, &spec.connector).await?;
    let status = group.status.get_or_insert_default();
    status.connector_update_available = current.is_some_and(|c| {
        Connector::version_of(&c.spec.unwrap_or_default()) != status.connector_version
    });
    status.live = Some(desk.context.fleet.live(&spec.pool, &metadata.uid, revision));
    Ok(group)
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
    async fn list(
        &self,
        request: v1::ListWebhookGroupsRequest,
    ) -> Result<v1::ListWebhookGroupsResponse, Problem> {
        let [org] = names::parse("parent", &request.parent, "orgs/*", true)?;
        let prefix = if org == names::ANY {
            keys::GROUPS.to_owned()
        } else {
            keys::group(org, "")
        };
        let (entries, next_page_token) = page(
            &*self.context.store,
            &prefix,
            &prefix,
            request.page_size,
            &request.page_token,
            |_| true,
        )
        .await?;
        let desk = Desk::new(&self.context);
        let mut webhook_groups = Vec::with_capacity(entries.len());
        for entry in &entries {
            webhook_groups.push(present(&desk, decode(entry)?, entry.revision).await?);
        }
        Ok(v1::ListWebhookGroupsResponse {
            webhook_groups,
            next_page_token,
        })
    }

    async fn save(
        &self,
        group: &v1::WebhookGroup,
        mode: Mode<'_>,
        validate_only: bool,
    ) -> Result<v1::WebhookGroup, Problem> {
        let desk = Desk::new(&self.context);
        let mut prepared = prepare(&desk, group, mode).await?;
        let revision = if validate_only {
            prepared.revision
        } else {
            desk.write(&mut prepared).await?
        };
        present(&desk, prepared.resource, revision).await
    }

    async fn rotate(
        &self,
        request: v1::RotateCallbackUrlRequest,
    ) -> Result<v1::WebhookGroup, Problem> {
        let [org, name] = names::parse("name", &request.name, "orgs/*/groups/*", false)?;
        if request.overlap_seconds > MAX_OVERLAP_SECONDS {
            return Err(Problem::field(
                "overlap_seconds",
                format!("is at most {MAX_OVERLAP_SECONDS} (90 days)"),
            ));
        }
        let desk = Desk::new(&self.context);
        let (mut group, revision) = find(&desk, org, name).await?;
        check_etag(&request.name, &request.etag, revision)?;
        let url = callback_url(&self.context, org, &group.spec.clone().unwrap_or_default())?;
        let now = self.context.clock.now().0;
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
                expire_time: Some(timestamp(expires)),
            });
        }
        group.metadata.get_or_insert_default().update_time = Some(desk.now());
        let key = keys::group(org, name);
        let transaction = Transaction {
            checks: vec![(key.clone(), Precondition::At(revision))],
            writes: vec![put(key, &group)],
        };
        let revision = desk.commit(transaction).await?;
        present(&desk, group, revision).await
    }

    /// Webhooks go first, so that what a crash leaves behind is a group that can be deleted again.
    async fn delete(&self, request: v1::DeleteWebhookGroupRequest) -> Result<(), Problem> {
        let [org, name] = names::parse("name", &request.name, "orgs/*/groups/*", false)?;
        let desk = Desk::new(&self.context);
        let (_, revision) = find(&desk, org, name).await?;
        check_etag(&request.name, &request.etag, revision)?;
        let key = keys::group(org, name);
        let found = desk
            .all::<v1::Webhook>(&keys::webhook(org, name, ""))
            .await?;
        // One write is the group's, and one check is.
        let chunks: Vec<_> = found.chunks(MAX_WRITES - 2).collect();
        for (i, chunk) in chunks.iter().enumerate() {
            let mut writes: Vec<Write> = chunk
                .iter()
                .map(|(key, _)| Write::Delete(key.clone()))
                .collect();
            if i + 1 == chunks.len() {
                writes.push(Write::Delete(key.clone()));
            }
            desk.commit(Transaction {
                checks: vec![(key.clone(), Precondition::At(revision))],
                writes,
            })
            .await?;
        }
        if chunks.is_empty() {
            let writes = vec![Write::Delete(key.clone())];
            desk.commit(Transaction {
                checks: vec![(key, Precondition::At(revision))],
                writes,
            })
            .await?;
        }
        for (_, webhook) in found {
            let uid = webhook.metadata.unwrap_or_default().uid;
            self.context
                .log
                .drop_deliveries(&uid, "its webhook group was deleted")
                .await?;
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl v1::webhook_group_service_server::WebhookGroupService for GroupApi {
    async fn list_webhook_groups(
        &self,
        request: Request<v1::ListWebhookGroupsRequest>,
    ) -> Result<Response<v1::ListWebhookGroupsResponse>, Status> {
        Ok(Response::new(self.list(request.into_inner()).await?))
    }

    async fn get_webhook_group(
        &self,
        request: Request<v1::GetWebhookGroupRequest>,
    ) -> Result<Response<v1::WebhookGroup>, Status> {
        let name = request.into_inner().name;
        let [org, group] = names::parse("name", &name, "orgs/*/groups/*", false)?;
        let desk = Desk::new(&self.context);
        let (group, revision) = find(&desk, org, group).await?;
        Ok(Response::new(present(&desk, group, revision).await?))
    }

    async fn create_webhook_group(
        &self,
        request: Request<v1::CreateWebhookGroupRequest>,
    ) -> Result<Response<v1::WebhookGroup>, Status> {
        let request = request.into_inner();
        let [org] = names::parse("parent", &request.parent, "orgs/*", false)?;
        let mut group = request.webhook_group.unwrap_or_default();
        group.metadata.get_or_insert_default().org = org.to_owned();
        Ok(Response::new(
            self.save(&group, Mode::Create, request.validate_only)
                .await?,
        ))
    }

    async fn update_webhook_group(
        &self,
        request: Request<v1::UpdateWebhookGroupRequest>,
    ) -> Result<Response<v1::WebhookGroup>, Status> {
        let request = request.into_inner();
        let mask = request.update_mask.unwrap_or_default().paths;
        let group = request.webhook_group.unwrap_or_default();
        Ok(Response::new(
            self.save(&group, Mode::Update { mask: &mask }, request.validate_only)
                .await?,
        ))
    }

    async fn delete_webhook_group(
        &self,
        request: Request<v1::DeleteWebhookGroupRequest>,
    ) -> Result<Response<()>, Status> {
        self.delete(request.into_inner()).await?;
        Ok(Response::new(()))
    }

    async fn rotate_callback_url(
        &self,
        request: Request<v1::RotateCallbackUrlRequest>,
    ) -> Result<Response<v1::WebhookGroup>, Status> {
        Ok(Response::new(self.rotate(request.into_inner()).await?))
    }
}
