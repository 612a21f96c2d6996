//! Where a webhook's matches go, as it is saved: its own targets with their secrets, and the org's destinations that it names.

mod admit;

use std::collections::BTreeSet;

use hookplane_proto::v1;
use hookplane_rules::FieldError;
use v1::SecretChange;

use super::desk::Desk;
use super::guard;
use super::names;
use super::status::Problem;
use crate::aside;
use crate::context::Context;
use crate::dispatch::target::{SUBSCRIBE, Target, name_of, prefix_of, resolve};
use crate::keys;
use crate::report::OrderBy;
use crate::store::{Precondition, Transaction};
pub(super) use admit::{Place, admit, check_limits};

const MAX_DESTINATIONS: usize = 10;

/// What saving a webhook's destinations takes.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    /// Of its own targets.
    pub(super) secret: SecretChange,
    named: BTreeSet<String>,
}

impl Admitted {
    /// The destinations that are named stay as long as this is saved.
    pub(super) fn hold(&self, org: &str, transaction: &mut Transaction) {
        for name in &self.named {
            let key = keys::destination(org, name);
            transaction.checks.push((key, Precondition::Present));
            let guarded = keys::destination_guard(org, name);
            transaction.writes.push(guard::touch(guarded));
        }
    }
}

/// Checks a webhook's destinations and seals the secrets in them. `metadata` are those it will have; `stored` is its spec as it was.
pub(super) async fn admit_of_webhook(
    desk: &Desk<'_>,
    metadata: &v1::Metadata,
    spec: &mut v1::WebhookSpec,
    stored: Option<&v1::WebhookSpec>,
) -> Result<Admitted, Problem> {
    if spec.destinations.len() > MAX_DESTINATIONS {
        return Err(Problem::field(
            "spec.destinations",
            format!("are at most {MAX_DESTINATIONS}"),
        ));
    }
    if !spec.order_by.is_empty() {
        let source = spec.order_by.clone();
        let compiled = aside::SAVES.run(&metadata.org, move |here| {
            OrderBy::compile(here, &source).map(drop)
        });
        if let Err(why) = compiled.await? {
            return Err(Problem::field("spec.orderBy", why));
        }
    }
    let mut admitted = Admitted::default();
    let mut seen = BTreeSet::new();
    let before = stored.map_or(&[][..], |s| &s.destinations);
    let mut before: Vec<&v1::WebhookDestination> = before.iter().collect();
    let mut needs_records = false;
    for (index, destination) in spec.destinations.iter_mut().enumerate() {
        let path = format!("spec.destinations[{index}]");
        check_shape(&path, destination)?;
        let name = name_of(destination).to_owned();
        if !seen.insert(name.clone()) {
            return Err(Problem::field(
                format!("{path}.name"),
                format!("`{name}` is the name of another one: names tell destinations apart"),
            ));
        }
        if destination.subscribe.is_some() {
            continue;
        }
        if !destination.r#ref.is_empty() {
            let named = desk
                .get::<v1::Destination>(&keys::destination(&metadata.org, &destination.r#ref))
                .await?;
            let Some((named, _)) = named else {
                return Err(Problem::field(
                    format!("{path}.ref"),
                    format!(
                        "there is no destination `{}` in org `{}`: `hookplane get destinations` lists them; in a file it has to stand before the webhook",
                        destination.r#ref, metadata.org
                    ),
                ));
            };
            needs_records |= named.spec.is_some_and(|s| s.salesforce.is_some());
            admitted.named.insert(destination.r#ref.clone());
            continue;
        }
        let prefix = prefix_of(&name);
        let place = Place {
            uid: &metadata.uid,
            prefix: &prefix,
            path: &path,
        };
        let old = before.iter().position(|old| name_of(old) == name);
        let old = old.map(|at| before.swap_remove(at));
        let old = old.and_then(|old| Target::of(old.http.clone(), old.salesforce.clone()));
        let Some(given) = Target::of(destination.http.take(), destination.salesforce.take()) else {
            return Err(Problem::field(path, ONE_OF));
        };
        needs_records |= matches!(given, Target::Salesforce(_));
        let (target, secret) = admit(desk, &place, given, old.as_ref())?;
        (destination.http, destination.salesforce) = target.into_fields();
        admitted.note(secret);
    }
    // What is gone took its secrets along.
    for gone in before {
        if let Some(mut target) = Target::of(gone.http.clone(), gone.salesforce.clone())
            && !target.secrets_mut().is_empty()
        {
            admitted.note(SecretChange::Changed);
        }
    }
    if needs_records && spec.active && !spec.mapping.as_ref().is_some_and(|m| m.active) {
        return Err(Problem::field(
            "spec.mapping",
            "must be there and active: Salesforce takes records, and an active webhook delivers to it",
        ));
    }
    Ok(admitted)
}

impl Admitted {
    /// A secret is no text that could differ.
    pub(super) fn tell(&self, changed: &mut Vec<String>) {
        const FIELD: &str = "spec.destinations";
        if self.secret == SecretChange::Changed && !changed.iter().any(|field| field == FIELD) {
            changed.push(FIELD.to_owned());
        }
    }

    fn note(&mut self, secret: SecretChange) {
        self.secret = match (self.secret, secret) {
            (SecretChange::Changed, _) | (_, SecretChange::Changed) => SecretChange::Changed,
            (SecretChange::Unchanged, _) | (_, SecretChange::Unchanged) => SecretChange::Unchanged,
            _ => SecretChange::Unspecified,
        };
    }
}

const ONE_OF: &str = "is one of `subscribe: {}`, `http: {…}`, `salesforce: {…}` and `ref: NAME`";

fn check_shape(path: &str, destination: &v1::WebhookDestination) -> Result<(), Problem> {
    let kinds = [
        destination.subscribe.is_some(),
        destination.http.is_some(),
        destination.salesforce.is_some(),
        !destination.r#ref.is_empty(),
    ];
    if kinds.into_iter().filter(|is| *is).count() != 1 {
        return Err(Problem::field(path, ONE_OF));
    }
    let name = name_of(destination);
    names::check(&format!("{path}.name"), name)?;
    if (name == SUBSCRIBE) != destination.subscribe.is_some() {
        return Err(Problem::field(
            format!("{path}.name"),
            format!("`{SUBSCRIBE}` is the name of subscribers, who have no other"),
        ));
    }
    let own = destination.http.is_some() || destination.salesforce.is_some();
    if !own && destination.limits.is_some() {
        return Err(Problem::field(
            format!("{path}.limits"),
            "belong to `http` and `salesforce`; a destination that is named has its own",
        ));
    }
    if destination.subscribe.is_some() && destination.paused {
        return Err(Problem::field(
            format!("{path}.paused"),
            "can't be said of subscribers, who take when they want",
        ));
    }
    fields(check_limits(path, destination.limits.as_ref()))
}

/// How each of its destinations is doing here, without subscribers.
pub(super) fn statuses(
    context: &Context,
    webhook: &v1::Webhook,
) -> Vec<v1::WebhookDestinationStatus> {
    let all = webhook.spec.iter().flat_map(|spec| &spec.destinations);
    let pushed = all.filter(|destination| destination.subscribe.is_none());
    pushed
        .map(|destination| {
            let name = name_of(destination);
            let status = match resolve(&context.view, webhook, name) {
                Ok(resolved) => context.endpoints.status(&resolved, context.clock.now()),
                Err(reason) => v1::DestinationStatus {
                    state: v1::DestinationState::Failing.into(),
                    reason,
                    ..Default::default()
                },
            };
            v1::WebhookDestinationStatus {
                name: name.to_owned(),
                status: Some(status),
            }
        })
        .collect()
}

/// As callers may see it.
pub(super) fn hide(spec: &mut v1::WebhookSpec) {
    for destination in &mut spec.destinations {
        let own = (destination.http.take(), destination.salesforce.take());
        if let Some(mut target) = Target::of(own.0, own.1) {
            target.hide();
            (destination.http, destination.salesforce) = target.into_fields();
        }
    }
}

/// For a copy, which is another resource: secrets as if they had been given, to be sealed for it.
pub(super) fn open_for_copy(
    desk: &Desk<'_>,
    original: &v1::Webhook,
) -> Result<v1::WebhookSpec, Problem> {
    let uid = original.metadata.as_ref().map_or("", |m| &m.uid);
    let mut spec = original.spec.clone().unwrap_or_default();
    for destination in &mut spec.destinations {
        let prefix = prefix_of(name_of(destination));
        let own = (destination.http.take(), destination.salesforce.take());
        if let Some(target) = Target::of(own.0, own.1) {
            let target = target.open(&desk.context.seal, uid, &prefix)?;
            (destination.http, destination.salesforce) = target.into_fields();
        }
    }
    Ok(spec)
}

/// Errors of one message, where there are any.
pub(super) fn fields(errors: Vec<FieldError>) -> Result<(), Problem> {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::Fields(errors))
    }
}
