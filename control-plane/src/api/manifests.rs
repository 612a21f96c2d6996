//! Manifest files: what applying one would do, and applying one document.

use std::collections::BTreeSet;

use hookplane_proto::v1;
use hookplane_rules::FieldError;
use tonic::{Request, Response, Status};
use v1::manifest::Resource;

use super::desk::{Desk, Mode, Prepared};
use super::status::Problem;
use super::{connectors, destinations, groups, names, orgs, webhooks};
use crate::access::{Caller, Needs, Target, opened};
use crate::context::Context;

const MAX_MANIFESTS: usize = 1000;
/// The change that the plan adds by itself.
const ADDED: i32 = -1;
/// Somebody else wrote in between: read again and decide anew this often.
const ATTEMPTS: usize = 3;

/// Serves `ManifestService`.
pub struct ManifestApi {
    /// The seams.
    pub context: Context,
}

/// Lays documents over the store for one request, as if they had been applied. What applying them would refuse is refused.
pub(super) async fn lay_over(
    desk: &mut Desk<'_>,
    manifests: Vec<v1::Manifest>,
) -> Result<(), Problem> {
    at_most(&manifests)?;
    for (index, manifest) in manifests.into_iter().enumerate() {
        let at = format!("manifests[{index}]");
        let resource = match manifest.resource {
            Some(Resource::Webhook(_)) => {
                return Err(Problem::field(
                    at,
                    "is a webhook, which stands in `webhook`",
                ));
            }
            Some(resource) => resource,
            None => return Err(Problem::field(at, "is empty")),
        };
        let of_document = |problem: Problem| match problem.into_fields() {
            Ok(errors) => {
                let name = name_of(&resource);
                let of_it = |e: FieldError| {
                    FieldError::new(
                        format!("{at}.{}", e.field),
                        format!("{} (of `{name}`)", e.message),
                    )
                };
                Problem::Fields(errors.into_iter().map(of_it).collect())
            }
            Err(problem) => problem,
        };
        if let Some((_, org)) = missing_org(desk, &resource).await.map_err(of_document)? {
            org.lay_over(desk);
        }
        let prepared = prepare(desk, &resource).await.map_err(of_document)?;
        prepared.lay_over(desk);
    }
    Ok(())
}

fn at_most(manifests: &[v1::Manifest]) -> Result<(), Problem> {
    if manifests.len() > MAX_MANIFESTS {
        return Err(Problem::field(
            "manifests",
            format!("are at most {MAX_MANIFESTS}: split the file"),
        ));
    }
    Ok(())
}

/// The org that a document needs and that isn't there, if the caller may make it.
async fn missing_org(
    desk: &Desk<'_>,
    resource: &Resource,
) -> Result<Option<(String, Any)>, Problem> {
    desk.owned(owner(resource))?;
    let Some(org) = org_of(resource).filter(|org| names::check("", org).is_ok()) else {
        return Ok(None);
    };
    if desk.entry(&crate::keys::org(&org)).await?.is_some() {
        return Ok(None);
    }
    let prepared = prepare_org(desk, &plain_org(&org)).await?;
    Ok(Some((names::org(&org), prepared)))
}

/// A prepared write of any kind.
enum Any {
    Org(Prepared<v1::Org>),
    Connector(Prepared<v1::Connector>),
    Group(Prepared<v1::WebhookGroup>),
    Webhook(Prepared<v1::Webhook>),
    Destination(Prepared<v1::Destination>),
}

fn name_of(resource: &Resource) -> String {
    let metadata = match resource {
        Resource::Org(org) => &org.metadata,
        Resource::Connector(connector) => &connector.metadata,
        Resource::WebhookGroup(group) => &group.metadata,
        Resource::Webhook(webhook) => &webhook.metadata,
        Resource::Destination(destination) => &destination.metadata,
    };
    let m = metadata.clone().unwrap_or_default();
    match resource {
        Resource::Org(_) => names::org(&m.name),
        Resource::Connector(_) => names::connector(&m.org, &m.name),
        Resource::WebhookGroup(_) => names::group(&m.org, &m.name),
        Resource::Webhook(_) => names::webhook(&m.org, &m.group, &m.name),
        Resource::Destination(_) => names::destination(&m.org, &m.name),
    }
}

