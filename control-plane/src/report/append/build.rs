//! What the log is given of a callback: its events with their identities, and a delivery for each webhook and destination that wants one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_proto::v1::EventFlag;

use crate::aside::Here;
use crate::config::GroupRecord;
use crate::context::Context;
use crate::dispatch::target::name_of;
use crate::log::{NewCallback, NewDelivery, NewEvent};
use crate::report::order::{Ordering, without_order};
use crate::report::{Orders, identity};
use crate::retention::DEFAULT_DEDUP_DAYS;

pub(super) const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// What tells an event of a callback from the others in it.
struct Place {
    body_digest: [u8; 32],
    /// Another event has the same delivery id.
    shared: bool,
    /// Events before it with the same delivery id and body.
    alike: u32,
}

/// One for each event. The digest of the whole body is made once, whatever it is for.
fn places(callback: &v1::ReportedCallback, whole: [u8; 32]) -> Vec<Place> {
    let digest_of = |event: &v1::ReportedEvent| match event.item.is_empty() {
        true => whole,
        false => identity::as_it_came(&event.item_digest, &event.item),
    };
    if let [event] = &callback.events[..] {
        return vec![Place {
            body_digest: digest_of(event),
            shared: false,
            alike: 0,
        }];
    }
    let mut ids: BTreeMap<&str, u32> = BTreeMap::new();
    for event in &callback.events {
        *ids.entry(&event.delivery_id).or_default() += 1;
    }
    let mut alike: BTreeMap<(&str, [u8; 32]), u32> = BTreeMap::new();
    let mut places = Vec::with_capacity(callback.events.len());
    for event in &callback.events {
        let body_digest = digest_of(event);
        let seen = alike.entry((&event.delivery_id, body_digest)).or_default();
        places.push(Place {
            body_digest,
            shared: ids.get(event.delivery_id.as_str()).is_some_and(|n| *n > 1),
            alike: *seen,
        });
        *seen += 1;
    }
    places
}

/// The value for one more event; the last takes it.
fn for_event<T: Clone + Default>(value: &mut T, last: bool) -> T {
    if last {
        std::mem::take(value)
    } else {
        value.clone()
    }
}

