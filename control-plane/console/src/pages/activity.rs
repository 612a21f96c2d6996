//! The chart of a day, of a group or of all groups of an org; and what a page does without where the event log doesn't answer.

use hookplane_proto::v1;
use tonic::{Code, Status};

use crate::chart::{self, Chart};
use crate::page::Visitor;
use crate::problem::Problem;

/// Of `orgs/acme` or `orgs/acme/groups/shop`, with the title that a screen reader reads. In a template: `{{ chart }}`. None: not known now.
pub(super) async fn chart(
    visitor: &Visitor,
    parent: String,
    title: &str,
) -> Result<Option<Chart>, Problem> {
    let request = v1::GetActivityRequest { parent, hours: 24 };
    let answer = known(visitor.api.events().get_activity(request).await)?;
    Ok(answer.map(|answer| {
        let now = (visitor.console.now)();
        let answer = answer.into_inner();
        chart::of(title, &answer.buckets, now).since(answer.since)
    }))
}

/// None where the event log is away: a page that shows configuration is of most use just then, and does without what is only told beside it.
pub(super) fn known<T>(answer: Result<T, Status>) -> Result<Option<T>, Problem> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => {
            Ok(None)
        }
        Err(status) => Err(status.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_log_does_not_tell_is_done_without_and_what_is_refused_is_not() {
        assert!(matches!(known(Ok(1)), Ok(Some(1))));
        for away in [Status::unavailable(""), Status::deadline_exceeded("")] {
            assert!(matches!(known::<()>(Err(away)), Ok(None)));
        }
        assert!(known::<()>(Err(Status::permission_denied(""))).is_err());
    }
}
