//! The line of numbers that runs through events, deliveries and changes: see the top of `schema.sql`.

use super::fault::Fault;
use super::pool::Session;
use super::read::cursor;
use crate::log::Reach;

/// Up to where the line is whole, as long as a transaction that began earlier is open; up to where it would be without any; and the places of those
/// that are. All by one snapshot, since it is one statement.
pub(super) async fn reach(session: &mut Session<'_>) -> Result<Reach, Fault> {
    let sql = format!("SELECT {WHOLE}, {LAST}, {OPEN} FROM line");
    let mut row = session.query_opt(&sql, &[]).await?;
    if row.is_none() {
        continue_beyond(session, 0).await?;
        row = session.query_opt(&sql, &[]).await?;
    }
    let row = row.ok_or_else(|| Fault::unavailable("PostgreSQL was restarted again"))?;
    let open: Vec<i64> = row.try_get(2)?;
    let places = |first| cursor(first)..=cursor(first + i64::from(PLACES) - 1);
    Ok(Reach {
        whole: cursor(row.try_get(0)?),
        last: cursor(row.try_get(1)?),
        open: open.into_iter().map(places).collect(),
    })
}

/// What a transaction has on the line, from its first place on.
pub(super) const PLACES: u32 = 1 << 20;

/// No row will appear at or below this any more. Of `line`, as [`LAST`].
pub(super) const WHOLE: &str =
    "(pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 20) + base - 1";
/// What is committed is at or below this.
pub(super) const LAST: &str =
    "(pg_snapshot_xmax(pg_current_snapshot())::text::bigint << 20) + base - 1";
/// The first place of each transaction that is open. Their subtransactions have no places of their own, and aren't among them.
const OPEN: &str = "ARRAY(SELECT (open::text::bigint << 20) + base FROM pg_snapshot_xip(pg_current_snapshot()) open)";

/// Makes sure that the line goes on beyond `seen` and all that is kept. It doesn't by itself after a crash, or on a server that was restored from
/// a backup: that one numbers its transactions as they were numbered then, or from the start.
pub(super) async fn continue_beyond(session: &mut Session<'_>, seen: i64) -> Result<(), Fault> {
    const GOES_ON: &str = "SELECT (pg_snapshot_xmax(pg_current_snapshot())::text::bigint << 20) + base > greatest($1::bigint,
        (SELECT max(seq) FROM events), (SELECT max(seq) FROM deliveries), (SELECT max(seq) FROM changes), (SELECT seq FROM text_mark)) FROM line";
    let row = session.query_opt(GOES_ON, &[&seen]).await?;
    if row.map(|row| row.try_get(0)).transpose()? == Some(true) {
        return Ok(());
    }
    session.begin("").await?;
    // Whoever took a place by the old base has ended then.
    session
        .batch("LOCK TABLE line IN ACCESS EXCLUSIVE MODE")
        .await?;
    // What was made findable by its text may be gone by now, and what comes is not to be taken for it.
    const ANEW: &str = "SELECT line_anew(greatest($1, (SELECT seq FROM text_mark)))";
    session.query(ANEW, &[&seen]).await?;
    session.commit().await?;
    tracing::info!(
        "PostgreSQL was restarted or restored: the log's numbers go on beyond those that were seen"
    );
    Ok(())
}