/// What the log is given. Events that nobody wants stay out of it, unless the group captures them.
pub(super) fn build(
    key: &identity::Key,
    group: &v1::WebhookGroup,
    webhooks: &[Arc<v1::Webhook>],
    request_id: [u8; 16],
    mut callback: v1::ReportedCallback,
) -> NewCallback {
    let default = v1::WebhookGroupSpec::default();
    let spec = group.spec.as_ref().unwrap_or(&default);
    let nameless = v1::Metadata::default();
    let metadata = group.metadata.as_ref().unwrap_or(&nameless);
    let names = Names::of(webhooks);
    let whole = identity::as_it_came(&callback.body_digest, &callback.body);
    // The listener's word for what it saw; what only the control plane can know is decided here.
    let mut flags = std::mem::take(&mut callback.flags);
    flags.retain(|f| {
        [EventFlag::Undecodable, EventFlag::Unsigned]
            .contains(&EventFlag::try_from(*f).unwrap_or_default())
    });
    let signed = !flags.contains(&i32::from(EventFlag::Unsigned));
    if identity::is_test(key, &metadata.uid, &whole, &callback.test_mark) {
        flags.push(EventFlag::Test.into());
    }

    let places = places(&callback, whole);
    let events = std::mem::take(&mut callback.events);
    let count = events.len();
    let mut wanted = Vec::with_capacity(1);
    let mut unwanted = Vec::new();
    for (n, (reported, place)) in events.into_iter().zip(places).enumerate() {
        let request = identity::Request {
            key,
            group_uid: &metadata.uid,
            body: whole,
            query: &callback.query,
            signed,
        };
        let mut dedup = identity::dedup(
            &request,
            &reported,
            place.body_digest,
            place.shared,
            place.alike,
        );
        // Of what was taken out nothing is written from which it could be guessed. It is the same whatever is taken out today, so that a
        // resend is known over a change of that.
        dedup.body_digest = identity::hidden(key, &dedup.body_digest);
        let id = identity::event_id(request_id, &reported);
        let (verdicts, deliveries) = verdicts(key, &names, reported.matches, &dedup, &id);
        let is_wanted = !deliveries.is_empty() || (reported.registered && spec.capture_unmatched);
        let last = n + 1 == count;
        let mut flags = for_event(&mut flags, last);
        if deliveries.is_empty() {
            flags.push(EventFlag::Unmatched.into());
        }
        let body = for_event(&mut callback.body, last);
        let event = v1::Event {
            id,
            org: metadata.org.clone(),
            group: metadata.name.clone(),
            group_uid: metadata.uid.clone(),
            r#type: reported.r#type,
            receive_time: callback.receive_time,
            delivery_id: reported.delivery_id,
            external_id: reported.external_id,
            format: reported.format,
            came_as: reported.came_as,
            content_type: for_event(&mut callback.content_type, last),
            body: match reported.item.is_empty() {
                true => body,
                false => reported.item,
            },
            headers: for_event(&mut callback.headers, last),
            query: for_event(&mut callback.query, last),
            flags,
            duplicate_of: String::new(),
            duplicates: 0,
            connector: spec.connector.clone(),
            function: spec.function.clone(),
            unsigned_values: reported.unsigned_values,
            method: for_event(&mut callback.method, last),
            verdicts,
            payload: reported.payload,
            // Made where it is asked for.
            payload_json: String::new(),
            payload_json_cut: false,
            body_bytes: 0,
            undecodable_reason: callback.undecodable_reason.clone(),
            redacted: callback.redacted.clone(),
            identity: dedup
                .delivery_key
                .map(|key| key.to_vec().into())
                .unwrap_or_default(),
        };
        let new = NewEvent {
            event,
            dedup,
            deliveries,
        };
        if is_wanted {
            wanted.push(new);
        } else {
            unwanted.push(new);
        }
    }
    let days = match spec.dedup_window_days {
        0 => DEFAULT_DEDUP_DAYS,
        days => days,
    };
    NewCallback {
        org: metadata.org.clone(),
        group_uid: metadata.uid.clone(),
        // The rules said keep: when it can't be told which, all of it.
        events: if wanted.is_empty() { unwanted } else { wanted },
        refuse_suspected_replays: spec.refuse_suspected_replays,
        dedup_window: Duration::from_secs(u64::from(days) * SECONDS_PER_DAY),
    }
}

pub(super) fn built(
    context: &Context,
    record: &GroupRecord,
    request_id: [u8; 16],
    callback: v1::ReportedCallback,
) -> NewCallback {
    build(
        &identity::Key::new(&context.mac_key),
        &record.group,
        &record.webhooks,
        request_id,
        callback,
    )
}

/// True where a delivery is for a webhook that orders them.
pub(super) fn has_order(webhooks: &[Arc<v1::Webhook>], callback: &NewCallback) -> bool {
    let ordered = webhooks.iter().filter(|one| !order_by(one).is_empty());
    let metadata = ordered.filter_map(|one| one.metadata.as_ref());
    let ordered: BTreeSet<&str> = metadata.map(|of| &*of.uid).collect();
    let mut deliveries = callback.events.iter().flat_map(|new| &new.deliveries);
    !ordered.is_empty() && deliveries.any(|one| ordered.contains(&*one.webhook_uid))
}

/// Gives deliveries the keys that their webhooks order them by.
pub(super) fn put_in_order(
    here: &Here,
    orders: &Orders,
    webhooks: &[Arc<v1::Webhook>],
    callback: &mut NewCallback,
) {
    let names = Names::of(webhooks);
    let mut ordering = Ordering::new(here, orders);
    for new in &mut callback.events {
        let mut keys = ordering.keys();
        names.each_ordered(new, |source, event, deliveries| {
            keys.of_webhook(source, event, deliveries);
        });
    }
}

/// Leaves them without, and says why.
pub(super) fn leave_without_order(
    webhooks: &[Arc<v1::Webhook>],
    callback: &mut NewCallback,
    why: &str,
) {
    let names = Names::of(webhooks);
    for new in &mut callback.events {
        names.each_ordered(new, |source, event, deliveries| {
            without_order(source, why, event, deliveries);
        });
    }
}

fn order_by(webhook: &v1::Webhook) -> &str {
    webhook.spec.as_ref().map_or("", |spec| &spec.order_by)
}

