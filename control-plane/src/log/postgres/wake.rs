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
//! - A notification names the webhooks that have something new, so that only their subscribers ask ([`quiet`](super::quiet)). One that is lost
//!   costs at most [`EVERY`].
//! - The line is whole up to the oldest transaction that is open ([`line`]), so what was just kept can be ahead of it: then it is asked again soon.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Shared;
use super::connection::Connection;
use super::fault::Fault;
use super::leases::{self, NOW};
use super::line::{self, LAST, WHOLE};
use super::pool::CALL_TIME;
use super::quiet::Quiet;
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
const TELL: &str = "SELECT pg_notify('hookplane', $1)";
/// Instead of webhooks: any may have something new.
pub(super) const EVERYTHING: &str = "*";
/// Of the webhooks in one notification; PostgreSQL takes 8,000.
const TELL_BYTES: usize = 7_000;
/// Webhooks that wait to be told of; more are as good as all.
const UNTOLD: usize = 1_000;
/// Webhooks that become due between two looks and are told apart.
const DUE_AT_ONCE: usize = 500;

/// Where news are told.
#[derive(Default)]
pub(super) struct Wake {
    newest: watch::Sender<Cursor>,
    changed: Notify,
    /// Webhooks that the other replicas haven't been told of yet.
    untold: Mutex<BTreeSet<String>>,
    pub(super) quiet: Quiet,
}

impl Wake {
    /// These webhooks have deliveries that are pending, or will be due, and events were kept; the commit is done. Never waits.
    pub(super) fn kept(&self, webhooks: Vec<String>) {
        self.quiet.news(webhooks.iter().map(String::as_str));
        let mut untold = self.untold();
        untold.extend(webhooks);
        if untold.len() > UNTOLD {
            *untold = [EVERYTHING.to_owned()].into();
        }
        drop(untold);
        self.changed();
    }

    /// Deliveries were changed, but nothing is there to be leased; the commit is done. Never waits.
    pub(super) fn changed(&self) {
        self.changed.notify_one();
    }

    fn untold(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Nothing panics while it is held.
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the others are told next.
    fn take_untold(&self) -> String {
        let mut webhooks = String::new();
        for uid in std::mem::take(&mut *self.untold()) {
            if webhooks.len() + uid.len() >= TELL_BYTES || uid.contains(' ') {
                return EVERYTHING.to_owned();
            }
            webhooks.push_str(&uid);
            webhooks.push(' ');
        }
        webhooks
    }

    /// What another replica told.
    fn heard(&self, told: &str) {
        if told == EVERYTHING || told.split(' ').any(|uid| uid == EVERYTHING) {
            self.quiet.everything();
        } else {
            self.quiet.news(told.split(' '));
        }
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
    let reach = line::reach(&mut session).await?;
    shared.wake.tell(reach.whole);
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
            tracing::warn!(error = %fault.message, "PostgreSQL is not heard; subscribers and tails ask it every few seconds until it is");
            told = true;
        }
        // It may be this connection alone that can't be had: whoever waits asks for itself.
        shared.wake.quiet.everything();
        shared.wake.tell(Cursor::default());
        tokio::time::sleep(again + crate::due::within(again / 2)).await;
        again = (again * 2).min(AGAIN_MOST);
    }
}

/// Why it is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Something was done here: the others don't know.
    Done,
    /// Another replica did something.
    Heard,
    /// It is long since the last look, or it wasn't heard for a while.
    Time,
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
    /// By the server's clock.
    now: i64,
    /// Until the next lease runs out or delivery becomes due.
    due: Option<Duration>,
    /// Webhooks of deliveries that have become due since the last look.
    came: Vec<String>,
    /// When it was asked for.
    leased: Option<u64>,
}

/// What is asked besides.
struct Ask {
    /// First the other replicas are told of these webhooks, and that it is worth looking.
    tell: Option<String>,
    /// When it was looked last, by the server's clock.
    since: Option<i64>,
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
    let mut why = Why::Time;
    let mut aim = Cursor::default();
    let mut behind: Option<(Instant, Duration)> = None;
    let mut counted: Option<Instant> = None;
    let mut seen: Option<i64> = None;
    loop {
        if !connector.is_newest(&connection) {
            return Err(Fault::unavailable("another server takes writes"));
        }
        if why == Why::Due {
            leases::expire(shared, &mut shared.pool.call().await?).await?;
        }
        let looked = Instant::now();
        match why {
            Why::Time => shared.wake.quiet.everything(),
            Why::Heard => {
                for told in connection.news() {
                    shared.wake.heard(&told);
                }
            }
            _ => {}
        }
        let ask = Ask {
            tell: (why == Why::Done).then(|| shared.wake.take_untold()),
            since: seen,
            leased: counted.is_none_or(|counted| looked - counted >= EVERY),
        };
        let look = bounded(look(&mut connection, &ask)).await?;
        let known = *shared.wake.newest.borrow();
        match look {
            Some(look) if look.last >= known => {
                seen = Some(look.now);
                if look.came.len() >= DUE_AT_ONCE {
                    shared.wake.quiet.everything();
                } else {
                    shared.wake.quiet.news(look.came.iter().map(String::as_str));
                }
                if why != Why::Behind || look.whole > known || !look.came.is_empty() {
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
                why = Why::Time;
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
async fn look(connection: &mut Connection, ask: &Ask) -> Result<Option<Look>, Fault> {
    let sql = format!(
        "WITH {NOW} SELECT {WHOLE}, {LAST}, now.ms,
             (SELECT due FROM deliveries WHERE status = 2 ORDER BY due LIMIT 1),
             (SELECT due FROM deliveries WHERE status = 1 AND attempts > 0 AND due > (SELECT ms FROM now) ORDER BY due LIMIT 1),
             (SELECT count(*) FROM deliveries WHERE status = 2 AND $1),
             ARRAY(SELECT webhook_uid FROM deliveries WHERE status = 1 AND attempts > 0 AND due > $2 AND due <= (SELECT ms FROM now)
                 ORDER BY due LIMIT {DUE_AT_ONCE})
         FROM line, now"
    );
    if let Some(webhooks) = &ask.tell {
        let statement = connection.statement(TELL).await?;
        connection.client.query(&statement, &[webhooks]).await?;
    }
    let statement = connection.statement(&sql).await?;
    let Some(row) = connection
        .client
        .query_opt(&statement, &[&ask.leased, &ask.since])
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
        now,
        came: row.try_get(6)?,
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
        () = tokio::time::sleep_until(looked + EVERY) => Why::Time,
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