/// The org that a document needs.
fn org_of(resource: &Resource) -> Option<String> {
    match resource {
        Resource::Org(_) | Resource::Webhook(_) => None,
        Resource::Connector(connector) => connector.metadata.as_ref().map(|m| m.org.clone()),
        Resource::WebhookGroup(group) => group.metadata.as_ref().map(|m| m.org.clone()),
        Resource::Destination(destination) => destination.metadata.as_ref().map(|m| m.org.clone()),
    }
}

/// Whose a document is.
fn owner(resource: &Resource) -> &str {
    let metadata = match resource {
        Resource::Org(org) => return org.metadata.as_ref().map_or("", |m| &m.name),
        Resource::Connector(connector) => &connector.metadata,
        Resource::WebhookGroup(group) => &group.metadata,
        Resource::Webhook(webhook) => &webhook.metadata,
        Resource::Destination(destination) => &destination.metadata,
    };
    metadata.as_ref().map_or("", |m| &m.org)
}

/// An org of its own doing takes more than what is in it.
async fn prepare_org(desk: &Desk<'_>, org: &v1::Org) -> Result<Any, Problem> {
    let prepared = orgs::prepare(desk, org, Mode::Apply).await?;
    match prepared.action {
        v1::ChangeAction::Create => desk.caller.needs(Needs::Install)?,
        v1::ChangeAction::Update => desk.caller.needs(Needs::Administer)?,
        _ => {}
    }
    Ok(Any::Org(prepared))
}

async fn prepare(desk: &Desk<'_>, resource: &Resource) -> Result<Any, Problem> {
    // A file may hold documents of several orgs, so each is checked by itself.
    desk.owned(owner(resource))?;
    // The etag of a manifest that was printed earlier is not looked at.
    Ok(match resource {
        Resource::Org(org) => prepare_org(desk, org).await?,
        Resource::Connector(connector) => {
            Any::Connector(connectors::prepare(desk, connector, Mode::Apply).await?)
        }
        Resource::WebhookGroup(group) => {
            Any::Group(groups::prepare(desk, group, Mode::Apply).await?)
        }
        Resource::Webhook(webhook) => {
            Any::Webhook(webhooks::prepare(desk, webhook, Mode::Apply).await?)
        }
        Resource::Destination(destination) => {
            Any::Destination(destinations::prepare(desk, destination, Mode::Apply).await?)
        }
    })
}

fn change<T>(name: String, index: i32, prepared: &Prepared<T>) -> v1::PlannedChange {
    v1::PlannedChange {
        name,
        action: prepared.action.into(),
        changed_fields: prepared.changed.clone(),
        definition_changes: prepared.definition.clone(),
        hints: prepared.hints.clone(),
        secret: prepared.secret.into(),
        manifest_index: index,
        errors: Vec::new(),
    }
}

fn refused(name: String, index: i32, errors: Vec<FieldError>) -> v1::PlannedChange {
    let errors = errors
        .into_iter()
        .map(|e| v1::ManifestError {
            field: e.field,
            message: e.message,
        })
        .collect();
    v1::PlannedChange {
        name,
        manifest_index: index,
        errors,
        ..Default::default()
    }
}

impl Any {
    fn change(&self, name: String, index: i32) -> v1::PlannedChange {
        match self {
            Self::Org(p) => change(name, index, p),
            Self::Connector(p) => change(name, index, p),
            Self::Group(p) => change(name, index, p),
            Self::Webhook(p) => change(name, index, p),
            Self::Destination(p) => change(name, index, p),
        }
    }

    fn lay_over(&self, desk: &mut Desk<'_>) {
        desk.plan(match self {
            Self::Org(p) => &p.transaction,
            Self::Connector(p) => &p.transaction,
            Self::Group(p) => &p.transaction,
            Self::Webhook(p) => &p.transaction,
            Self::Destination(p) => &p.transaction,
        });
    }

