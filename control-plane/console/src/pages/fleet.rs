//! The listeners that the visitor may see: where each has come, what it answers for, and what it refused.

use askama::Template;
use axum::response::Response;
use hookplane_proto::v1;

use super::activity::known;
use crate::moment::Moment;
use crate::name;
use crate::page::{Page, Visitor, html};
use crate::problem::Problem;
use crate::weight;
use crate::words;

/// Listeners shown: a page of more would be over its size.
const SHOWN: usize = 300;
/// Problems shown of one.
const PROBLEMS: usize = 5;
/// Requests to no group's URL that are shown, of the newest refusals of all.
const STRAYS: usize = 20;
const LOOKED_AT: u32 = 500;
/// Of a reason.
const REASON: usize = 300;

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
    /// Requests to a URL that no group has, which are the operator's alone to see. None: not known now.
    strays: Option<Vec<Stray>>,
}

/// A request that no group's URL was asked for by.
struct Stray {
    time: Option<Moment>,
    reason: String,
    from: String,
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
    let strays = match visitor.who.org.is_empty() {
        true => strays(&visitor).await?,
        false => None,
    };
    html(&Fleet {
        strays,
        accepted: words::a_second(sum(&listeners, |flow| flow.accepted)),
        refused: words::a_second(sum(&listeners, |flow| flow.refused)),
        page: visitor.page("Fleet", &come_from(&visitor)),
        revision: revision.max().unwrap_or(0),
        count: listeners.len(),
        ready: listeners.iter().filter(|listener| listener.ready).count(),
        pools,
        listeners: listeners.into_iter().take(SHOWN).map(Row::of).collect(),
    })
}

/// The org whose menu stays: the visitor's, or the one that they looked at. It is a name in links, and decides nothing.
fn come_from(visitor: &Visitor) -> String {
    let named = visitor.query.text("org");
    let is_name = named.len() <= name::MAX_CHARS
        && named
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match visitor.who.org.is_empty() && is_name {
        true => named.to_owned(),
        false => visitor.who.org.clone(),
    }
}

/// The newest; none where the event log doesn't answer.
async fn strays(visitor: &Visitor) -> Result<Option<Vec<Stray>>, Problem> {
    let request = v1::ListRefusalsRequest {
        parent: String::new(),
        page_size: LOOKED_AT,
        not_kept: false,
    };
    let answer = known(visitor.api.events().list_refusals(request)).await?;
    let stray = |refusal: v1::Refusal| Stray {
        time: Moment::of(refusal.time.as_ref()),
        reason: weight::cut(&refusal.reason, REASON),
        from: refusal.remote_address,
    };
    Ok(answer.map(|answer| {
        let all = answer.into_inner().refusals.into_iter();
        let strays = all.filter(|refusal| refusal.group.is_empty());
        strays.take(STRAYS).map(stray).collect()
    }))
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
