//! Tells whoever waits that there is something new, here and at the other replicas.
//!
//! ```text
//!   what was done here ─▶ ┌──────────────────┐ ─▶ NOTIFY: the other replicas
//!   NOTIFY of another ──▶ │ asks PostgreSQL: │
//!   something is due ───▶ │ how far, what    │ ─▶ newest: subscribers and tails of this one
//!   every two seconds ──▶ │ next is due      │
//!                         └──────────────────┘ on a connection of its own
//! ```
//!
//! - A notification is sent on its own, never with an append: sending one takes a lock of the whole database until its commit. What is done in
//!   the meantime shares the next one.
//! - Nothing is known from a notification but that it is worth asking. One that is lost costs at most [`EVERY`].
//! - The line is whole up to the oldest transaction that is open ([`line`]), so what was just kept can be ahead of it: then it is asked again soon.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Shared;
use super::connection::Connection;
use super::fault::Fault;
use super::leases::{self, NOW};
use super::line;
use super::pool::CALL_TIME;
use super::read::{cursor, seq};
use crate::log::{Cursor, LogError};

/// Between two looks when nothing is heard.
const EVERY: Duration = Duration::from_secs(2);
/// Between two looks at least: what comes meanwhile shares the next.
const GAP: Duration = Duration::from_millis(10);
/// Between two looks at what is due at least: a back-off has jitter, and nobody notices this.
const DUE_GAP: Duration = Duration::from_millis(100);
/// Before the first look at a line that is behind; then twice that, and so on up to [`EVERY`].
const BEHIND: Duration = Duration::from_millis(5);
/// A line that is behind for so long is worth a word: some transaction is open all this time.
const HELD_BACK: Duration = Duration::from_secs(30);
/// Before connecting again, up to half of it more at random.
const AGAIN: Duration = Duration::from_millis(200);
/// It doubles up to this.
const AGAIN_MOST: Duration = Duration::from_secs(5);

/// What replicas tell each other on.
const LISTEN: &str = "SET synchronous_commit = off; LISTEN hookplane";
const TELL: &str = "SELECT pg_notify('hookplane', '')";

/// Where news are told.
#[derive(Default)]
pub(super) struct Wake {
    newest: watch::Sender<Cursor>,
    changed: Notify,
}

impl Wake {
    /// Pending deliveries of these webhooks were kept, and events; the commit is done. Never waits.
    pub(super) fn kept(&self, _webhooks: Vec<String>) {
        self.changed();
    }

    /// Deliveries were changed, and it is committed. Never waits.
    pub(super) fn changed(&self) {
        self.changed.notify_one();
    }

    pub(super) fn newest(&self) -> watch::Receiver<Cursor> {
        self.newest.subscribe()
    }

    /// Also when it has not grown: something may be due.
    fn tell(&self, newest: Cursor) {
        self.newest.send_modify(|known| *known = newest.max(*known));
    }
}

/// Sees to it that the line goes on, knows its end, and starts what listens and tells.
pub(super) async fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>) -> Result<(), LogError> {
    let mut session = shared.pool.call().await?;
    line::continue_beyond(&mut session, 0).await?;
    let newest = line::whole(&mut session).await?;
    shared.wake.tell(newest);
    tasks.spawn(run(shared.clone()));
    Ok(())
}

/// For as long as the log is open: what ends the connection is told once, and another one made.
async fn run(shared: Arc<Shared>) {
    let mut again = AGAIN;
    let mut told = false;
    loop {
        let began = Instant::now();
        let Err(fault) = follow(&shared, &mut told).await;
        if began.elapsed() > AGAIN_MOST {
            again = AGAIN;
        }
        if !told {
            tracing::warn!(error = %fault.message, "PostgreSQL is not heard; subscribers and tails wait until it is");
            told = true;
        }
        tokio::time::sleep(again + crate::due::within(again / 2)).await;
        again = (again * 2).min(AGAIN_MOST);
    }
}

/// Why it is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Something was done here: the others don't know.
    Done,
    /// Another replica did something, or it is long since the last look.
    Heard,
    /// Something is due.
    Due,
    /// The line was behind.
    Behind,
}

/// What PostgreSQL says.
struct Look {
    /// The line is whole up to here.
    whole: Cursor,
    /// And would be up to here without transactions that are open.
    last: Cursor,
    /// Until the next lease runs out or delivery becomes due.
    due: Option<Duration>,
    /// When it was asked for.
    leased: Option<u64>,
}

/// What is asked besides.
#[derive(Clone, Copy)]
struct Ask {
    /// First the other replicas are told that it is worth looking.
    tell: bool,
    /// How many deliveries are leased: for a gauge, so not each time.
    leased: bool,
}

