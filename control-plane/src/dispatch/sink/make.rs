//! The one place that knows all kinds of sinks.

use std::sync::Arc;
use std::time::Duration;

use super::Sink;
use super::http::HttpSink;
use super::salesforce::SalesforceSink;
use crate::context::Context;
use crate::dispatch::target::Target;

/// For this org, of a target whose secrets are opened; `timeout` is of one request. The error says which field is wrong.
pub(crate) fn make(
    context: &Context,
    org: &str,
    target: &Target,
    timeout: Duration,
) -> Result<Arc<dyn Sink>, String> {
    let (client, clock) = (context.client.apart(org), context.clock.clone());
    Ok(match target {
        Target::Http(http) => Arc::new(HttpSink::new(http, timeout, client, clock)?),
        Target::Salesforce(target) => {
            Arc::new(SalesforceSink::new(target, timeout, client, clock)?)
        }
    })
}
