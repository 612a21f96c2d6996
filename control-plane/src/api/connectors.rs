//! Connectors: the built-in ones, read only, and an org's own.

use std::collections::BTreeMap;

use hookplane_proto::v1;
use hookplane_rules::trial;
use tonic::{Request, Response, Status};

use super::desk::{Desk, Mode, Prepared, check_etag, compile, decode, put, stamp};
use super::page::{is_of, page, page_in_memory};
use super::status::Problem;
use super::{difference, guard, names};
use crate::access::{Caller, Target, opened};
use crate::aside;
use crate::context::Context;
use crate::keys;
use crate::store::{Precondition, Transaction, Write};

/// The list of the built-in ones, which come first.
const BUILT_IN: &str = "built-in connectors";

/// Serves `ConnectorService`.
pub struct ConnectorApi {
    /// The seams.
    pub context: Context,
}

pub(super) async fn prepare(
    desk: &Desk<'_>,
    given: &v1::Connector,
    mode: Mode<'_>,
) -> Result<Prepared<v1::Connector>, Problem> {
    let metadata = given.metadata.clone().unwrap_or_default();
    if metadata.org.is_empty() {
        return Err(Problem::field(
            "metadata.org",
            "is missing: a connector that is applied belongs to an org (the built-in ones can't be changed)",
        ));
    }
    names::check("metadata.org", &metadata.org)?;
    names::check("metadata.name", &metadata.name)?;
    let name = names::connector(&metadata.org, &metadata.name);
    let needs_org = desk.needs_org(&metadata.org).await?;
    let key = keys::connector(&metadata.org, &metadata.name);
    let stored = desk.get::<v1::Connector>(&key).await?;
    // One that was there before a release brought a built-in one of its name stays the org's own.
    if stored.is_none() && desk.context.catalogue.get(&metadata.name).is_some() {
        return Err(Problem::field(
            "metadata.name",
            format!(
                "`{}` is a built-in connector: choose another name",
                metadata.name
            ),
        ));
    }
    mode.begin(&name, &metadata.etag, &stored)?;
    let spec = given.spec.clone().unwrap_or_default();
    let (mut connector, revision, changed, check, action) = match stored {
        None => {
            let fresh = desk.fresh(&metadata.org, "", &metadata.name)?;
            (
                v1::Connector {
                    metadata: Some(fresh),
                    spec: None,
                },
                0,
                Vec::new(),
                Precondition::Absent,
                v1::ChangeAction::Create,
            )
        }
        Some((connector, revision)) => {
            let changed = difference::fields(&connector.spec.clone().unwrap_or_default(), &spec)?;
            let action = if changed.is_empty() {
                v1::ChangeAction::Unchanged
            } else {
                v1::ChangeAction::Update
            };
            (
                connector,
                revision,
                changed,
                Precondition::At(revision),
                action,
            )
        }
    };
    connector.spec = Some(spec);
    try_out(desk, &connector).await?;
    let mut transaction = Transaction::default();
    if action != v1::ChangeAction::Unchanged {
        connector.metadata.get_or_insert_default().update_time = Some(desk.now());
        transaction.checks = vec![needs_org, (key.clone(), check)];
        transaction.writes.push(put(key, &connector));
        let guarded = keys::org_guard(&metadata.org);
        transaction.writes.push(guard::touch(guarded));
    }
    Ok(Prepared {
        transaction,
        resource: connector,
        revision,
        action,
        changed,
        definition: Vec::new(),
        hints: Vec::new(),
        secret: v1::SecretChange::Unspecified,
    })
}

/// Compiles a definition and runs its own tests, also where nothing changes: a test may say nothing of its time, and rules get better.
async fn try_out(desk: &Desk<'_>, connector: &v1::Connector) -> Result<(), Problem> {
    let org = connector.metadata.as_ref().map_or("", |m| &m.org);
    let compiled = compile(org, connector.clone()).await?;
    let spec = connector.spec.clone().unwrap_or_default();
    if spec.tests.is_empty() {
        return Ok(());
    }
    let now = desk.context.clock.now();
    // A hundred of them take their time, and other calls don't wait for it.
    let run = aside::SAVES.run(org, move |_| trial::check(&spec, &compiled, now));
    let errors = run.await?;
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::Fields(errors))
    }
}

pub(super) fn present(mut connector: v1::Connector, revision: u64) -> v1::Connector {
    stamp(&mut connector.metadata, revision);
    connector
}

