//! What a replica of an older program would get wrong isn't saved while there is one.
//!
//! During an upgrade replicas of two programs share the store and the log. The older one reads what it knows of a webhook or a group and leaves out
//! the rest, and so when it writes: it would hand subscribers what is to be pushed or mapped, and keep what is to be redacted. Each replica says in the fleet
//! what it knows; one that has ended without a word is in it for some 15 s more.
//!
//! Only what is stored newly is refused: of what is there already nothing gets worse, and a leaked secret can be rotated and a webhook stopped whoever
//! else is alive.

use hookplane_proto::v1;

use super::desk::Desk;
use super::status::Problem;
use crate::admission::Lacking;
use crate::dispatch::unsubscribed::has_subscribers;

/// Something that an older program doesn't do.
#[derive(Debug, Clone, PartialEq)]
enum Need {
    Pushing,
    /// It would hand them to subscribers.
    NoSubscribers,
    Mapping,
    ActiveMapping,
    Order,
    Redaction(v1::Redaction),
    Retention,
    CaptureDays,
}

impl Need {
    fn what(&self) -> &'static str {
        match self {
            Self::Pushing | Self::NoSubscribers => "destinations",
            Self::Mapping | Self::ActiveMapping => "mappings",
            Self::Order => "the order of deliveries",
            Self::Redaction(_) => "redaction",
            Self::Retention | Self::CaptureDays => "retention",
        }
    }
}

/// A webhook that is to be stored in place of another.
pub(super) fn webhook(
    desk: &Desk<'_>,
    old: Option<&v1::WebhookSpec>,
    spec: &v1::WebhookSpec,
) -> Result<(), Problem> {
    known(desk, new_of_webhook(old, spec))
}

/// An org that is to be stored in place of another.
pub(super) fn org(
    desk: &Desk<'_>,
    old: Option<&v1::OrgSpec>,
    spec: &v1::OrgSpec,
) -> Result<(), Problem> {
    let needs = |spec: &v1::OrgSpec| spec.retention.map(|_| Need::Retention);
    let of_old = old.and_then(needs);
    known(desk, needs(spec).filter(|_| of_old.is_none()))
}

/// A group that is to be stored in place of another.
pub(super) fn group(
    desk: &Desk<'_>,
    old: Option<&v1::WebhookGroupSpec>,
    spec: &v1::WebhookGroupSpec,
) -> Result<(), Problem> {
    known(desk, new_of_group(old, spec))
}

fn new_of_webhook(old: Option<&v1::WebhookSpec>, spec: &v1::WebhookSpec) -> Option<Need> {
    // What gets to work needs all that it has.
    let old = old.filter(|old| old.active || !spec.active);
    let of_old = old.map(of_webhook).unwrap_or_default();
    of_webhook(spec)
        .into_iter()
        .find(|need| !of_old.contains(need))
}

fn new_of_group(old: Option<&v1::WebhookGroupSpec>, spec: &v1::WebhookGroupSpec) -> Option<Need> {
    let old = old.filter(|old| !old.disabled || spec.disabled);
    let of_old = old.map(of_group).unwrap_or_default();
    of_group(spec)
        .into_iter()
        .find(|need| !of_old.contains(need))
}

fn of_webhook(spec: &v1::WebhookSpec) -> Vec<Need> {
    let pushes = spec.destinations.iter().any(|to| to.subscribe.is_none());
    let maps = spec.mapping.as_ref();
    let all = [
        (pushes, Need::Pushing),
        (!has_subscribers(spec), Need::NoSubscribers),
        (maps.is_some(), Need::Mapping),
        (maps.is_some_and(|of| of.active), Need::ActiveMapping),
        (!spec.order_by.is_empty(), Need::Order),
    ];
    let needed = all.into_iter().filter(|(is_needed, _)| *is_needed);
    needed.map(|(_, need)| need).collect()
}

fn of_group(spec: &v1::WebhookGroupSpec) -> Vec<Need> {
    let mut needs: Vec<Need> = spec.redact.iter().cloned().map(Need::Redaction).collect();
    needs.extend(spec.retention.map(|_| Need::Retention));
    needs.extend((spec.capture_days > 0).then_some(Need::CaptureDays));
    needs
}

