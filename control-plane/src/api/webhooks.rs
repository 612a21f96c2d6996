//! Webhooks: created, cloned, updated, deleted; and the template that each group has.

mod present;

use hookplane_proto::v1;
use hookplane_rules::{TEMPLATE, Webhook};
use tonic::{Request, Response, Status};

use super::desk::{Desk, Mode, Prepared, check_etag, compile, decode, put, snake};
use super::page::page;
use super::status::Problem;
use super::{difference, groups, guard, mappings, names, skew, targets, waiting};
use crate::access::{Caller, Target, opened};
use crate::aside;
use crate::config::tombstone;
use crate::context::Context;
use crate::dispatch::unsubscribed::{self, has_subscribers};
use crate::keys;
use crate::log::Selection;
use crate::store::{Precondition, Transaction, Write};
use crate::tidy;

pub(super) use present::present;
use present::{Group, present_of};

/// Serves `WebhookService`.
pub struct WebhookApi {
    /// The seams.
    pub context: Context,
}

pub(super) fn template(desk: &Desk<'_>, org: &str, group: &str) -> Result<v1::Webhook, Problem> {
    let spec = v1::WebhookSpec {
        label: "Template".to_owned(),
        ..Default::default()
    };
    Ok(v1::Webhook {
        metadata: Some(desk.fresh(org, group, TEMPLATE)?),
        spec: Some(spec),
        status: None,
    })
}

fn merge(
    stored: &v1::WebhookSpec,
    given: v1::WebhookSpec,
    mask: &[String],
) -> Result<v1::WebhookSpec, Problem> {
    if mask.is_empty() {
        return Ok(given);
    }
    let mut spec = stored.clone();
    for path in mask {
        match snake(path).as_str() {
            "label" => spec.label.clone_from(&given.label),
            "active" => spec.active = given.active,
            "events" => spec.events.clone_from(&given.events),
            "filter" => spec.filter.clone_from(&given.filter),
            "destinations" => spec.destinations.clone_from(&given.destinations),
            "mapping" => spec.mapping.clone_from(&given.mapping),
            "order_by" => spec.order_by.clone_from(&given.order_by),
            _ => {
                return Err(Problem::field(
                    "update_mask",
                    format!("`{path}` is no field of a webhook's spec"),
                ));
            }
        }
    }
    Ok(spec)
}

/// What saving this webhook would do.
pub(super) async fn prepare(
    desk: &Desk<'_>,
    given: &v1::Webhook,
    mode: Mode<'_>,
) -> Result<Prepared<v1::Webhook>, Problem> {
    let metadata = given.metadata.clone().unwrap_or_default();
    names::check("metadata.org", &metadata.org)?;
    names::check("metadata.group", &metadata.group)?;
    names::check("metadata.name", &metadata.name)?;
    let name = names::webhook(&metadata.org, &metadata.group, &metadata.name);
    let (group, group_revision) = groups::find(desk, &metadata.org, &metadata.group).await?;
    let key = keys::webhook(&metadata.org, &metadata.group, &metadata.name);
    let stored = desk.get::<v1::Webhook>(&key).await?;
    let mut spec = given.spec.clone().unwrap_or_default();
    if let Some((old, mask)) = mode.begin(&name, &metadata.etag, &stored)? {
        spec = merge(&old.spec.clone().unwrap_or_default(), spec, mask)?;
    }
    if metadata.name == TEMPLATE && spec.active {
        return Err(Problem::field(
            "spec.active",
            "the template never matches: clone it and activate the clone",
        ));
    }
    let fresh = desk.fresh(&metadata.org, &metadata.group, &metadata.name)?;
    let (of, old) = match &stored {
        Some((webhook, _)) => (
            webhook.metadata.as_ref().unwrap_or(&fresh),
            webhook.spec.as_ref(),
        ),
        None => (&fresh, None),
    };
    let targets = targets::admit_of_webhook(desk, of, &mut spec, old).await?;
    let loses_subscribers = old.is_some_and(has_subscribers) && !has_subscribers(&spec);
    let (mut webhook, revision, changed, check, action) = match stored {
        None => (
            v1::Webhook {
                metadata: Some(fresh),
                ..Default::default()
            },
            0,
            Vec::new(),
            Precondition::Absent,
            v1::ChangeAction::Create,
        ),
        Some((webhook, revision)) => {
            let mut changed = difference::fields(&webhook.spec.clone().unwrap_or_default(), &spec)?;
            targets.tell(&mut changed);
            let action = if changed.is_empty() {
                v1::ChangeAction::Unchanged
            } else {
                v1::ChangeAction::Update
            };
            (
                webhook,
                revision,
                changed,
                Precondition::At(revision),
                action,
            )
        }
    };
    let mut transaction = Transaction::default();
    if action != v1::ChangeAction::Unchanged {
        skew::webhook(desk, webhook.spec.as_ref(), &spec)?;
        webhook.spec = Some(spec);
        let connector = compile(&metadata.org, desk.pinned(&group).await?).await?;
        let of_task = webhook.clone();
        let compiled = aside::SAVES.run(&metadata.org, move |_| {
            Webhook::compile(&of_task, &group, &connector)
        });
        let mut errors = compiled.await?.err().unwrap_or_default();
        let versions = mappings::save(desk, &mut webhook, &mut errors).await?;
        if !errors.is_empty() {
            return Err(Problem::Fields(errors));
        }
        webhook.metadata.get_or_insert_default().update_time = Some(desk.now());
        let group_key = keys::group(&metadata.org, &metadata.group);
        // Checked against this very version of the group.
        transaction.checks = vec![
            (group_key, Precondition::At(group_revision)),
            (key.clone(), check),
        ];
        if loses_subscribers {
            let uid = webhook.metadata.as_ref().map_or("", |of| &of.uid);
            transaction.writes.push(unsubscribed::note(uid, &key));
        }
        transaction.writes.push(put(key, &webhook));
        let guarded = keys::group_guard(&metadata.org, &metadata.group);
        transaction.writes.push(guard::touch(guarded));
        targets.hold(&metadata.org, &mut transaction);
        transaction.writes.extend(versions);
    }
    Ok(Prepared {
        transaction,
        resource: webhook,
        revision,
        action,
        changed,
        definition: Vec::new(),
        hints: Vec::new(),
        secret: targets.secret,
    })
}

