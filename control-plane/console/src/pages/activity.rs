//! The chart of a day: of a group, or of all groups of an org.

use hookplane_proto::v1;

use crate::chart::{self, Chart};
use crate::page::Visitor;
use crate::problem::Problem;

/// Of `orgs/acme` or `orgs/acme/groups/shop`, with the title that a screen reader reads. In a template: `{{ chart }}`.
pub(super) async fn chart(
    visitor: &Visitor,
    parent: String,
    title: &str,
) -> Result<Chart, Problem> {
    let request = v1::GetActivityRequest { parent, hours: 24 };
    let answer = visitor.api.events().get_activity(request).await?;
    let buckets = answer.into_inner().buckets;
    Ok(chart::of(title, &buckets, (visitor.console.now)()))
}
