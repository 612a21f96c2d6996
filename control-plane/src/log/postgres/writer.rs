//! One of the writers: takes what waits, sends it as one statement, and answers only for a commit that is surely on a standby too.
//!
//! | what comes | then |
//! |---|---|
//! | the answer, no warning before it | kept: answered |
//! | a warning (the wait for the standbys was cancelled) | the commit may be on this server only: not kept, sent again (risk 42) |
//! | an error of one callback's | each of them goes alone |
//! | a row that another replica holds, a deadlock | each of them goes alone, until its deadline |
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
use super::connection::Connection;
use super::durability::refusal;
use super::fault::Fault;
use super::queue::Waiting;
use super::statement::{APPEND, Arrays, Outcome};
use crate::log::LogError;

/// No transaction is waited for longer, whatever its callers' deadlines are.
const LONGEST: Duration = Duration::from_secs(10);
/// Between two tries while the server fails.
const BREATH: Duration = Duration::from_millis(100);
/// What is left of a deadline must be more than this for another try.
const LEAST: Duration = Duration::from_millis(20);
/// For a statement to end after the server was asked to end it.
const GRACE: Duration = Duration::from_secs(1);

/// Writes until the log is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut connection = None;
    loop {
        let batch = shared.queue.take().await;
        let began = Instant::now();
        let until = batch.iter().map(|waiting| waiting.deadline).max();
        let until = until.unwrap_or(began).min(began + LONGEST);
        let callbacks: Vec<_> = batch.iter().map(|waiting| &waiting.callback).collect();
        match keep(&shared, &mut connection, &callbacks, until).await {
            Ok(outcome) => {
                shared.trouble.ended();
                kept(&shared, batch, outcome, began);
            }
            Err(fault) => {
                let passing = fault.is_passing() || fault.is_own();
                if !passing {
                    shared.trouble.came(&fault.clone().into());
                }
                failed(&shared, batch, fault);
                if !passing {
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

/// One transaction: on a standby too when this returns well.
async fn keep(
    shared: &Shared,
    slot: &mut Option<Connection>,
    callbacks: &[&Prepared],
    until: Instant,
) -> Result<Outcome, Fault> {
    let mut connection = match slot.take() {
        Some(connection) if !connection.client.is_closed() => connection,
        _ => shared.pool.connector.connect(until).await?,
    };
    let arrays = Arrays::new(callbacks);
    let strict = shared.durability.is_strict();
    let params = arrays.params(&strict);
    let warnings = connection.warnings();
    let cancel = connection.cancel();
    let answer = {
        let asked = async {
            let statement = connection.statement(APPEND).await?;
            Ok::<_, Fault>(connection.client.query(&statement, &params).await?)
        };
        tokio::pin!(asked);
        match tokio::time::timeout_at(until, &mut asked).await {
            Ok(answer) => answer,
            Err(_) => {
                // So that a server whose standby is gone doesn't collect ours that wait for it. What it says then is not waited for long, and it
                // is no commit without a warning unless it ended in time after all.
                cancel.send().await;
                let late = tokio::time::timeout(GRACE, &mut asked).await;
                late.unwrap_or_else(|_| Err(Fault::unavailable("PostgreSQL didn't answer in time")))
            }
        }
    };
    let rows = match answer {
        Ok(rows) => rows,
        Err(fault) => {
            if fault.keeps_connection() {
                *slot = Some(connection);
            }
            return Err(fault);
        }
    };
    // Risk 42. The warning came before the end of the answer, and was counted by then.
    if connection.warnings() != warnings {
        let warning = connection.last_warning();
        *slot = Some(connection);
        return Err(Fault::unavailable(format!(
            "PostgreSQL doesn't vouch for the commit: {warning}"
        )));
    }
    *slot = Some(connection);
    Outcome::new(callbacks, &arrays, &rows)
        .ok_or_else(|| Fault::unavailable("append_v1 of another program answered"))
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
    let count = batch.len();
    for (waiting, appended) in batch.into_iter().zip(outcome.appended) {
        waiting.answer(Ok(appended));
    }
    shared.queue.answered(count);
}

/// What can be tried again within its deadline is, and the rest is told why.
fn failed(shared: &Shared, batch: Vec<Waiting>, fault: Fault) {
    if fault.is_weaker_durability() {
        let weaker = fault.message.trim_end_matches(" (HK001)");
        shared.durability.saw(weaker);
        return refuse(shared, batch, &LogError::Unavailable(refusal(weaker)));
    }
    let together = batch.len() > 1;
    let alone = fault.is_own() || fault.is_passing();
    let soon = Instant::now() + LEAST;
    let (again, over): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| {
        let own = fault.is_own() && !together;
        !own && waiting.deadline > soon && !waiting.reply.is_closed()
    });
    refuse(shared, over, &fault.into());
    let again = again
        .into_iter()
        .map(|waiting| Waiting { alone, ..waiting });
    let behind = alone && !together;
    shared.queue.give_back(again.collect(), behind);
}

fn refuse(shared: &Shared, batch: Vec<Waiting>, error: &LogError) {
    let count = batch.len();
    for waiting in batch {
        waiting.answer(Err(error.clone()));
    }
    shared.queue.answered(count);
}
