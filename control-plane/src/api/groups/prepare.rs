//! What saving a group would do.

use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::{Connector, FieldError, TEMPLATE, Webhook};

use super::rotate::{callback_url, prune};
use crate::admission;
use crate::api::desk::{Desk, Mode, Prepared, compile, put, snake};
use crate::api::status::Problem;
use crate::api::{difference, guard, names, skew, webhooks};
use crate::aside;
use crate::config::tombstone;
use crate::keys;
use crate::store::{Precondition, Transaction};

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
            "learn_secret" => spec.learn_secret = given.learn_secret,
            "redact" => spec.redact.clone_from(&given.redact),
            "retention" => spec.retention = given.retention,
            "capture_days" => spec.capture_days = given.capture_days,
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
pub(in crate::api) async fn prepare(
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
    if let Some((old, mask)) = mode.begin(&name, &metadata.etag, &stored)? {
        spec = merge(&old.spec.clone().unwrap_or_default(), spec, mask)?;
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
    let keeps_a_secret = old_spec
        .as_ref()
        .is_some_and(|old| keeps_a_secret(old, &spec));
    let admitted = admission::seal_secrets(
        &desk.context.seal,
        &uid,
        spec,
        old_spec.as_ref(),
        &definition,
        desk.lacking,
    )?;
    let digest = Connector::version_of(&definition.spec.clone().unwrap_or_default());
    let mut changed = match &old_spec {
        Some(old) => difference::fields(old, &admitted.spec)?,
        None => Vec::new(),
    };
    let mut differs = Vec::new();
    if old_spec.is_some() {
        if group
            .status
            .as_ref()
            .is_some_and(|s| s.connector_version != digest)
        {
            changed.push("status.connectorVersion".to_owned());
            let pinned = desk.pinned(&group).await?;
            if keeps_a_secret {
                refuse_other_use(&pinned, &definition)?;
            }
            differs = difference::lines(&pinned.spec, &definition.spec)?;
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
        skew::group(desk, old_spec.as_ref(), &admitted.spec)?;
        let old = group.clone();
        group.spec = Some(admitted.spec);
        group.metadata.get_or_insert_default().update_time = Some(desk.now());
        let status = group.status.get_or_insert_default();
        status.connector_version.clone_from(&digest);
        prune(status, desk.context.clock.now().0);
        let connector = compile(&metadata.org, definition.clone()).await?;
        let opened =
            admission::compile_group(&desk.context.seal, &group, &connector, desk.lacking)?;
        let check = if revision == 0 {
            Precondition::Absent
        } else {
            Precondition::At(revision)
        };
        transaction.checks = vec![needs_org, (key.clone(), check)];
        transaction.writes.push(put(key, &group));
        // A sweep that finds this definition unused right now has to look again.
        transaction
            .writes
            .push(guard::touch(keys::pin_guard(&digest)));
        let pin = keys::pin(&digest);
        match desk.entry(&pin).await? {
            Some(_) => transaction.checks.push((pin, Precondition::Present)),
            None => transaction.writes.push(put(pin, &definition)),
        }
        if old_spec.is_none() {
            let template = webhooks::template(desk, &metadata.org, &metadata.name)?;
            let key = keys::webhook(&metadata.org, &metadata.name, TEMPLATE);
            transaction.checks.push((key.clone(), Precondition::Absent));
            transaction.writes.push(put(key, &template));
            transaction
                .writes
                .push(guard::touch(keys::org_guard(&metadata.org)));
        } else {
            // A webhook that is written meanwhile was checked against the group as it was.
            let unchanged = guard::read(desk, keys::group_guard(&metadata.org, &metadata.name));
            transaction.checks.push(unchanged.await?);
            let gone = tombstone::of_update(&old, &group, desk.context.clock.now());
            transaction.writes.extend(gone);
            still_compile(desk, opened, connector).await?;
        }
    }
    Ok(Prepared {
        transaction,
        resource: group,
        revision,
        action,
        changed,
        definition: differs,
        hints: match action {
            v1::ChangeAction::Create => hints(&definition),
            _ => Vec::new(),
        },
        secret: admitted.secret,
    })
}

/// What somebody who makes a group should know of its connector.
fn hints(definition: &v1::Connector) -> Vec<String> {
    let name = definition.metadata.as_ref().map_or("", |m| &m.name);
    let Some(spec) = &definition.spec else {
        return Vec::new();
    };
    let unverified = (spec.confidence() == v1::Confidence::Unverified).then(|| {
        format!("connector `{name}` is unverified: see a callback of the provider's own come through before you rely on it")
    });
    let limitations = spec.limitations.iter();
    unverified
        .into_iter()
        .chain(limitations.map(|text| format!("connector `{name}`: {text}")))
        .collect()
}

/// A group's change that breaks one of its webhooks is refused: that webhook would silently get nothing.
async fn still_compile(
    desk: &Desk<'_>,
    opened: v1::WebhookGroup,
    connector: Arc<Connector>,
) -> Result<(), Problem> {
    let metadata = opened.metadata.clone().unwrap_or_default();
    let prefix = keys::webhook(&metadata.org, &metadata.name, "");
    let webhooks = desk.all::<v1::Webhook>(&prefix).await?;
    let broken = aside::SAVES.run(&metadata.org, move |_| {
        webhooks.into_iter().find_map(|(_, webhook)| {
            let name = webhook.metadata.as_ref().map_or("", |m| &m.name);
            if name == TEMPLATE {
                return None;
            }
            let errors = Webhook::compile(&webhook, &opened, &connector).err()?;
            let fields = errors.into_iter().map(|e| {
                FieldError::new(
                    "spec.registeredEvents",
                    format!(
                        "webhook `{name}` would no longer be valid ({e}): change that webhook first"
                    ),
                )
            });
            Some(fields.collect())
        })
    });
    match broken.await? {
        Some(fields) => Err(Problem::Fields(fields)),
        None => Ok(()),
    }
}

/// True when a stored secret stays without being given again.
fn keeps_a_secret(stored: &v1::WebhookGroupSpec, given: &v1::WebhookGroupSpec) -> bool {
    let parameters = stored.sealed_parameters.keys();
    let mut parameters = parameters.filter(|name| !given.parameters.contains_key(*name));
    let secrets = &given.signature_secrets;
    parameters.next().is_some()
        || match secrets.is_empty() {
            true => !stored.signature_secrets.is_empty(),
            false => secrets.iter().any(|secret| secret.value.is_empty()),
        }
}

/// A secret was trusted to a definition that proves callbacks with it in one way. Who changes that way in an org's own connector has to know the
/// secret: else he could have it sent in clear, or have texts of his own signed with it.
fn refuse_other_use(pinned: &v1::Connector, now: &v1::Connector) -> Result<(), Problem> {
    let is_own = now.metadata.as_ref().is_some_and(|m| !m.org.is_empty());
    if !is_own || uses(pinned) == uses(now) {
        return Ok(());
    }
    Err(Problem::field(
        "spec.signatureSecrets",
        "must be given again, and secret parameters too: the connector now uses them in another way than when they were stored",
    ))
}

/// What a definition does with secrets: how it proves and shakes hands, and what samples it has signed.
fn uses(connector: &v1::Connector) -> (Option<v1::Protocol>, Vec<v1::ConnectorFunction>) {
    let with_secrets = |protocol: Option<v1::Protocol>| {
        protocol.map(|protocol| v1::Protocol {
            schemes: protocol.schemes,
            handshakes: protocol.handshakes,
            ..Default::default()
        })
    };
    let spec = connector.spec.clone().unwrap_or_default();
    let functions = spec.functions.into_iter().map(|function| {
        let sampled = function.events.into_iter().filter(|e| e.sample.is_some());
        v1::ConnectorFunction {
            name: function.name,
            events: sampled
                .map(|event| v1::ConnectorEvent {
                    description: String::new(),
                    ..event
                })
                .collect(),
            protocol: with_secrets(function.protocol),
            ..Default::default()
        }
    });
    (with_secrets(spec.protocol), functions.collect())
}
