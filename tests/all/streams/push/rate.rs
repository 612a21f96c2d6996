//! So many a second, by a clock that the test turns.

use std::time::Duration;

use hookplane_proto::v1;

use super::{Shop, http, own, willing};
use crate::fake_control_plane::{Failure, until};

#[tokio::test]
async fn no_more_is_sent_than_the_rate_allows_also_when_it_comes_now_and_then()
-> Result<(), Failure> {
    const RATE: usize = 5;
    const EVENTS: usize = 12;
    let mut shop = Shop::open().await?;
    let (limited, other) = (willing().await?, willing().await?);
    let mut slow = own("slow", http(&limited.url));
    slow.limits = Some(v1::DeliveryLimits {
        rate_per_second: RATE as u32,
        ..Default::default()
    });
    let both = vec![slow, own("other", http(&other.url))];
    shop.rig.pushed("orders", both, |_| {}).await?;
    // One by one: the destination has nothing to do in between, and begins with no burst of its own each time.
    for n in 0..EVENTS {
        shop.event(&format!("d-{n}"), "{}").await?;
        until(|| other.count() == n + 1 && limited.count() >= RATE.min(n + 1)).await?;
    }
    assert_eq!(limited.count(), RATE, "the clock stands still");
    // Another second, another five; and nobody else waits meanwhile.
    shop.rig.clock.advance(Duration::from_secs(1));
    until(|| limited.count() >= 2 * RATE).await?;
    shop.event("d-last", "{}").await?;
    until(|| other.count() == EVENTS + 1).await?;
    assert_eq!(limited.count(), 2 * RATE);
    // After a long while no more than a burst.
    shop.rig.clock.advance(Duration::from_secs(60));
    until(|| limited.count() == EVENTS + 1).await?;
    Ok(())
}
