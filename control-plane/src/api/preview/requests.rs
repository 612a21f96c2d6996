//! Exactly what would be sent to each of a webhook's destinations, by the sinks that would send it. Credentials are shown as `***`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::{text, time};

use crate::api::desk::Desk;
use crate::api::status::Problem;
use crate::api::turns::Turn;
use crate::aside::Here;
use crate::context::Context;
use crate::dispatch::sink::salesforce::check_against;
use crate::dispatch::sink::{Job, Sink, make};
use crate::dispatch::target::{name_of, resolve, resolve_with};
use crate::keys;
use crate::log::Lease;
use crate::mapping::Record;
use crate::report::later;

/// Of a body, as it is shown.
const MAX_SHOWN_BYTES: usize = 256 * 1024;
/// For one destination to tell what it knows.
const CHECK_TIME: Duration = Duration::from_secs(20);

/// The org's destinations that a webhook names, by their names.
pub(super) type Named = BTreeMap<String, Arc<v1::Destination>>;

/// As a plan has them, or else as they are stored.
pub(super) async fn named(desk: &Desk<'_>, webhook: &v1::Webhook) -> Result<Named, Problem> {
    let org = webhook.metadata.as_ref().map_or("", |of| &of.org);
    let mut found = Named::new();
    let all = webhook.spec.iter().flat_map(|spec| &spec.destinations);
    for name in all.map(|one| &one.r#ref).filter(|name| !name.is_empty()) {
        let key = keys::destination(org, name);
        if let Some((destination, _)) = desk.get::<v1::Destination>(&key).await? {
            found.insert(name.clone(), Arc::new(destination));
        }
    }
    Ok(found)
}

/// Of each destination but subscribers, one or more; or why there is none.
pub(super) fn of(
    here: &Here,
    context: &Context,
    webhook: &v1::Webhook,
    named: &Named,
    event: v1::Event,
    record: Option<Record>,
) -> Vec<v1::OutboundRequest> {
    let destinations = webhook.spec.as_ref().map_or(&[][..], |s| &s.destinations);
    let pushed = destinations.iter().filter(|one| one.subscribe.is_none());
    let mut job = job(here, context, webhook, event, record);
    let mut all = Vec::new();
    for destination in pushed {
        let name = name_of(destination);
        name.clone_into(&mut job.lease.delivery.destination);
        let mut requests = match to(context, webhook, named, name, &job) {
            Ok(requests) => requests,
            Err(why) => vec![v1::OutboundRequest {
                not_made: why,
                ..Default::default()
            }],
        };
        for request in &mut requests {
            name.clone_into(&mut request.destination);
            cut(&mut request.body);
        }
        all.append(&mut requests);
    }
    all
}

fn to(
    context: &Context,
    webhook: &v1::Webhook,
    named: &Named,
    name: &str,
    job: &Job,
) -> Result<Vec<v1::OutboundRequest>, String> {
    let resolved = resolve_with(|name| named.get(name).cloned(), webhook, name)?;
    // No secret is opened for what shows none.
    let target = resolved.target().clone().with_stand_ins();
    let sink = make(context, &resolved.org, &target, resolved.limits.timeout)?;
    let requests = sink.preview(job);
    if requests.is_empty() {
        return Err("no request can be made of this event".to_owned());
    }
    Ok(requests)
}

/// At a character, with a mark that says how much there is.
fn cut(body: &mut String) {
    let whole = body.len();
    if whole > MAX_SHOWN_BYTES {
        body.truncate(text::cut(body, MAX_SHOWN_BYTES).len());
        body.push_str(&format!("… (cut here; it has {whole} bytes)"));
        body.shrink_to_fit();
    }
}

