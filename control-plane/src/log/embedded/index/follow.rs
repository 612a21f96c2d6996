//! Brings the index up to what the log keeps, a step at a time.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};

use super::search::{self, Document};
use super::{Fault, Index};
use crate::log::embedded::read::{EVENT_COLUMNS, RawEvent};
use crate::log::words;

/// Events of one step, and bytes of their records after which it takes no more.
const STEP_EVENTS: i64 = 512;
const STEP_BYTES: usize = 4 << 20;

/// One that is to be put in.
struct New {
    seq: i64,
    org: String,
    group_uid: String,
    received: i64,
    bytes: i64,
    document: String,
}

/// One step, from what a reader of the log sees. Says whether there is more.
pub(in crate::log::embedded) fn step(index: &mut Index, log: &Connection) -> Result<bool, Fault> {
    if index.db.is_none() {
        index.open_again()?;
        tracing::info!("the index of events is there again");
    } else if index.health.suspect.load(Ordering::Acquire) {
        index.renew("a search found it so")?;
    } else if !index.path.exists() {
        index.renew("its file is gone")?;
    }
    match follow(index, log) {
        Err(Fault::Index(what)) => {
            index.renew(&what)?;
            Ok(true)
        }
        done => done,
    }
}

fn follow(index: &mut Index, log: &Connection) -> Result<bool, Fault> {
    if mend(index, log)? {
        return Ok(true);
    }
    let mark = index.mark()?;
    let new = read(log, "e.seq > ?1", mark)?;
    let Some(last) = new.last() else {
        return Ok(false);
    };
    let last = last.seq;
    index.whole(|db| {
        put(db, &new)?;
        db.prepare_cached("UPDATE mark SET seq = ?1")?
            .execute([last])?;
        Ok(())
    })?;
    let mut more = log.prepare_cached("SELECT 1 FROM events WHERE seq > ?1 LIMIT 1")?;
    Ok(more.exists([last])?)
}

/// Of what was taken out because it goes: what is there all the same is put in again. Says whether there was any.
fn mend(index: &mut Index, log: &Connection) -> Result<bool, Fault> {
    let going: Vec<i64> = index.whole(|db| {
        let mut read = db.prepare_cached("SELECT seq FROM going ORDER BY seq LIMIT ?1")?;
        let going = read.query_map([STEP_EVENTS], |row| row.get(0))?;
        Ok(going.collect::<Result<_, _>>()?)
    })?;
    let (mut back, mut last, mut taken) = (Vec::new(), None, 0);
    for seq in going {
        last = Some(seq);
        for there in read(log, "e.seq = ?1", seq)? {
            taken += usize::try_from(there.bytes).unwrap_or(0);
            back.push(there);
        }
        if taken >= STEP_BYTES {
            break;
        }
    }
    let Some(last) = last else { return Ok(false) };
    index.whole(|db| {
        put(db, &back)?;
        db.prepare_cached("DELETE FROM going WHERE seq <= ?1")?
            .execute([last])?;
        Ok(())
    })?;
    Ok(true)
}

/// Those of a place, `of` being what is said of it.
fn read(log: &Connection, of: &str, place: i64) -> Result<Vec<New>, Fault> {
    let mut read = log.prepare_cached(&format!(
        "SELECT {EVENT_COLUMNS}, e.org, e.group_uid, e.type, e.received, e.deliveries, length(e.record)
         FROM events e WHERE {of} ORDER BY e.seq LIMIT ?2"
    ))?;
    let mut queues = log.prepare_cached(
        "SELECT webhook_uid, destination FROM deliveries WHERE seq > ?1 AND seq <= ?1 + ?2",
    )?;
    let mut rows = read.query([place, STEP_EVENTS])?;
    let (mut new, mut taken) = (Vec::new(), 0);
    while taken < STEP_BYTES
        && let Some(row) = rows.next()?
    {
        let at = RawEvent::COLUMNS;
        let (seq, org, group_uid): (i64, String, String) =
            (row.get(0)?, row.get(at)?, row.get(at + 1)?);
        let (event_type, received): (String, i64) = (row.get(at + 2)?, row.get(at + 3)?);
        let (deliveries, bytes): (i64, i64) = (row.get(at + 4)?, row.get(at + 5)?);
        let mut document = Document::new(seq);
        document.scope(&org, &group_uid, &event_type);
        let mut of = queues.query([seq, deliveries])?;
        while let Some(queue) = of.next()? {
            let (webhook, destination): (String, String) = (queue.get(0)?, queue.get(1)?);
            document.queue(&webhook, &destination);
        }
        if deliveries == 0 {
            document.unmatched();
        }
        // One that can't be read is found by what else is known of it, and whoever reads it is told.
        if let Ok(event) = RawEvent::read(row, 0)?.decode() {
            for word in words::of(&event) {
                document.word(&word);
            }
        }
        taken += usize::try_from(bytes).unwrap_or(0);
        new.push(New {
            seq,
            org,
            group_uid,
            received,
            bytes,
            document: document.text(),
        });
    }
    Ok(new)
}

fn put(db: &Connection, new: &[New]) -> Result<(), Fault> {
    let mut insert = db.prepare_cached("INSERT INTO words (rowid, document) VALUES (?1, ?2)")?;
    let mut usage: BTreeMap<(&str, &str), (i64, i64)> = BTreeMap::new();
    for event in new {
        insert.execute(params![event.seq, event.document])?;
        search::put_time(db, event.seq, event.received)?;
        let (events, bytes) = usage.entry((&event.group_uid, &event.org)).or_default();
        (*events, *bytes) = (*events + 1, *bytes + event.bytes);
    }
    let mut add = db.prepare_cached(
        "INSERT INTO usage (group_uid, org, events, bytes) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (group_uid) DO UPDATE SET events = events + excluded.events, bytes = bytes + excluded.bytes",
    )?;
    for ((group_uid, org), (events, bytes)) in usage {
        add.execute(params![group_uid, org, events, bytes])?;
    }
    Ok(())
}
