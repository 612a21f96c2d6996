//! What a page shows beside what it is for: nobody waits for it longer than a second, whatever the event log is at.

use std::time::Duration;

use crate::log::LogError;

const PATIENCE: Duration = Duration::from_secs(1);

/// What the log says by then.
pub(super) async fn glance<T>(
    asked: impl Future<Output = Result<T, LogError>>,
) -> Result<T, LogError> {
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.unwrap_or_else(|_| {
        let why = "it doesn't answer within a second: ask again in a while";
        Err(LogError::Unavailable(why.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use hookplane_proto::v1;
    use prost::Message as _;

    use super::*;
    use crate::access::operator;
    use crate::api::status::Problem;
    use crate::api::{activity, groups};
    use crate::dispatch::engine::tests::rig::{Rig, soon};
    use crate::keys;

    // A log that is away holds up no page that shows a chart or a count.
    #[tokio::test]
    async fn a_log_that_says_nothing_is_unavailable_soon() {
        let silent = glance(std::future::pending::<Result<(), _>>());
        let answer = tokio::time::timeout(Duration::from_secs(60), silent).await;
        assert!(matches!(answer, Ok(Err(LogError::Unavailable(_)))));
    }

    #[tokio::test]
    async fn groups_are_shown_and_a_chart_is_given_up_though_the_log_says_nothing() {
        let rig = Rig::new().await;
        rig.log.is_silent.store(true, Ordering::SeqCst);
        let mut shown = [v1::WebhookGroup::default()];
        soon(groups::counted(&rig.context, &mut shown)).await;
        assert_eq!(shown, [v1::WebhookGroup::default()]);
        rig.put(keys::org("acme"), v1::Org::default().encode_to_vec())
            .await;
        let request = v1::GetActivityRequest {
            parent: "orgs/acme".to_owned(),
            ..Default::default()
        };
        let (context, caller) = (&rig.context, operator());
        let chart = soon(activity::get(context, &caller, request)).await;
        assert!(matches!(chart, Err(Problem::Log(LogError::Unavailable(_)))));
    }
}
