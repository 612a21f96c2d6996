//! Orgs: the tenants.

use hookplane_proto::v1;
use tonic::{Request, Response, Status};

use super::desk::{Desk, Mode, Prepared, check_etag, decode, put, stamp};
use super::page::page;
use super::status::Problem;
use super::{difference, guard, names, skew, tokens};
use crate::access::{Caller, Target, opened};
use crate::admission::check_retention;
use crate::context::Context;
use crate::keys;
use crate::store::{MAX_WRITES, Precondition, Transaction, Write};

pub(super) const MAX_DISPLAY_NAME: usize = 200;
/// Deleted in one transaction; the org takes two checks and two writes.
const TOKENS_AT_ONCE: usize = MAX_WRITES - 4;

/// Serves `OrgService`.
pub struct OrgApi {
    /// The seams.
    pub context: Context,
}

pub(super) fn check_text(field: &str, text: &str, max: usize) -> Result<(), Problem> {
    if text.chars().count() <= max {
        return Ok(());
    }
    Err(Problem::field(
        field,
        format!("is longer than {max} characters"),
    ))
}

pub(super) async fn prepare(
    desk: &Desk<'_>,
    given: &v1::Org,
    mode: Mode<'_>,
) -> Result<Prepared<v1::Org>, Problem> {
    let metadata = given.metadata.clone().unwrap_or_default();
    names::check("metadata.name", &metadata.name)?;
    let key = keys::org(&metadata.name);
    let stored = desk.get::<v1::Org>(&key).await?;
    if stored.is_some() && matches!(mode, Mode::Create) {
        return Err(Problem::Exists(names::org(&metadata.name)));
    }
    let spec = given.spec.clone().unwrap_or_default();
    check_text("spec.displayName", &spec.display_name, MAX_DISPLAY_NAME)?;
    if let Some(wrong) = check_retention(spec.retention.as_ref()) {
        return Err(wrong.into());
    }
    let (mut org, revision, changed, check, action) = match stored {
        None => {
            let org = v1::Org {
                metadata: Some(desk.fresh("", "", &metadata.name)?),
                spec: None,
            };
            (
                org,
                0,
                Vec::new(),
                Precondition::Absent,
                v1::ChangeAction::Create,
            )
        }
        Some((org, revision)) => {
            let changed = difference::fields(&org.spec.clone().unwrap_or_default(), &spec)?;
            let action = if changed.is_empty() {
                v1::ChangeAction::Unchanged
            } else {
                v1::ChangeAction::Update
            };
            (org, revision, changed, Precondition::At(revision), action)
        }
    };
    let mut transaction = Transaction::default();
    if action != v1::ChangeAction::Unchanged {
        skew::org(desk, org.spec.as_ref(), &spec)?;
        org.spec = Some(spec);
        org.metadata.get_or_insert_default().update_time = Some(desk.now());
        transaction.checks.push((key.clone(), check));
        transaction.writes.push(put(key, &org));
    }
    Ok(Prepared {
        transaction,
        resource: org,
        revision,
        action,
        changed,
        definition: Vec::new(),
        hints: Vec::new(),
        secret: v1::SecretChange::Unspecified,
    })
}

pub(super) fn present(mut org: v1::Org, revision: u64) -> v1::Org {
    stamp(&mut org.metadata, revision);
    org
}

impl OrgApi {
    async fn delete(&self, caller: &Caller, request: v1::DeleteOrgRequest) -> Result<(), Problem> {
        let [name] = names::parse("name", &request.name, "orgs/*", false)?;
        caller.check(Target::Org(name))?;
        let desk = Desk::new(&self.context, caller);
        let key = keys::org(name);
        let (_, revision) = desk
            .get::<v1::Org>(&key)
            .await?
            .ok_or_else(|| Problem::NotFound(request.name.clone()))?;
        check_etag(&request.name, &request.etag, revision)?;
        // Read before what is below: what is made there later changes it, and then the org stays.
        let guarded = keys::org_guard(name);
        let unchanged = guard::read(&desk, guarded.clone()).await?;
        for (prefix, what) in [
            (keys::GROUPS, "webhook groups"),
            (keys::CONNECTORS, "connectors"),
            (keys::DESTINATIONS, "destinations"),
        ] {
            let below = self
                .context
                .store
                .list(&format!("{prefix}{name}/"), None, 1, None)
                .await?;
            if !below.entries.is_empty() {
                return Err(Problem::Refused(format!(
                    "`orgs/{name}` still has {what}: delete those first"
                )));
            }
        }
        // Tokens first, so that what a crash leaves behind is an org that can be deleted again.
        let checks = vec![(key.clone(), Precondition::At(revision)), unchanged];
        let mut tokens = tokens::keys_of(&self.context, name).await?;
        loop {
            let rest = tokens.split_off(tokens.len().min(TOKENS_AT_ONCE));
            let last = rest.is_empty();
            let mut writes: Vec<Write> = tokens.into_iter().map(Write::Delete).collect();
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
            tokens = rest;
        }
    }
}

#[tonic::async_trait]
impl v1::org_service_server::OrgService for OrgApi {
    async fn list_orgs(
        &self,
        request: Request<v1::ListOrgsRequest>,
    ) -> Result<Response<v1::ListOrgsResponse>, Status> {
        let (caller, request) = opened(request)?;
        let store = &*self.context.store;
        let own = caller.narrow(None)?.map(|org| keys::org(&org));
        let (entries, next_page_token) = page(
            store,
            "orgs",
            own.as_deref().unwrap_or(keys::ORGS),
            request.page_size,
            &request.page_token,
            |key| own.as_deref().is_none_or(|own| own == key),
        )
        .await?;
        let orgs = entries
            .iter()
            .map(|entry| decode(entry).map(|org| present(org, entry.revision)))
            .collect::<Result<_, Problem>>()?;
        Ok(Response::new(v1::ListOrgsResponse {
            orgs,
            next_page_token,
        }))
    }

    async fn get_org(
        &self,
        request: Request<v1::GetOrgRequest>,
    ) -> Result<Response<v1::Org>, Status> {
        let (caller, v1::GetOrgRequest { name }) = opened(request)?;
        let [org] = names::parse("name", &name, "orgs/*", false)?;
        caller.check(Target::Org(org))?;
        let found = Desk::new(&self.context, &caller)
            .get::<v1::Org>(&keys::org(org))
            .await?;
        let (org, revision) = found.ok_or(Problem::NotFound(name))?;
        Ok(Response::new(present(org, revision)))
    }

    async fn create_org(
        &self,
        request: Request<v1::CreateOrgRequest>,
    ) -> Result<Response<v1::Org>, Status> {
        let (caller, request) = opened(request)?;
        caller.check(Target::Installation)?;
        let desk = Desk::new(&self.context, &caller);
        let mut prepared = prepare(&desk, &request.org.unwrap_or_default(), Mode::Create).await?;
        let revision = if request.validate_only {
            0
        } else {
            desk.write(&mut prepared).await?
        };
        Ok(Response::new(present(prepared.resource, revision)))
    }

    async fn delete_org(
        &self,
        request: Request<v1::DeleteOrgRequest>,
    ) -> Result<Response<()>, Status> {
        let (caller, request) = opened(request)?;
        self.delete(&caller, request).await?;
        Ok(Response::new(()))
    }
}
