//! The listeners that the visitor may see: where each has come, what it answers for, and what it refused.

use askama::Template;
use axum::response::Response;
use hookplane_proto::v1;

use crate::moment::Moment;
use crate::page::{Page, Visitor, html};
use crate::problem::Problem;
use crate::words;

/// Listeners shown: a page of more would be over its size.
const SHOWN: usize = 300;
/// Problems shown of one.
const PROBLEMS: usize = 5;

struct Row {
    name: String,
    pool: String,
    version: String,
    ready: bool,
    revision: u64,
    lag: u64,
    /// A second, over the last minute.
    accepted: String,
    refused: String,
    since: Option<Moment>,
    problems: Vec<String>,
    more_problems: usize,
}

impl Row {
    fn of(listener: v1::Listener) -> Self {
        let more_problems = listener.problems.len().saturating_sub(PROBLEMS);
        let flow = listener.last_minute;
        let problems = listener.problems.into_iter().take(PROBLEMS);
        Self {
            name: listener.name,
            pool: listener.pool,
            version: listener.software_version,
            ready: listener.ready,
            revision: listener.revision,
            lag: listener.store_revision.saturating_sub(listener.revision),
            accepted: words::a_second(flow.map(|sum| sum.accepted)),
            refused: words::a_second(flow.map(|sum| sum.refused)),
            since: Moment::of(listener.connect_time.as_ref()),
            problems: problems.map(|error| error.reason).collect(),
            more_problems,
        }
    }
}

#[derive(Template)]
#[template(path = "fleet.html")]
struct Fleet {
    page: Page,
    /// The store's.
    revision: u64,
    count: usize,
    /// All together, a second.
    accepted: String,
    refused: String,
    ready: usize,
    pools: usize,
    listeners: Vec<Row>,
}

pub(super) async fn show(visitor: Visitor) -> Result<Response, Problem> {
    let request = v1::ListListenersRequest {};
    let answer = visitor.api.config().list_listeners(request).await?;
    let mut listeners = answer.into_inner().listeners;
    listeners.sort_by(|one, other| (&one.pool, &one.name).cmp(&(&other.pool, &other.name)));
    let mut pools: Vec<&str> = listeners.iter().map(|l| l.pool.as_str()).collect();
    pools.dedup();
    let pools = pools.len();
    let revision = listeners.iter().map(|listener| listener.store_revision);
    html(&Fleet {
        accepted: words::a_second(sum(&listeners, |flow| flow.accepted)),
        refused: words::a_second(sum(&listeners, |flow| flow.refused)),
        page: visitor.page("Fleet", &visitor.who.org),
        revision: revision.max().unwrap_or(0),
        count: listeners.len(),
        ready: listeners.iter().filter(|listener| listener.ready).count(),
        pools,
        listeners: listeners.into_iter().take(SHOWN).map(Row::of).collect(),
    })
}

/// Of all; unknown where it is of one.
fn sum(listeners: &[v1::Listener], of: fn(&v1::ListenerThroughput) -> u64) -> Option<u64> {
    let mut each = listeners.iter().map(|one| one.last_minute.as_ref().map(of));
    each.try_fold(0u64, |sum, one| Some(sum.saturating_add(one?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_any_counts_are_shown_and_what_is_unknown_of_one_is_unknown() {
        let listener = |accepted| v1::Listener {
            last_minute: Some(v1::ListenerThroughput {
                accepted,
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut listeners = vec![listener(u64::MAX), listener(2)];
        assert_eq!(sum(&listeners, |flow| flow.accepted), Some(u64::MAX));
        listeners.push(v1::Listener::default());
        assert_eq!(sum(&listeners, |flow| flow.accepted), None);
    }
}
