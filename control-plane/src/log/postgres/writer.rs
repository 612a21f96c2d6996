//! One of the writers: takes what waits, sends it as one statement, and answers only for a commit that is surely on a standby too.
//!
//! | what comes | then |
//! |---|---|
//! | the answer, no warning before it | kept: answered |
//! | a warning (the wait for the standbys was cancelled) | the commit may be on this server only: not kept, sent again (risk 42), on another connection |
//! | an error of one callback's | each of them goes alone |
//! | a row that another replica holds, a deadlock, a row that can't be read | each of them goes alone, then at the side, until its deadline |
//! | the connection's end, a server that stops or takes no writes | sent again on another connection: what was kept is known by its ids |
//! | nothing until the deadline | the server is asked to end it, and the connection is closed (risk 9) |
//!
//! To send again is safe: the same events have the same ids, and an answer to them writes as well, so that it waits for what the standbys lack.
//! Whatever isn't kept by its deadline is answered `Unavailable`, and it is the provider who sends again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::append::Prepared;
use super::connection::{Connection, LOCK_TIME_MS};
use super::durability::refusal;
use super::fault::Fault;
use super::queue::Waiting;
use super::statement::{APPEND, Arrays, Outcome};
use crate::log::LogError;

/// No transaction is waited for longer, whatever its callers' deadlines are.
const LONGEST: Duration = Duration::from_secs(10);
/// Between two tries while the server fails.
const BREATH: Duration = Duration::from_millis(100);
/// What is left of a deadline must be more than this for another try. More than a breath: whoever is not kept is told why, not that time was up.
const LEAST: Duration = Duration::from_millis(120);
/// The plans of `append.sql` are made once: else PostgreSQL may make them anew for each batch, and copies all of it into them. A batch's columns are
/// kept in memory while they become rows.
const SET_UP: &str = "SET plan_cache_mode = force_generic_plan; SET work_mem = '16MB'";
/// What a callback waits for a row that another one holds once a transaction that it was in has failed: it may be why, and there may be many. It comes
/// again until its deadline.
const AGAIN_LOCK_TIME_MS: u32 = 100;
/// For a statement to end after the server was asked to end it.
const GRACE: Duration = Duration::from_secs(1);

/// A writer's connection, at rest.
struct Ready {
    connection: Connection,
    /// What it was told last that a statement may wait for a row; 0 before it is told anything.
    lock_time_ms: u32,
}