async fn follow(shared: &Shared, told: &mut bool) -> Result<std::convert::Infallible, Fault> {
    let connector = &shared.pool.connector;
    let mut connection = connector.connect(Instant::now() + CALL_TIME).await?;
    bounded(async { Ok(connection.client.batch_execute(LISTEN).await?) }).await?;
    connection.listens().await?;
    if std::mem::take(told) {
        tracing::info!("PostgreSQL is heard again");
    }
    // What happened while it was not heard.
    let mut why = Why::Heard;
    let mut aim = Cursor::default();
    let mut behind: Option<(Instant, Duration)> = None;
    let mut counted: Option<Instant> = None;
    loop {
        if why == Why::Due {
            leases::expire(shared, &mut shared.pool.call().await?).await?;
        }
        let looked = Instant::now();
        let ask = Ask {
            tell: why == Why::Done,
            leased: counted.is_none_or(|counted| looked - counted >= EVERY),
        };
        let look = bounded(look(&mut connection, ask)).await?;
        let known = *shared.wake.newest.borrow();
        match look {
            Some(look) if look.last >= known => {
                if why != Why::Behind || look.whole > known {
                    shared.wake.tell(look.whole);
                }
                if let Some(leased) = look.leased {
                    shared.counted().leased = leased;
                    counted = Some(looked);
                }
                if why != Why::Behind {
                    aim = look.last;
                }
                behind = if look.whole >= aim {
                    None
                } else {
                    let (since, pause) = behind.unwrap_or((looked, BEHIND / 2));
                    held_back(since, pause);
                    Some((since, (pause * 2).min(EVERY)))
                };
                why = next(shared, &connection, looked, look.due, behind).await;
            }
            // It crashed, another one has taken over, or it was restored.
            _ => {
                line::continue_beyond(&mut shared.pool.call().await?, seq(known)).await?;
                why = Why::Heard;
            }
        }
    }
}

/// A look within a while.
async fn bounded<T>(asked: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(CALL_TIME, asked)
        .await
        .unwrap_or_else(|_| Err(Fault::unavailable("it doesn't answer")))
}

/// None where the line is not begun.
async fn look(connection: &mut Connection, ask: Ask) -> Result<Option<Look>, Fault> {
    let line = |end: &str| format!("({end}(pg_current_snapshot())::text::bigint << 20) + base - 1");
    let sql = format!(
        "WITH {NOW} SELECT {whole}, {last}, now.ms,
             (SELECT due FROM deliveries WHERE status = 2 ORDER BY due LIMIT 1),
             (SELECT due FROM deliveries WHERE status = 1 AND attempts > 0 AND due > (SELECT ms FROM now) ORDER BY due LIMIT 1),
             (SELECT count(*) FROM deliveries WHERE status = 2 AND $1)
         FROM line, now",
        whole = line("pg_snapshot_xmin"),
        last = line("pg_snapshot_xmax"),
    );
    if ask.tell {
        let statement = connection.statement(TELL).await?;
        connection.client.query(&statement, &[]).await?;
    }
    let statement = connection.statement(&sql).await?;
    let Some(row) = connection
        .client
        .query_opt(&statement, &[&ask.leased])
        .await?
    else {
        return Ok(None);
    };
    let now: i64 = row.try_get(2)?;
    let leased: i64 = row.try_get(5)?;
    let due: [Option<i64>; 2] = [row.try_get(3)?, row.try_get(4)?];
    let next = due.into_iter().flatten().min();
    Ok(Some(Look {
        whole: cursor(row.try_get(0)?),
        last: cursor(row.try_get(1)?),
        due: next.map(|due| Duration::from_millis(u64::try_from(due - now).unwrap_or(0))),
        leased: ask.leased.then_some(leased.unsigned_abs()),
    }))
}

/// Waits until it is worth looking again.
async fn next(
    shared: &Shared,
    connection: &Connection,
    looked: Instant,
    due: Option<Duration>,
    behind: Option<(Instant, Duration)>,
) -> Why {
    let due = due.map(|due| looked + due.max(DUE_GAP));
    let behind = behind.map(|(_, pause)| looked + pause);
    let why = tokio::select! {
        () = shared.wake.changed.notified() => Why::Done,
        () = connection.told() => Why::Heard,
        () = crate::due::at(due) => Why::Due,
        () = crate::due::at(behind) => Why::Behind,
        () = tokio::time::sleep_until(looked + EVERY) => Why::Heard,
    };
    tokio::time::sleep_until(looked + GAP).await;
    why
}

/// Says so when the line has been behind for long, once.
fn held_back(since: Instant, pause: Duration) {
    let held = since.elapsed();
    if held >= HELD_BACK && held.saturating_sub(pause) < HELD_BACK {
        tracing::warn!(
            "a transaction has been open in PostgreSQL for over {} s, in whichever database of the server: tails wait for it; look for it in \
             pg_stat_activity and pg_prepared_xacts",
            HELD_BACK.as_secs()
        );
    }
}