    async fn write(self, desk: &Desk<'_>) -> Result<Resource, Problem> {
        Ok(match self {
            Self::Org(mut p) => {
                let revision = desk.write(&mut p).await?;
                Resource::Org(orgs::present(p.resource, revision))
            }
            Self::Connector(mut p) => {
                let revision = desk.write(&mut p).await?;
                Resource::Connector(connectors::present(p.resource, revision))
            }
            Self::Group(mut p) => {
                let revision = desk.write(&mut p).await?;
                Resource::WebhookGroup(groups::present(desk, p.resource, revision).await?)
            }
            Self::Webhook(mut p) => {
                let revision = desk.write(&mut p).await?;
                Resource::Webhook(webhooks::present(desk, p.resource, revision).await?)
            }
            Self::Destination(mut p) => {
                let revision = desk.write(&mut p).await?;
                Resource::Destination(destinations::present(desk.context, p.resource, revision))
            }
        })
    }
}

impl ManifestApi {
    async fn plan(
        &self,
        caller: &Caller,
        manifests: Vec<v1::Manifest>,
    ) -> Result<v1::PlanManifestsResponse, Problem> {
        at_most(&manifests)?;
        // Its documents are checked one by one: an answer without any is nobody's.
        caller.check(Target::Public)?;
        let mut desk = Desk::new(&self.context, caller);
        let (mut added, mut changes, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (index, manifest) in (0i32..).zip(manifests) {
            let resource = manifest
                .resource
                .ok_or_else(|| Problem::field(format!("manifests[{index}]"), "is empty"))?;
            let name = name_of(&resource);
            if !seen.insert(name.clone()) {
                let twice = FieldError::new(
                    "metadata.name",
                    format!("`{name}` is in this file twice: keep one"),
                );
                changes.push(refused(name, index, vec![twice]));
                continue;
            }
            match missing_org(&desk, &resource).await {
                Ok(None) => {}
                Ok(Some((name, prepared))) => {
                    added.push(prepared.change(name, ADDED));
                    prepared.lay_over(&mut desk);
                }
                Err(problem) => {
                    changes.push(refused(name, index, problem.into_fields()?));
                    continue;
                }
            }
            match prepare(&desk, &resource).await {
                Ok(prepared) => {
                    changes.push(prepared.change(name, index));
                    prepared.lay_over(&mut desk);
                }
                Err(problem) => changes.push(refused(name, index, problem.into_fields()?)),
            }
        }
        added.extend(changes);
        Ok(v1::PlanManifestsResponse { changes: added })
    }

    async fn apply(
        &self,
        caller: &Caller,
        manifest: v1::Manifest,
    ) -> Result<v1::ApplyManifestResponse, Problem> {
        let resource = manifest
            .resource
            .ok_or_else(|| Problem::field("manifest", "is empty"))?;
        let mut attempt = 1;
        loop {
            match self.apply_once(caller, &resource).await {
                Err(Problem::Store(crate::store::StoreError::Conflict { .. }))
                    if attempt < ATTEMPTS =>
                {
                    attempt += 1
                }
                done => return done,
            }
        }
    }

    async fn apply_once(
        &self,
        caller: &Caller,
        resource: &Resource,
    ) -> Result<v1::ApplyManifestResponse, Problem> {
        let desk = Desk::new(&self.context, caller);
        if let Some((_, org)) = missing_org(&desk, resource).await? {
            // What follows is checked first, so that a refused document leaves no org behind.
            let mut trial = Desk::new(&self.context, caller);
            org.lay_over(&mut trial);
            prepare(&trial, resource).await?;
            org.write(&desk).await?;
        }
        let prepared = prepare(&desk, resource).await?;
        let change = prepared.change(name_of(resource), 0);
        let stored = prepared.write(&desk).await?;
        Ok(v1::ApplyManifestResponse {
            change: Some(change),
            manifest: Some(v1::Manifest {
                resource: Some(stored),
            }),
        })
    }
}

fn plain_org(name: &str) -> v1::Org {
    v1::Org {
        metadata: Some(v1::Metadata {
            name: name.to_owned(),
            ..Default::default()
        }),
        spec: None,
    }
}

#[tonic::async_trait]
impl v1::manifest_service_server::ManifestService for ManifestApi {
    async fn plan_manifests(
        &self,
        request: Request<v1::PlanManifestsRequest>,
    ) -> Result<Response<v1::PlanManifestsResponse>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(self.plan(&caller, request.manifests).await?))
    }

    async fn apply_manifest(
        &self,
        request: Request<v1::ApplyManifestRequest>,
    ) -> Result<Response<v1::ApplyManifestResponse>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(
            self.apply(&caller, request.manifest.unwrap_or_default())
                .await?,
        ))
    }
}