/// The events of a callback as they would be kept, in no order.
pub(crate) fn as_kept(
    context: &Context,
    record: &GroupRecord,
    request_id: [u8; 16],
    callback: v1::ReportedCallback,
) -> Vec<v1::Event> {
    let new = built(context, record, request_id, callback);
    new.events.into_iter().map(|new| new.event).collect()
}

/// A group's webhooks, by uid.
struct Names<'a>(Vec<(&'a v1::Metadata, &'a v1::Webhook)>);

impl<'a> Names<'a> {
    fn of(webhooks: &'a [Arc<v1::Webhook>]) -> Self {
        let named = webhooks
            .iter()
            .filter_map(|w| Some((w.metadata.as_ref()?, &**w)));
        let mut names: Vec<_> = named.collect();
        names.sort_unstable_by_key(|(metadata, _)| &metadata.uid);
        Self(names)
    }

    fn get(&self, uid: &str) -> Option<(&'a v1::Metadata, &'a v1::Webhook)> {
        let at = self
            .0
            .binary_search_by_key(&uid, |(metadata, _)| &metadata.uid)
            .ok()?;
        Some(self.0[at])
    }

    /// An event's deliveries to each webhook that orders them, with what it orders them by.
    fn each_ordered(
        &self,
        new: &mut NewEvent,
        mut done: impl FnMut(&str, &mut v1::Event, &mut [NewDelivery]),
    ) {
        let deliveries = &mut new.deliveries;
        for of_one in deliveries.chunk_by_mut(|a, b| a.webhook_uid == b.webhook_uid) {
            let webhook = of_one.first().and_then(|one| self.get(&one.webhook_uid));
            let source = webhook.map_or("", |(_, webhook)| order_by(webhook));
            if !source.is_empty() {
                done(source, &mut new.event, of_one);
            }
        }
    }
}

fn verdicts(
    key: &identity::Key,
    names: &Names<'_>,
    matches: Vec<v1::ReportedMatch>,
    dedup: &crate::log::Dedup,
    event_id: &str,
) -> (Vec<v1::WebhookVerdict>, Vec<NewDelivery>) {
    let mut seen = BTreeSet::new();
    let several = matches.len() > 1;
    let mut verdicts = Vec::with_capacity(matches.len());
    let mut deliveries = Vec::new();
    for of in matches {
        if several && !seen.insert(of.webhook_uid.clone()) {
            continue;
        }
        let named = names.get(&of.webhook_uid);
        let name = named.map(|(metadata, _)| &metadata.name);
        if let Some((metadata, webhook)) = named.filter(|_| of.matched) {
            let one = NewDelivery {
                webhook_uid: of.webhook_uid.clone(),
                webhook: metadata.name.clone(),
                mapping_version: webhook.status.as_ref().map_or(0, |s| s.mapping_version),
                hold: Some(of.hold.clone()).filter(|hold| !hold.is_empty()),
                idempotency_key: identity::idempotency_key(key, dedup, event_id, &of.webhook_uid),
                ..Default::default()
            };
            for_destinations(webhook, one, &mut deliveries);
        }
        verdicts.push(v1::WebhookVerdict {
            matched: of.matched && name.is_some(),
            webhook: name.cloned().unwrap_or_default(),
            webhook_uid: of.webhook_uid,
            reason: match name {
                None => "the webhook was deleted".to_owned(),
                Some(_) if of.matched => of.hold,
                Some(_) => of.reason,
            },
        });
    }
    (verdicts, deliveries)
}

/// One for each destination; without any, for subscribers. Their key is the same: it is the event's, for this webhook.
pub(in crate::report) fn for_destinations(
    webhook: &v1::Webhook,
    one: NewDelivery,
    deliveries: &mut Vec<NewDelivery>,
) {
    let destinations = webhook.spec.as_ref().map_or(&[][..], |s| &s.destinations);
    let Some((last, others)) = destinations.split_last() else {
        deliveries.push(one);
        return;
    };
    let destined = |mut delivery: NewDelivery, to: &v1::WebhookDestination| {
        // What subscribers lease from has no name.
        if to.subscribe.is_none() {
            delivery.destination = name_of(to).to_owned();
        }
        delivery
    };
    for other in others {
        deliveries.push(destined(one.clone(), other));
    }
    deliveries.push(destined(one, last));
}
