//! The line of numbers that runs through events, deliveries and changes: see the top of `schema.sql`.

use super::fault::Fault;
use super::pool::Session;
use super::read::cursor;
use crate::log::Cursor;

/// Up to where the line is whole: no row will appear at or below it any more. It may be behind what was kept, by as long as a transaction
/// that began earlier is open.
pub(super) async fn whole(session: &mut Session<'_>) -> Result<Cursor, Fault> {
    let row = session.query_opt("SELECT line_end()", &[]).await?;
    let end: Option<i64> = row.map(|row| row.try_get(0)).transpose()?.flatten();
    Ok(end.map_or(Cursor::default(), |end| cursor(end - 1)))
}

/// Makes sure that the line goes on beyond `seen` and all that is kept. It doesn't by itself after a crash, or on a server that was restored from
/// a backup: that one numbers its transactions as they were numbered then, or from the start.
pub(super) async fn continue_beyond(session: &mut Session<'_>, seen: i64) -> Result<(), Fault> {
    const GOES_ON: &str = "SELECT (pg_snapshot_xmax(pg_current_snapshot())::text::bigint << 20) + base > greatest($1::bigint,
        (SELECT max(seq) FROM events), (SELECT max(seq) FROM deliveries), (SELECT max(seq) FROM changes)) FROM line";
    let row = session.query_opt(GOES_ON, &[&seen]).await?;
    if row.map(|row| row.try_get(0)).transpose()? == Some(true) {
        return Ok(());
    }
    session.begin("").await?;
    // Whoever took a place by the old base has ended then.
    session
        .batch("LOCK TABLE line IN ACCESS EXCLUSIVE MODE")
        .await?;
    session.query("SELECT line_anew($1)", &[&seen]).await?;
    session.commit().await?;
    tracing::info!(
        "PostgreSQL was restarted or restored: the log's numbers go on beyond those that were seen"
    );
    Ok(())
}