fn known(desk: &Desk<'_>, need: Option<Need>) -> Result<(), Problem> {
    // A trial stores nothing.
    let Some(need) = need.filter(|_| desk.lacking == Lacking::Refused) else {
        return Ok(());
    };
    match desk.context.fleet.older() {
        None => Ok(()),
        Some(replica) => Err(Problem::Refused(format!(
            "the control plane's replica {replica} runs an older program, which doesn't know {}: end the upgrade first; a replica that was killed is \
             forgotten after 15 seconds",
            need.what()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushing() -> v1::WebhookDestination {
        v1::WebhookDestination {
            http: Some(v1::HttpTarget {
                url: "https://example.com/hooks".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn subscribe() -> v1::WebhookDestination {
        v1::WebhookDestination {
            subscribe: Some(v1::SubscribeDestination {}),
            ..Default::default()
        }
    }

    #[test]
    fn a_webhook_that_has_it_all_can_still_be_stopped_and_its_secrets_rotated() {
        let stored = v1::WebhookSpec {
            active: true,
            destinations: vec![subscribe(), pushing()],
            mapping: Some(v1::Mapping {
                active: true,
                base: None,
            }),
            order_by: "payload.id".to_owned(),
            ..Default::default()
        };
        let new = |old: &v1::WebhookSpec, change: fn(&mut v1::WebhookSpec)| {
            let mut spec = old.clone();
            change(&mut spec);
            new_of_webhook(Some(old), &spec)
        };
        let safe: [fn(&mut v1::WebhookSpec); 6] = [
            |spec| spec.active = false,
            |spec| spec.destinations[1].paused = true,
            |spec| {
                let http = spec.destinations[1].http.get_or_insert_default();
                http.url = "https://example.com/other".to_owned();
                http.signing_secret = Some(v1::Secret::default());
            },
            |spec| spec.mapping.get_or_insert_default().active = false,
            |spec| spec.mapping = None,
            |spec| spec.destinations.clear(),
        ];
        for change in safe {
            assert_eq!(new(&stored, change), None);
        }
        // An older one goes on handing them to subscribers.
        let alone = new(&stored, |spec| drop(spec.destinations.remove(0)));
        assert_eq!(alone, Some(Need::NoSubscribers));
        assert_eq!(new_of_webhook(None, &stored), Some(Need::Pushing));
        let mut stopped = stored.clone();
        stopped.active = false;
        assert_eq!(new(&stopped, |spec| spec.label = "Old".to_owned()), None);
        let begun = new(&stopped, |spec| spec.active = true);
        assert_eq!(begun, Some(Need::Pushing));
        let mut unmapped = stored.clone();
        unmapped.mapping.get_or_insert_default().active = false;
        let mapped = new(&unmapped, |spec| {
            spec.mapping.get_or_insert_default().active = true;
        });
        assert_eq!(mapped, Some(Need::ActiveMapping));
    }

    #[test]
    fn a_group_that_redacts_can_still_be_disabled_and_redacts_nothing_new() {
        let redact = |path: &str| v1::Redaction {
            path: path.to_owned(),
            mask: false,
        };
        let stored = v1::WebhookGroupSpec {
            redact: vec![redact("payload.email")],
            capture_days: 3,
            ..Default::default()
        };
        let mut spec = v1::WebhookGroupSpec {
            disabled: true,
            signature_secrets: vec![v1::SignatureSecret::default()],
            ..stored.clone()
        };
        assert_eq!(new_of_group(Some(&stored), &spec), None);
        let enabled = new_of_group(Some(&spec), &stored);
        assert_eq!(enabled, Some(Need::Redaction(redact("payload.email"))));
        spec.redact.push(redact("payload.phone"));
        let more = new_of_group(Some(&stored), &spec);
        assert_eq!(more, Some(Need::Redaction(redact("payload.phone"))));
        let captures = v1::WebhookGroupSpec {
            redact: stored.redact.clone(),
            ..Default::default()
        };
        assert_eq!(
            new_of_group(Some(&captures), &stored),
            Some(Need::CaptureDays)
        );
        assert_eq!(new_of_group(None, &v1::WebhookGroupSpec::default()), None);
    }
}