impl WebhookApi {
    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListWebhooksRequest,
    ) -> Result<v1::ListWebhooksResponse, Problem> {
        let [org, group] = names::parse("parent", &request.parent, "orgs/*/groups/*", true)?;
        let desk = Desk::new(&self.context, caller);
        let named = org != names::ANY;
        let org = caller.narrow(names::named(org))?;
        // A name mistyped is not an org or a group without webhooks.
        let prefix = match (&org, group) {
            (None, _) => keys::WEBHOOKS.to_owned(),
            (Some(org), group) if named && group != names::ANY => {
                super::groups::find(&desk, org, group).await?;
                keys::webhook(org, group, "")
            }
            (Some(org), _) => {
                desk.needs_org(org).await?;
                format!("{}{org}/", keys::WEBHOOKS)
            }
        };
        let of_group = |key: &str| group == names::ANY || key.rsplit('/').nth(1) == Some(group);
        let (entries, next_page_token) = page(
            &*self.context.store,
            &request.parent,
            &prefix,
            request.page_size,
            &request.page_token,
            of_group,
        )
        .await?;
        let mut webhooks = Vec::with_capacity(entries.len());
        // They come group by group, and a group may have hundreds.
        let mut of: Option<Group> = None;
        for entry in &entries {
            let webhook = decode(entry)?;
            let group = match of.take().filter(|of| of.key == Group::key(&webhook)) {
                Some(same) => same,
                None => Group::of(&desk, &webhook).await?,
            };
            webhooks.push(present_of(&desk, webhook, entry.revision, &group).await);
            of = Some(group);
        }
        Ok(v1::ListWebhooksResponse {
            webhooks,
            next_page_token,
        })
    }

    async fn save(
        &self,
        caller: &Caller,
        webhook: &v1::Webhook,
        mode: Mode<'_>,
        validate_only: bool,
    ) -> Result<v1::Webhook, Problem> {
        let metadata = webhook.metadata.clone().unwrap_or_default();
        let desk = Desk::new(&self.context, caller);
        desk.owned(&metadata.org)?;
        let mut prepared = prepare(&desk, webhook, mode).await?;
        let revision = desk.write_unless(validate_only, &mut prepared).await?;
        present(&desk, prepared.resource, revision).await
    }

    async fn find(
        &self,
        desk: &Desk<'_>,
        path: &str,
    ) -> Result<(String, v1::Webhook, u64), Problem> {
        let [org, group, name] = names::parse("name", path, "orgs/*/groups/*/webhooks/*", false)?;
        desk.caller.check(Target::Webhook { org, path })?;
        let key = keys::webhook(org, group, name);
        let found = desk.get(&key).await?;
        let (webhook, revision): (v1::Webhook, u64) =
            found.ok_or_else(|| Problem::NotFound(path.to_owned()))?;
        let uid = webhook.metadata.as_ref().map_or("", |m| &m.uid);
        desk.caller.check(Target::FoundWebhook { org, path, uid })?;
        Ok((key, webhook, revision))
    }

    async fn clone_webhook(
        &self,
        caller: &Caller,
        request: v1::CloneWebhookRequest,
    ) -> Result<v1::Webhook, Problem> {
        names::check("new_name", &request.new_name)?;
        let desk = Desk::new(&self.context, caller);
        let (_, original, _) = self.find(&desk, &request.name).await?;
        let mut spec = targets::open_for_copy(&desk, &original)?;
        spec.active = request.active;
        if !request.label.is_empty() {
            spec.label = request.label;
        }
        if !request.events.is_empty() {
            spec.events = request.events;
        }
        if let Some(filter) = request.filter {
            spec.filter = filter;
        }
        let of = original.metadata.unwrap_or_default();
        let metadata = v1::Metadata {
            org: of.org,
            group: of.group,
            name: request.new_name,
            ..Default::default()
        };
        self.save(
            caller,
            &v1::Webhook {
                metadata: Some(metadata),
                spec: Some(spec),
                status: None,
            },
            Mode::Create,
            false,
        )
        .await
    }

    async fn delete(
        &self,
        caller: &Caller,
        request: v1::DeleteWebhookRequest,
    ) -> Result<(), Problem> {
        let desk = Desk::new(&self.context, caller);
        let (key, webhook, revision) = self.find(&desk, &request.name).await?;
        check_etag(&request.name, &request.etag, revision)?;
        let metadata = webhook.metadata.unwrap_or_default();
        if metadata.name == TEMPLATE {
            return Err(Problem::Refused(
                "the template goes with its group: delete the group instead".to_owned(),
            ));
        }
        if !request.discard_pending {
            let selection = Selection {
                webhook_uid: Some(metadata.uid.clone()),
                ..Selection::default()
            };
            waiting::none(&self.context, &request.name, selection).await?;
        }
        let (group, _) = groups::find(&desk, &metadata.org, &metadata.group).await?;
        let of = group.metadata.unwrap_or_default().uid;
        let mut writes = vec![
            Write::Delete(key.clone()),
            tidy::note(&metadata.uid, "its webhook was deleted"),
        ];
        let uids = vec![metadata.uid];
        writes.extend(tombstone::of_webhooks(&of, uids, desk.context.clock.now()));
        desk.commit(Transaction {
            checks: vec![(key, Precondition::At(revision))],
            writes,
        })
        .await?;
        tidy::drop_noted(&self.context).await;
        Ok(())
    }
}

