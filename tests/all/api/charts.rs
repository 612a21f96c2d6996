//! What charts are drawn from.

use std::time::Duration;

use hookplane_proto::v1;
use v1::event_service_client::EventServiceClient;

use super::rig::{NOW_SECONDS, Rig};

// With the embedded log a chart knows nothing of the time before the start: it has to say so, or a day with traffic looks like one without.
#[tokio::test]
async fn charts_say_since_when_was_counted_unless_that_is_all_the_time_that_they_show() {
    let rig = Rig::start().await;
    rig.apply("apiVersion: hookplane.dev/v1\nkind: Org\nmetadata: {name: acme}\n")
        .await
        .unwrap();
    let since = async |hours| {
        let request = v1::GetActivityRequest {
            parent: "orgs/acme".to_owned(),
            hours,
        };
        let mut events = EventServiceClient::new(rig.wire());
        let since = events
            .get_activity(request)
            .await
            .unwrap()
            .into_inner()
            .since;
        since.map(|since| since.seconds)
    };
    rig.clock.advance(Duration::from_secs(2 * 3_600));
    assert_eq!(since(1).await, None);
    assert_eq!(since(48).await, Some(NOW_SECONDS));
    rig.stop().await;
}
