//! An org's destinations.

use hookplane_proto::v1;
use tonic::{Request, Response, Status};

use super::desk::{Desk, Mode, Prepared, check_etag, decode, put, snake, stamp};
use super::page::page;
use super::status::Problem;
use super::targets::{self, Place};
use super::{difference, guard, names, orgs};
use crate::access::{Caller, Target as Of, opened};
use crate::context::Context;
use crate::dispatch::target::{Target, of_named};
use crate::keys;
use crate::store::{Precondition, StoreError, Transaction, Write};

/// Somebody wrote in between: read again this often.
const ATTEMPTS: usize = 5;
/// Webhooks that a refusal names.
const MAX_SHOWN: usize = 5;
/// A description's name.
const MAX_OBJECT_BYTES: usize = 256;

/// Serves `DestinationService`.
pub struct DestinationApi {
    /// The seams.
    pub context: Context,
}

fn merge(
    stored: &v1::DestinationSpec,
    given: v1::DestinationSpec,
    mask: &[String],
) -> Result<v1::DestinationSpec, Problem> {
    if mask.is_empty() {
        return Ok(given);
    }
    let mut spec = stored.clone();
    for path in mask {
        match snake(path).as_str() {
            "display_name" => spec.display_name.clone_from(&given.display_name),
            "http" => spec.http.clone_from(&given.http),
            "salesforce" => spec.salesforce.clone_from(&given.salesforce),
            "limits" => spec.limits = given.limits,
            "paused" => spec.paused = given.paused,
            _ => {
                return Err(Problem::field(
                    "update_mask",
                    format!("`{path}` is no field of a destination's spec"),
                ));
            }
        }
    }
    Ok(spec)
}

/// What saving this destination would do.
pub(super) async fn prepare(
    desk: &Desk<'_>,
    given: &v1::Destination,
    mode: Mode<'_>,
) -> Result<Prepared<v1::Destination>, Problem> {
    let metadata = given.metadata.clone().unwrap_or_default();
    names::check("metadata.org", &metadata.org)?;
    names::check("metadata.name", &metadata.name)?;
    let name = names::destination(&metadata.org, &metadata.name);
    let needs_org = desk.needs_org(&metadata.org).await?;
    let key = keys::destination(&metadata.org, &metadata.name);
    let stored = desk.get::<v1::Destination>(&key).await?;
    let mut spec = given.spec.clone().unwrap_or_default();
    if let Some((old, mask)) = mode.begin(&name, &metadata.etag, &stored)? {
        spec = merge(&old.spec.clone().unwrap_or_default(), spec, mask)?;
    }
    let (mut destination, revision, check) = match stored {
        Some((destination, revision)) => (destination, revision, Precondition::At(revision)),
        None => {
            let metadata = Some(desk.fresh(&metadata.org, "", &metadata.name)?);
            let fresh = v1::Destination {
                metadata,
                ..Default::default()
            };
            (fresh, 0, Precondition::Absent)
        }
    };
    let old = destination.spec.take();
    let secret = admit(desk, &destination, &mut spec, old.as_ref())?;
    let mut changed = match &old {
        Some(old) => difference::fields(old, &spec)?,
        None => Vec::new(),
    };
    // A secret is no text that could differ.
    if old.is_some() && secret == v1::SecretChange::Changed && changed.is_empty() {
        let kind = if spec.http.is_some() {
            "spec.http"
        } else {
            "spec.salesforce"
        };
        changed.push(kind.to_owned());
    }
    let action = match (&old, changed.is_empty()) {
        (None, _) => v1::ChangeAction::Create,
        (Some(_), true) => v1::ChangeAction::Unchanged,
        (Some(_), false) => v1::ChangeAction::Update,
    };
    destination.spec = Some(spec);
    let mut transaction = Transaction::default();
    if action != v1::ChangeAction::Unchanged {
        destination.metadata.get_or_insert_default().update_time = Some(desk.now());
        transaction.checks = vec![needs_org, (key.clone(), check)];
        transaction.writes.push(put(key, &destination));
        if old.is_none() {
            let guarded = keys::org_guard(&metadata.org);
            transaction.writes.push(guard::touch(guarded));
        }
    }
    Ok(Prepared {
        transaction,
        resource: destination,
        revision,
        action,
        changed,
        definition: Vec::new(),
        hints: Vec::new(),
        secret,
    })
}

