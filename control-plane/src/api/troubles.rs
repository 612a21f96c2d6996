//! Which of an org's destinations nothing gets through to now: what somebody who is called at night asks first.
//!
//! Asked of the destinations and not of what waits for them: of a long queue the newest deliveries were never tried, and know of nothing.

use hookplane_proto::v1;
use v1::DestinationState;

use super::names;
use crate::context::Context;
use crate::dispatch::target::{of_named, resolve};

/// More nobody reads.
const SHOWN: usize = 100;

pub(super) fn list(context: &Context, org: &str) -> v1::ListTroublesResponse {
    let now = context.clock.now();
    let mut troubles = Vec::new();
    for named in context.view.destinations_of(org) {
        // One that says nothing can't be saved.
        if let Ok(resolved) = of_named(&named) {
            troubles.push(v1::Trouble {
                name: resolved.shown.clone(),
                destination: String::new(),
                status: Some(context.endpoints.status(&resolved, now)),
            });
        }
    }
    for (uid, destination) in context.endpoints.own() {
        let Some(webhook) = context.view.webhook(&uid) else {
            continue;
        };
        let of = webhook.metadata.clone().unwrap_or_default();
        // One that was taken out of its webhook is forgotten soon.
        if of.org == org
            && let Ok(resolved) = resolve(&context.view, &webhook, &destination)
        {
            troubles.push(v1::Trouble {
                name: names::webhook(&of.org, &of.group, &of.name),
                destination,
                status: Some(context.endpoints.status(&resolved, now)),
            });
        }
    }
    first(troubles)
}

/// Those that fail before those that wait, and both before those that somebody paused.
fn first(mut troubles: Vec<v1::Trouble>) -> v1::ListTroublesResponse {
    let rank = |one: &v1::Trouble| match one.status.as_ref().map(|status| status.state()) {
        Some(DestinationState::Failing) => 0,
        Some(DestinationState::Waiting) => 1,
        Some(DestinationState::Paused) => 2,
        _ => 3,
    };
    troubles.retain(|one| rank(one) < 3);
    troubles.sort_by(|a, b| {
        (rank(a), &a.name, &a.destination).cmp(&(rank(b), &b.name, &b.destination))
    });
    let total = u32::try_from(troubles.len()).unwrap_or(u32::MAX);
    troubles.truncate(SHOWN);
    v1::ListTroublesResponse { troubles, total }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_comes_before_what_waits_and_what_works_is_none() {
        let one = |name: &str, state: DestinationState| v1::Trouble {
            name: name.to_owned(),
            status: Some(v1::DestinationStatus {
                state: state.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut all = vec![
            one("paused", DestinationState::Paused),
            one("works", DestinationState::Active),
            one("waits", DestinationState::Waiting),
        ];
        let failing = (0..SHOWN).map(|n| one(&format!("fails-{n:03}"), DestinationState::Failing));
        all.extend(failing);
        let answer = first(all);
        assert_eq!((answer.troubles.len(), answer.total), (SHOWN, 102));
        assert_eq!(answer.troubles[0].name, "fails-000");
        let some = vec![
            one("paused", DestinationState::Paused),
            one("fails", DestinationState::Failing),
        ];
        let names: Vec<_> = first(some).troubles.into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["fails", "paused"]);
    }
}