#[tonic::async_trait]
impl v1::webhook_service_server::WebhookService for WebhookApi {
    async fn list_webhooks(
        &self,
        request: Request<v1::ListWebhooksRequest>,
    ) -> Result<Response<v1::ListWebhooksResponse>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(self.list(&caller, request).await?))
    }

    async fn get_webhook(
        &self,
        request: Request<v1::GetWebhookRequest>,
    ) -> Result<Response<v1::Webhook>, Status> {
        let (caller, request) = opened(request)?;
        let desk = Desk::new(&self.context, &caller);
        let (_, webhook, revision) = self.find(&desk, &request.name).await?;
        Ok(Response::new(present(&desk, webhook, revision).await?))
    }

    async fn get_mapping_version(
        &self,
        request: Request<v1::GetMappingVersionRequest>,
    ) -> Result<Response<v1::MappingVersion>, Status> {
        let (caller, request) = opened(request)?;
        let desk = Desk::new(&self.context, &caller);
        let (_, webhook, _) = self.find(&desk, &request.name).await?;
        Ok(Response::new(
            mappings::read(&desk, &webhook, request).await?,
        ))
    }

    async fn create_webhook(
        &self,
        request: Request<v1::CreateWebhookRequest>,
    ) -> Result<Response<v1::Webhook>, Status> {
        let (caller, request) = opened(request)?;
        let [org, group] = names::parse("parent", &request.parent, "orgs/*/groups/*", false)?;
        let mut webhook = request.webhook.unwrap_or_default();
        let metadata = webhook.metadata.get_or_insert_default();
        (metadata.org, metadata.group) = (org.to_owned(), group.to_owned());
        Ok(Response::new(
            self.save(&caller, &webhook, Mode::Create, request.validate_only)
                .await?,
        ))
    }

    async fn update_webhook(
        &self,
        request: Request<v1::UpdateWebhookRequest>,
    ) -> Result<Response<v1::Webhook>, Status> {
        let (caller, request) = opened(request)?;
        let mask = request.update_mask.unwrap_or_default().paths;
        let webhook = request.webhook.unwrap_or_default();
        Ok(Response::new(
            self.save(
                &caller,
                &webhook,
                Mode::Update { mask: &mask },
                request.validate_only,
            )
            .await?,
        ))
    }

    async fn delete_webhook(
        &self,
        request: Request<v1::DeleteWebhookRequest>,
    ) -> Result<Response<()>, Status> {
        let (caller, request) = opened(request)?;
        self.delete(&caller, request).await?;
        Ok(Response::new(()))
    }

    async fn clone_webhook(
        &self,
        request: Request<v1::CloneWebhookRequest>,
    ) -> Result<Response<v1::Webhook>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(
            WebhookApi::clone_webhook(self, &caller, request).await?,
        ))
    }
}