fn admit(
    desk: &Desk<'_>,
    destination: &v1::Destination,
    spec: &mut v1::DestinationSpec,
    stored: Option<&v1::DestinationSpec>,
) -> Result<v1::SecretChange, Problem> {
    orgs::check_text(
        "spec.displayName",
        &spec.display_name,
        orgs::MAX_DISPLAY_NAME,
    )?;
    targets::fields(targets::check_limits("spec", spec.limits.as_ref()))?;
    let of = |spec: &v1::DestinationSpec| Target::of(spec.http.clone(), spec.salesforce.clone());
    let given = of(spec)
        .ok_or_else(|| Problem::field("spec", "is one of `http: {…}` and `salesforce: {…}`"))?;
    let old = stored.and_then(of);
    // Webhooks that name it were saved for this kind, with a mapping or without.
    if let Some(old) = &old
        && std::mem::discriminant(old) != std::mem::discriminant(&given)
    {
        return Err(Problem::field(
            "spec",
            "can't become another kind of destination: make another one",
        ));
    }
    let place = Place {
        uid: destination.metadata.as_ref().map_or("", |m| &m.uid),
        prefix: "",
        path: "spec",
    };
    let (target, secret) = targets::admit(desk, &place, given, old.as_ref())?;
    (spec.http, spec.salesforce) = target.into_fields();
    Ok(secret)
}

/// As callers may see it, with how it is doing here.
pub(super) fn present(
    context: &Context,
    mut destination: v1::Destination,
    revision: u64,
) -> v1::Destination {
    stamp(&mut destination.metadata, revision);
    destination.status = of_named(&destination)
        .ok()
        .map(|resolved| context.endpoints.status(&resolved, context.clock.now()));
    if let Some(spec) = &mut destination.spec {
        let own = (spec.http.take(), spec.salesforce.take());
        if let Some(mut target) = Target::of(own.0, own.1) {
            target.hide();
            (spec.http, spec.salesforce) = target.into_fields();
        }
    }
    destination
}

