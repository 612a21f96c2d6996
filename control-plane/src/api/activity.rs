//! What became of callbacks and deliveries lately, of a group or of all groups of an org.

use hookplane_proto::v1;
use hookplane_rules::Timestamp;
use hookplane_rules::time::to_wire;

use super::scope::Scope;
use super::status::Problem;
use crate::access::Caller;
use crate::context::Context;
use crate::log::ActivityOf;

/// Without a word from the caller.
const HOURS: u32 = 24;
/// As long as buckets are kept.
const MAX_HOURS: u32 = 48;
const HOUR: i64 = 3_600_000;

pub(super) async fn get(
    context: &Context,
    caller: &Caller,
    request: v1::GetActivityRequest,
) -> Result<v1::GetActivityResponse, Problem> {
    let scope = Scope::parse(caller, "parent", &request.parent)?;
    let Some(org) = scope.org.clone().filter(|_| scope.webhook.is_none()) else {
        return Err(Problem::field(
            "parent",
            "expected orgs/ORG or orgs/ORG/groups/GROUP",
        ));
    };
    let hours = match request.hours {
        0 => HOURS,
        hours if hours <= MAX_HOURS => hours,
        _ => return Err(Problem::field("hours", format!("at most {MAX_HOURS}"))),
    };
    let record = scope.record(context, &request.parent).await?;
    let group = record.as_ref().and_then(|one| one.group.metadata.as_ref());
    let since = Timestamp(
        context
            .clock
            .now()
            .0
            .saturating_sub(i64::from(hours) * HOUR),
    );
    let (of, since) = match group {
        Some(group) => (ActivityOf::Group(&group.uid), since),
        // What is older than the org was another's, of the same name.
        None => (
            ActivityOf::Org(&org),
            scope.since.map_or(since, |of| of.max(since)),
        ),
    };
    let notes = context.log.notes();
    let began = notes.counts_since(of).filter(|began| *began > since);
    let buckets = notes.activity(of, since).await?;
    let buckets = buckets
        .into_iter()
        .map(|(start, activity)| v1::ActivityBucket {
            start_time: Some(to_wire(start)),
            accepted: activity.accepted,
            refused: activity.refused,
            filtered: activity.filtered,
            duplicates: activity.duplicates,
            delivered: activity.delivered,
            failed: activity.failed,
        });
    Ok(v1::GetActivityResponse {
        buckets: buckets.collect(),
        since: began.map(to_wire),
    })
}
