//! What a replica of an older program would get wrong isn't saved while there is one.
//!
//! During an upgrade replicas of two programs share the store and the log. The older one reads what it knows of a webhook or a group and leaves out
//! the rest, and so when it writes: it would hand subscribers what is to be pushed or mapped, and keep what is to be redacted. Each replica says in the fleet
//! what it knows; one that has ended without a word is in it for some 15 s more.

use hookplane_proto::v1;

use super::status::Problem;
use crate::context::Context;

/// A webhook that is to be stored.
pub(super) fn webhook(context: &Context, spec: &v1::WebhookSpec) -> Result<(), Problem> {
    let pushes = spec.destinations.iter().any(|to| to.subscribe.is_none());
    let what = match () {
        () if pushes => "destinations",
        () if spec.mapping.is_some() => "mappings",
        () if !spec.order_by.is_empty() => "the order of deliveries",
        () => return Ok(()),
    };
    known(context, what)
}

/// An org that is to be stored.
pub(super) fn org(context: &Context, spec: &v1::OrgSpec) -> Result<(), Problem> {
    match spec.retention {
        Some(_) => known(context, "retention"),
        None => Ok(()),
    }
}

/// A group that is to be stored.
pub(super) fn group(context: &Context, spec: &v1::WebhookGroupSpec) -> Result<(), Problem> {
    let what = match () {
        () if !spec.redact.is_empty() => "redaction",
        () if spec.retention.is_some() || spec.capture_days > 0 => "retention",
        () => return Ok(()),
    };
    known(context, what)
}

fn known(context: &Context, what: &str) -> Result<(), Problem> {
    match context.fleet.older() {
        None => Ok(()),
        Some(replica) => Err(Problem::Refused(format!(
            "the control plane's replica {replica} runs an older program, which doesn't know {what}: end the upgrade first; a replica that was killed is \
             forgotten after 15 seconds"
        ))),
    }
}