impl DestinationApi {
    async fn find(
        &self,
        desk: &Desk<'_>,
        path: &str,
    ) -> Result<(String, v1::Destination, u64), Problem> {
        let [org, name] = names::parse("name", path, "orgs/*/destinations/*", false)?;
        desk.caller.check(Of::Org(org))?;
        let key = keys::destination(org, name);
        let (destination, revision) = desk
            .get::<v1::Destination>(&key)
            .await?
            .ok_or_else(|| Problem::NotFound(path.to_owned()))?;
        Ok((key, destination, revision))
    }

    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListDestinationsRequest,
    ) -> Result<v1::ListDestinationsResponse, Problem> {
        let [org] = names::parse("parent", &request.parent, "orgs/*", true)?;
        let named = org != names::ANY;
        let prefix = match caller.narrow(names::named(org))? {
            None => keys::DESTINATIONS.to_owned(),
            Some(org) => {
                // A name mistyped is not an org without destinations.
                if named {
                    Desk::new(&self.context, caller).needs_org(&org).await?;
                }
                keys::destination(&org, "")
            }
        };
        let (entries, next_page_token) = page(
            &*self.context.store,
            &request.parent,
            &prefix,
            request.page_size,
            &request.page_token,
            |_| true,
        )
        .await?;
        let mut destinations = Vec::with_capacity(entries.len());
        for entry in &entries {
            destinations.push(present(&self.context, decode(entry)?, entry.revision));
        }
        Ok(v1::ListDestinationsResponse {
            destinations,
            next_page_token,
        })
    }

    async fn write(
        &self,
        caller: &Caller,
        destination: &v1::Destination,
        mode: Mode<'_>,
        validate_only: bool,
    ) -> Result<v1::Destination, Problem> {
        let metadata = destination.metadata.clone().unwrap_or_default();
        let desk = Desk::new(&self.context, caller);
        desk.owned(&metadata.org)?;
        let mut prepared = prepare(&desk, destination, mode).await?;
        let revision = desk.write_unless(validate_only, &mut prepared).await?;
        Ok(present(&self.context, prepared.resource, revision))
    }

    async fn delete(
        &self,
        caller: &Caller,
        request: v1::DeleteDestinationRequest,
    ) -> Result<(), Problem> {
        let desk = Desk::new(&self.context, caller);
        let mut attempt = 1;
        loop {
            match self.delete_once(&desk, &request).await {
                Err(Problem::Store(StoreError::Conflict { .. })) if attempt < ATTEMPTS => {
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn delete_once(
        &self,
        desk: &Desk<'_>,
        request: &v1::DeleteDestinationRequest,
    ) -> Result<(), Problem> {
        let (key, destination, revision) = self.find(desk, &request.name).await?;
        check_etag(&request.name, &request.etag, revision)?;
        let metadata = destination.metadata.unwrap_or_default();
        // Read before the webhooks: one that names it meanwhile changes it, and then this stays.
        let guarded = keys::destination_guard(&metadata.org, &metadata.name);
        let unchanged = guard::read(desk, guarded.clone()).await?;
        let of_org = format!("{}{}/", keys::WEBHOOKS, metadata.org);
        let naming = desk.all::<v1::Webhook>(&of_org).await?;
        let naming: Vec<String> = naming
            .into_iter()
            .filter(|(_, webhook)| {
                let spec = webhook.spec.as_ref();
                let mut all = spec.into_iter().flat_map(|spec| &spec.destinations);
                all.any(|one| one.r#ref == metadata.name)
            })
            .map(|(key, _)| key[keys::WEBHOOKS.len()..].to_owned())
            .collect();
        if !naming.is_empty() {
            let shown = naming.iter().take(MAX_SHOWN).cloned().collect::<Vec<_>>();
            let more = match naming.len() - shown.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            return Err(Problem::Refused(format!(
                "`{}` is a destination of {}{more}: take it out of those webhooks first",
                request.name,
                shown.join(", ")
            )));
        }
        let writes = vec![Write::Delete(key.clone()), Write::Delete(guarded)];
        desk.commit(Transaction {
            checks: vec![(key, Precondition::At(revision)), unchanged],
            writes,
        })
        .await?;
        Ok(())
    }

    async fn describe(
        &self,
        caller: &Caller,
        request: v1::DescribeDestinationRequest,
    ) -> Result<v1::DescribeDestinationResponse, Problem> {
        if request.object.len() > MAX_OBJECT_BYTES {
            let message = format!("is longer than {MAX_OBJECT_BYTES} bytes");
            return Err(Problem::field("object", message));
        }
        let desk = Desk::new(&self.context, caller);
        let (_, mut destination, revision) = self.find(&desk, &request.name).await?;
        stamp(&mut destination.metadata, revision);
        let resolved = of_named(&destination).map_err(Problem::Internal)?;
        let sink = self.context.endpoints.sink(&self.context, &resolved);
        let sink = sink.map_err(Problem::Internal)?;
        let asked = tokio::time::timeout(resolved.limits.timeout, sink.describe(&request.object));
        match asked.await {
            Ok(Some(Ok(objects))) => Ok(v1::DescribeDestinationResponse { objects }),
            Ok(Some(Err(why))) => Err(Problem::Refused(format!("`{}`: {why}", request.name))),
            Ok(None) => Err(Problem::Refused(format!(
                "`{}` has no description of what it takes",
                request.name
            ))),
            Err(_) => Err(Problem::Refused(format!(
                "`{}` didn't describe itself within {} s",
                request.name,
                resolved.limits.timeout.as_secs()
            ))),
        }
    }
}

#[tonic::async_trait]
impl v1::destination_service_server::DestinationService for DestinationApi {
    async fn list_destinations(
        &self,
        request: Request<v1::ListDestinationsRequest>,
    ) -> Result<Response<v1::ListDestinationsResponse>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(self.list(&caller, request).await?))
    }

    async fn get_destination(
        &self,
        request: Request<v1::GetDestinationRequest>,
    ) -> Result<Response<v1::Destination>, Status> {
        let (caller, request) = opened(request)?;
        let desk = Desk::new(&self.context, &caller);
        let (_, destination, revision) = self.find(&desk, &request.name).await?;
        Ok(Response::new(present(&self.context, destination, revision)))
    }

    async fn create_destination(
        &self,
        request: Request<v1::CreateDestinationRequest>,
    ) -> Result<Response<v1::Destination>, Status> {
        let (caller, request) = opened(request)?;
        let [org] = names::parse("parent", &request.parent, "orgs/*", false)?;
        let mut destination = request.destination.unwrap_or_default();
        destination.metadata.get_or_insert_default().org = org.to_owned();
        let made = self.write(&caller, &destination, Mode::Create, request.validate_only);
        Ok(Response::new(made.await?))
    }

    async fn update_destination(
        &self,
        request: Request<v1::UpdateDestinationRequest>,
    ) -> Result<Response<v1::Destination>, Status> {
        let (caller, request) = opened(request)?;
        let mask = request.update_mask.unwrap_or_default().paths;
        let destination = request.destination.unwrap_or_default();
        let mode = Mode::Update { mask: &mask };
        let saved = self.write(&caller, &destination, mode, request.validate_only);
        Ok(Response::new(saved.await?))
    }

    async fn delete_destination(
        &self,
        request: Request<v1::DeleteDestinationRequest>,
    ) -> Result<Response<()>, Status> {
        let (caller, request) = opened(request)?;
        self.delete(&caller, request).await?;
        Ok(Response::new(()))
    }

    async fn list_troubles(
        &self,
        request: Request<v1::ListTroublesRequest>,
    ) -> Result<Response<v1::ListTroublesResponse>, Status> {
        let (caller, request) = opened(request)?;
        let [org] = names::parse("parent", &request.parent, "orgs/*", false)?;
        let desk = Desk::new(&self.context, &caller);
        desk.caller.check(Of::Org(org))?;
        // A name mistyped is not an org without troubles.
        desk.needs_org(org).await?;
        Ok(Response::new(super::troubles::list(&self.context, org)))
    }

    async fn describe_destination(
        &self,
        request: Request<v1::DescribeDestinationRequest>,
    ) -> Result<Response<v1::DescribeDestinationResponse>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(self.describe(&caller, request).await?))
    }
}