/// That which deliveries go through, where it is the same: it has its connections and its token already.
fn asked_sink(
    context: &Context,
    webhook: &v1::Webhook,
    named: &Named,
    name: &str,
) -> Result<Arc<dyn Sink>, String> {
    let given = resolve_with(|name| named.get(name).cloned(), webhook, name)?;
    let metadata = webhook.metadata.clone().unwrap_or_default();
    let group = context.view.group_named(&metadata.org, &metadata.group);
    let mut of_group = group.iter().flat_map(|group| group.webhooks.iter());
    let stored = of_group.find(|one| {
        let uid = one.metadata.as_ref().map(|one| &one.uid);
        uid == Some(&metadata.uid)
    });
    let stored = stored.and_then(|stored| resolve(&context.view, stored, name).ok());
    match stored {
        Some(stored) if stored.endpoint == given.endpoint && stored.target() == given.target() => {
            context.endpoints.sink(context, &stored)
        }
        _ => {
            let mut target = given.open(&context.seal).map_err(|e| e.to_string())?;
            let lacking = target.lacks();
            if !lacking.is_empty() {
                let lacking = lacking.join(" and ");
                return Err(format!(
                    "{lacking}: neither given, nor stored for this place"
                ));
            }
            make(context, &given.org, &target, given.limits.timeout)
        }
    }
}

/// What the destinations with a description say of the mapping, each within [`CHECK_TIME`].
pub(super) async fn check(
    _: &Turn,
    context: &Context,
    webhook: &v1::Webhook,
    named: &Named,
) -> Vec<v1::DestinationCheck> {
    let Some(spec) = &webhook.spec else {
        return Vec::new();
    };
    let Some(mapping) = &spec.mapping else {
        return Vec::new();
    };
    let mut checks = Vec::new();
    for destination in spec
        .destinations
        .iter()
        .filter(|one| one.subscribe.is_none())
    {
        let name = name_of(destination);
        let asked = async {
            let sink = asked_sink(context, webhook, named, name)?;
            match sink.describes() {
                true => check_against(&*sink, mapping).await.map(Some),
                false => Ok(None),
            }
        };
        let asked = tokio::time::timeout(CHECK_TIME, asked).await;
        let late = || Err(format!("it didn't answer within {CHECK_TIME:?}"));
        let (problems, not_checked) = match asked.unwrap_or_else(|_| late()) {
            Ok(Some(problems)) => (problems, String::new()),
            Ok(None) => continue,
            Err(why) => (Vec::new(), why),
        };
        checks.push(v1::DestinationCheck {
            destination: name.to_owned(),
            problems,
            not_checked,
        });
    }
    checks
}

/// As the engine would have it, but for the lease.
fn job(
    here: &Here,
    context: &Context,
    webhook: &v1::Webhook,
    event: v1::Event,
    record: Option<Record>,
) -> Job {
    let metadata = webhook.metadata.clone().unwrap_or_default();
    let orders = context.view.orders();
    let mut made = later::deliveries(
        here,
        &context.mac_key,
        orders,
        &without_order(webhook),
        &event,
        None,
    );
    let made = made.pop().unwrap_or_default();
    let now = context.clock.now();
    let delivery = v1::Delivery {
        id: format!("{}-1", event.id),
        event_id: event.id.clone(),
        event_type: event.r#type.clone(),
        org: metadata.org.clone(),
        group: metadata.group.clone(),
        webhook: metadata.name.clone(),
        webhook_uid: metadata.uid.clone(),
        idempotency_key: made.idempotency_key,
        mapping_version: made.mapping_version,
        attempts: 1,
        create_time: Some(time::to_wire(now)),
        update_time: Some(time::to_wire(now)),
        ..Default::default()
    };
    Job {
        lease: Lease {
            token: String::new(),
            delivery,
            event,
            expires: now,
        },
        record,
        webhook: format!(
            "orgs/{}/groups/{}/webhooks/{}",
            metadata.org, metadata.group, metadata.name
        ),
    }
}

/// The key is told apart; what is not saved is not kept compiled.
fn without_order(webhook: &v1::Webhook) -> v1::Webhook {
    let mut webhook = webhook.clone();
    webhook.spec.get_or_insert_default().order_by.clear();
    webhook
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_body_is_cut_at_a_character_and_says_so() {
        let mut short = "{}".to_owned();
        cut(&mut short);
        assert_eq!(short, "{}");
        let mut long = "ä".repeat(MAX_SHOWN_BYTES);
        cut(&mut long);
        assert!(long.len() < MAX_SHOWN_BYTES + 100);
        assert!(long.ends_with("… (cut here; it has 524288 bytes)"));
    }
}
