//! The chart of a day, of a group or of all groups of an org; and what a page does without where the event log doesn't answer.

use std::time::Duration;

use hookplane_proto::v1;
use tonic::{Code, Status};

use crate::chart::{self, Chart};
use crate::page::Visitor;
use crate::problem::Problem;

/// How long a page waits for what is only told beside what it is for. The log itself takes up to 10 s to say that it is away.
const PATIENCE: Duration = Duration::from_secs(3);

/// Of `orgs/acme` or `orgs/acme/groups/shop`, with the title that a screen reader reads. In a template: `{{ chart }}`. None: not known now.
pub(super) async fn chart(
    visitor: &Visitor,
    parent: String,
    title: &str,
) -> Result<Option<Chart>, Problem> {
    let request = v1::GetActivityRequest { parent, hours: 24 };
    let answer = known(visitor.api.events().get_activity(request)).await?;
    Ok(answer.map(|answer| {
        let now = (visitor.console.now)();
        let answer = answer.into_inner();
        chart::of(title, &answer.buckets, now).since(answer.since)
    }))
}

/// None where the event log is away: a page that shows configuration is of most use just then, and does without what is only told beside it.
pub(super) async fn known<T>(
    asked: impl Future<Output = Result<T, Status>>,
) -> Result<Option<T>, Problem> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Err(_) => Ok(None),
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(status)) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => {
            Ok(None)
        }
        Ok(Err(status)) => Err(status.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(answer: Result<(), Status>) -> Result<Option<()>, Problem> {
        known(std::future::ready(answer)).await
    }

    #[tokio::test]
    async fn what_the_log_does_not_tell_is_done_without_and_what_is_refused_is_not() {
        assert!(matches!(of(Ok(())).await, Ok(Some(()))));
        for away in [Status::unavailable(""), Status::deadline_exceeded("")] {
            assert!(matches!(of(Err(away)).await, Ok(None)));
        }
        let silent = known(std::future::pending::<Result<(), _>>());
        let silent = tokio::time::timeout(Duration::from_secs(60), silent).await;
        assert!(matches!(silent, Ok(Ok(None))));
        assert!(of(Err(Status::permission_denied(""))).await.is_err());
    }
}
