//! Which queues have something that waits, by steps from one to the next and never over what is in them.

use std::time::Duration;

use super::Shared;
use super::fault::Fault;
use super::leases::NOW;
use crate::log::{LogError, Queue, Waiting};

/// Those beyond `after`, in order. Those of subscribers are passed by, with a step for each that has order keys.
///
/// Where all that is pending waits for others of its keys, one of those is leased or pending, and nothing is due before the first lease of all ends:
/// whoever settles before that says so. What nobody has looked at counts as due, since whoever leases next looks.
pub(super) async fn waiting(
    shared: &Shared,
    after: Option<&Queue>,
    limit: usize,
) -> Result<Vec<Waiting>, LogError> {
    // The next of what has its turn, and the next of what hasn't.
    let next = |webhook: &str, destination: &str| {
        format!(
            "(SELECT * FROM (
                 (SELECT webhook_uid, destination, due FROM deliveries
                  WHERE status = 1 AND turn = 0 AND destination <> '' AND (webhook_uid, destination) > ({webhook}, {destination})
                  ORDER BY webhook_uid, destination, due LIMIT 1)
                 UNION ALL
                 (SELECT webhook_uid, destination, CASE turn WHEN 1 THEN 0 ELSE (SELECT due FROM soonest) END FROM deliveries
                  WHERE status = 1 AND turn > 0 AND (webhook_uid, destination) > ({webhook}, {destination})
                  ORDER BY webhook_uid, destination, turn LIMIT 1)
             ) AS either ORDER BY webhook_uid, destination, due LIMIT 1)"
        )
    };
    let sql = format!(
        "WITH RECURSIVE {NOW}, soonest AS MATERIALIZED (
             SELECT coalesce((SELECT due FROM deliveries WHERE status = 2 ORDER BY due LIMIT 1), 0) AS due
         ), queues AS (
             SELECT * FROM {first} AS first
             UNION ALL
             SELECT next.* FROM queues CROSS JOIN LATERAL {following} AS next
         )
         SELECT webhook_uid, destination, greatest(due - (SELECT ms FROM now), 0) FROM queues WHERE destination <> '' LIMIT $3",
        first = next("$1::text", "$2::text"),
        following = next("queues.webhook_uid", "queues.destination"),
    );
    let (webhook, destination) = match after {
        Some(queue) => (&*queue.webhook_uid, &*queue.destination),
        None => ("", ""),
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut session = shared.pool.call().await?;
    let rows = session
        .query(&sql, &[&webhook, &destination, &limit])
        .await?;
    let read = |row: &tokio_postgres::Row| -> Result<Waiting, Fault> {
        let due: i64 = row.try_get(2)?;
        Ok(Waiting {
            queue: Queue {
                webhook_uid: row.try_get(0)?,
                destination: row.try_get(1)?,
            },
            due_in: Duration::from_millis(u64::try_from(due).unwrap_or(0)),
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}