impl ConnectorApi {
    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListConnectorsRequest,
    ) -> Result<v1::ListConnectorsResponse, Problem> {
        let prefix = if request.parent.is_empty() {
            caller.check(Target::Public)?;
            None
        } else {
            let [org] = names::parse("parent", &request.parent, "orgs/*", true)?;
            Some(match caller.narrow(names::named(org))? {
                None => (keys::CONNECTORS.to_owned(), keys::GROUPS.to_owned()),
                Some(org) => (keys::connector(&org, ""), keys::group(&org, "")),
            })
        };
        let mut webhook_groups = BTreeMap::new();
        if let (Some((_, groups)), true) = (&prefix, request.page_token.is_empty()) {
            for (_, group) in self.context.view.groups_below(groups, |_| true) {
                let connector = group.spec.as_ref().map_or("", |spec| &spec.connector);
                *webhook_groups.entry(connector.to_owned()).or_insert(0) += 1;
            }
        }
        if request.page_token.is_empty() || is_of(BUILT_IN, &request.page_token) {
            let (found, next_page_token) = page_in_memory(
                BUILT_IN,
                self.context.catalogue.named(),
                request.page_size,
                &request.page_token,
                prefix.is_some(),
            )?;
            if !found.is_empty() || prefix.is_none() {
                return Ok(v1::ListConnectorsResponse {
                    connectors: found.into_iter().cloned().collect(),
                    next_page_token,
                    webhook_groups,
                });
            }
        }
        let mut connectors: Vec<v1::Connector> = Vec::new();
        let mut next_page_token = String::new();
        if let Some((prefix, _)) = prefix {
            let token = match is_of(BUILT_IN, &request.page_token) {
                true => "",
                false => &request.page_token,
            };
            let (entries, next) = page(
                &*self.context.store,
                &prefix,
                &prefix,
                request.page_size,
                token,
                |_| true,
            )
            .await?;
            for entry in &entries {
                connectors.push(present(decode(entry)?, entry.revision));
            }
            next_page_token = next;
        }
        Ok(v1::ListConnectorsResponse {
            connectors,
            next_page_token,
            webhook_groups,
        })
    }

    async fn get(&self, caller: &Caller, name: &str) -> Result<v1::Connector, Problem> {
        let missing = || Problem::NotFound(name.to_owned());
        if name.starts_with("connectors/") {
            let [built_in] = names::parse("name", name, "connectors/*", false)?;
            caller.check(Target::Public)?;
            return self
                .context
                .catalogue
                .get(built_in)
                .cloned()
                .ok_or_else(missing);
        }
        let [org, own] = names::parse("name", name, "orgs/*/connectors/*", false)?;
        caller.check(Target::Org(org))?;
        let found = Desk::new(&self.context, caller)
            .get(&keys::connector(org, own))
            .await?;
        let (connector, revision) = found.ok_or_else(missing)?;
        Ok(present(connector, revision))
    }

    async fn write(
        &self,
        caller: &Caller,
        connector: &v1::Connector,
        mode: Mode<'_>,
        validate_only: bool,
    ) -> Result<v1::Connector, Problem> {
        let metadata = connector.metadata.clone().unwrap_or_default();
        let desk = Desk::new(&self.context, caller);
        desk.owned(&metadata.org)?;
        let mut prepared = prepare(&desk, connector, mode).await?;
        let revision = desk.write_unless(validate_only, &mut prepared).await?;
        Ok(present(prepared.resource, revision))
    }

    async fn delete(
        &self,
        caller: &Caller,
        request: v1::DeleteConnectorRequest,
    ) -> Result<(), Problem> {
        let [org, own] = names::parse("name", &request.name, "orgs/*/connectors/*", false)?;
        caller.check(Target::Org(org))?;
        let desk = Desk::new(&self.context, caller);
        let key = keys::connector(org, own);
        let found = desk.get::<v1::Connector>(&key).await?;
        let (_, revision) = found.ok_or_else(|| Problem::NotFound(request.name.clone()))?;
        check_etag(&request.name, &request.etag, revision)?;
        desk.commit(Transaction {
            checks: vec![(key.clone(), Precondition::At(revision))],
            writes: vec![Write::Delete(key)],
        })
        .await?;
        Ok(())
    }
}

#[tonic::async_trait]
impl v1::connector_service_server::ConnectorService for ConnectorApi {
    async fn list_connectors(
        &self,
        request: Request<v1::ListConnectorsRequest>,
    ) -> Result<Response<v1::ListConnectorsResponse>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(self.list(&caller, request).await?))
    }

    async fn get_connector(
        &self,
        request: Request<v1::GetConnectorRequest>,
    ) -> Result<Response<v1::Connector>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(self.get(&caller, &request.name).await?))
    }

    async fn create_connector(
        &self,
        request: Request<v1::CreateConnectorRequest>,
    ) -> Result<Response<v1::Connector>, Status> {
        let (caller, request) = opened(request)?;
        let [org] = names::parse("parent", &request.parent, "orgs/*", false)?;
        let mut connector = request.connector.unwrap_or_default();
        connector.metadata.get_or_insert_default().org = org.to_owned();
        Ok(Response::new(
            self.write(&caller, &connector, Mode::Create, request.validate_only)
                .await?,
        ))
    }

    async fn update_connector(
        &self,
        request: Request<v1::UpdateConnectorRequest>,
    ) -> Result<Response<v1::Connector>, Status> {
        let (caller, request) = opened(request)?;
        let connector = request.connector.unwrap_or_default();
        Ok(Response::new(
            self.write(
                &caller,
                &connector,
                Mode::Update { mask: &[] },
                request.validate_only,
            )
            .await?,
        ))
    }

    async fn delete_connector(
        &self,
        request: Request<v1::DeleteConnectorRequest>,
    ) -> Result<Response<()>, Status> {
        let (caller, request) = opened(request)?;
        self.delete(&caller, request).await?;
        Ok(Response::new(()))
    }
}