/// Writes until the log is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut slot = None;
    loop {
        let batch = shared.queue.take().await;
        let began = Instant::now();
        let until = batch.iter().map(|waiting| waiting.deadline).max();
        let until = until.unwrap_or(began).min(began + LONGEST);
        let callbacks: Vec<_> = batch.iter().map(|waiting| &waiting.callback).collect();
        let blocked = matches!(&batch[..], [one] if one.alone || one.aside);
        let lock_time_ms = if blocked {
            AGAIN_LOCK_TIME_MS
        } else {
            LOCK_TIME_MS
        };
        match keep(&shared, &mut slot, lock_time_ms, &callbacks, until).await {
            Ok(outcome) => {
                shared.trouble.ended();
                kept(&shared, batch, outcome, began);
            }
            Err(fault) => {
                let of_one = fault.may_be_of_one() && batch.len() > 1;
                let at_once = of_one || fault.is_passing() || fault.is_own();
                if !at_once {
                    shared.trouble.came(&fault.clone().into());
                }
                failed(&shared, batch, fault);
                if !at_once {
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

/// One transaction: on a standby too when this returns well.
async fn keep(
    shared: &Shared,
    slot: &mut Option<Ready>,
    lock_time_ms: u32,
    callbacks: &[&Prepared],
    until: Instant,
) -> Result<Outcome, Fault> {
    let connector = &shared.pool.connector;
    let mut ready = match slot.take() {
        Some(ready)
            if !ready.connection.client.is_closed() && connector.is_trusted(&ready.connection) =>
        {
            ready
        }
        _ => Ready {
            connection: connector.connect(until).await?,
            lock_time_ms: 0,
        },
    };
    let connection = &mut ready.connection;
    let arrays = Arrays::new(callbacks);
    let strict = shared.durability.is_strict();
    let params = arrays.params(&strict);
    let (warnings, host) = (connection.warnings(), connection.host);
    let mut cancelled = false;
    let cancel = connection.cancel();
    let answer = {
        let asked = async {
            if ready.lock_time_ms != lock_time_ms {
                let set_up = format!("{SET_UP}; SET lock_timeout = {lock_time_ms}");
                connection.client.batch_execute(&set_up).await?;
                ready.lock_time_ms = lock_time_ms;
            }
            let statement = connection.statement(APPEND).await?;
            Ok::<_, Fault>(connection.client.query(&statement, &params).await?)
        };
        tokio::pin!(asked);
        match tokio::time::timeout_at(until, &mut asked).await {
            Ok(answer) => answer,
            Err(_) => {
                // So that a server whose standby is gone doesn't collect ours that wait for it. What it says then is not waited for long, and it
                // is no commit without a warning unless it ended in time after all.
                cancelled = true;
                cancel.send().await;
                let late = tokio::time::timeout(GRACE, &mut asked).await;
                late.unwrap_or_else(|_| {
                    connector.doubt(host);
                    Err(Fault::unavailable("PostgreSQL didn't answer in time"))
                })
            }
        }
    };
    let rows = match answer {
        Ok(rows) => rows,
        Err(fault) => {
            if fault.keeps_connection() && !cancelled {
                *slot = Some(ready);
            }
            return Err(fault);
        }
    };
    // Risk 42. The warning came before the end of the answer, and was counted by then.
    if connection.warnings() != warnings {
        connector.doubt(host);
        return Err(Fault::unavailable(format!(
            "PostgreSQL doesn't vouch for the commit: {}",
            connection.last_warning()
        )));
    }
    // The request to end it may come late, and would end the next statement.
    if !cancelled {
        *slot = Some(ready);
    }
    Outcome::new(callbacks, &arrays, &rows)
        .ok_or_else(|| Fault::unavailable("append_v2 of another program answered"))
}

fn kept(shared: &Shared, batch: Vec<Waiting>, outcome: Outcome, began: Instant) {
    // First: an answer's receipt is asked for once it is there.
    if !outcome.weaker.is_empty() {
        shared.durability.saw(&outcome.weaker);
    }
    {
        let mut counted = shared.counted();
        counted.commits += 1;
        counted.commit_time += began.elapsed();
        counted.pieces += batch.len() as u64;
        counted.held += outcome.held;
    }
    shared.wake.kept(outcome.webhooks.into_iter().collect());
    let answers = outcome.appended.into_iter().map(Ok);
    shared.queue.answer(batch.into_iter().zip(answers));
}

/// What can be tried again within its deadline is, and the rest is told why.
fn failed(shared: &Shared, batch: Vec<Waiting>, fault: Fault) {
    if fault.is_weaker_durability() {
        let weaker = fault.message.trim_end_matches(" (HK001)");
        shared.durability.saw(weaker);
        return refuse(shared, batch, &LogError::Unavailable(refusal(weaker)));
    }
    let together = batch.len() > 1;
    let alone = fault.may_be_of_one();
    let soon = Instant::now() + LEAST;
    let (again, over): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| {
        let own = fault.is_own() && !together;
        !own && waiting.deadline > soon && !waiting.reply.is_closed()
    });
    refuse(shared, over, &fault.into());
    let again = again
        .into_iter()
        .map(|waiting| Waiting { alone, ..waiting });
    let to_side = alone && !together;
    shared.queue.give_back(again.collect(), to_side);
}

fn refuse(shared: &Shared, batch: Vec<Waiting>, error: &LogError) {
    let answers = batch
        .into_iter()
        .map(|waiting| (waiting, Err(error.clone())));
    shared.queue.answer(answers);
}
