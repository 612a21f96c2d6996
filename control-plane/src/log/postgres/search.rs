//! Lists of what has certain words, newest first.
//!
//! ```text
//!   near: the list as it is without a text, for a bit, each row looked at ─▶ a page is full: what is common is done here
//!   far:  the index of words, in blocks of the line around it ─▶ what is rare, in one block; else in larger ones, at last in all
//! ```
//!
//! The index of words (`texts`) answers in no order, and with all there is. So what it is asked for is kept small: by the words that the near rows
//! show to be rare, by the group or org, and by blocks, whose names stand among the words. The last word is the beginning of one: where the near
//! rows show it to be common, and there are others, it is no longer asked of the index, which would read each word that begins so, but of
//! what was found.
//!
//! The words of a selection that are each common and hardly ever together cost the most: all that has them is read.

use hookplane_proto::v1;
use tokio_postgres::Row;

use super::Shared;
use super::fault::Fault;
use super::list::{self, Walk, Where, deliveries_walk, events_walk};
use super::pool::Session;
use super::read::{
    DELIVERY_COLUMNS, DELIVERY_WIDTH, EVENT_COLUMNS, EVENT_WIDTH, OF_EVENT, cursor, delivery_at,
    event_at,
};
use super::spans::Span;
use super::texts::{BLOCK_BITS, block, group_word, org_word};
use crate::log::{Cursor, LogError, Selection, words};

/// Rows that are looked at one by one.
const NEAR: usize = 250;
/// A word that fewer than one in so many of those have is rare.
const RARE: i64 = 100;

/// What is searched for.
pub(super) struct Search {
    words: Vec<String>,
    /// The last word: the beginning of one.
    beginning: String,
}

/// Where the near rows end, and what they show.
struct Near {
    rows: Vec<Row>,
    /// Rows that were looked at.
    looked: i64,
    /// The last of them.
    last: Option<i64>,
    /// Those that have the beginning.
    with_beginning: i64,
}

/// What is listed.
#[derive(Clone, Copy)]
enum Kind {
    Events,
    Deliveries,
}

impl Search {
    /// None where any text will do.
    pub(super) fn of(selection: &Selection) -> Option<Self> {
        let mut words = words::searched(selection.text.as_deref()?);
        let beginning = words.pop()?;
        Some(Self { words, beginning })
    }

    pub(super) async fn events(
        &self,
        shared: &Shared,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Event)>, LogError> {
        let session = &mut shared.pool.read().await?;
        let span = Span::of(session, selection).await?;
        let mut walk = events_walk(selection, span, before, NEAR);
        let near = self.near(session, &mut walk, limit).await?;
        let mut found = Vec::new();
        for row in &near.rows {
            let at = row.try_get(NEAR_WIDTH + EVENT_WIDTH).map_err(Fault::from)?;
            found.push((cursor(at), event_at(row, NEAR_WIDTH)?));
        }
        let wanted = limit - found.len();
        if let Some(last) = near.goes_on(wanted) {
            let rows = self
                .far(session, Kind::Events, selection, &near, last, wanted)
                .await?;
            for row in &rows {
                let at = row.try_get(EVENT_WIDTH).map_err(Fault::from)?;
                found.push((cursor(at), event_at(row, 0)?));
            }
        }
        Ok(found)
    }

    pub(super) async fn deliveries(
        &self,
        shared: &Shared,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Delivery)>, LogError> {
        let session = &mut shared.pool.read().await?;
        let span = Span::of(session, selection).await?;
        let mut walk = deliveries_walk(selection, span, before, NEAR);
        let near = self.near(session, &mut walk, limit).await?;
        let mut found = Vec::new();
        for row in &near.rows {
            let at = row
                .try_get(NEAR_WIDTH + DELIVERY_WIDTH)
                .map_err(Fault::from)?;
            found.push((cursor(at), delivery_at(row, NEAR_WIDTH)?));
        }
        let wanted = limit - found.len();
        if let Some(last) = near.goes_on(wanted) {
            let rows = self
                .far(session, Kind::Deliveries, selection, &near, last, wanted)
                .await?;
            for row in &rows {
                let at = row.try_get(DELIVERY_WIDTH).map_err(Fault::from)?;
                found.push((cursor(at), delivery_at(row, 0)?));
            }
        }
        Ok(found)
    }

    /// What a walk comes by first, looked at one by one.
    async fn near(
        &self,
        session: &mut Session<'_>,
        walk: &mut Walk,
        limit: usize,
    ) -> Result<Near, Fault> {
        let clause = &mut walk.clause;
        let query = clause.value(self.query(&[], true));
        let beginning = clause.value(beginning(&self.beginning));
        let limit = clause.value(i64::try_from(limit).unwrap_or(i64::MAX));
        let sql = format!(
            "WITH walk AS MATERIALIZED ({}), looked AS MATERIALIZED (
                 SELECT walk.at, t.words @@ ({query}::text)::tsquery AS fits, t.words @@ ({beginning}::text)::tsquery AS begins
                 FROM walk CROSS JOIN LATERAL (SELECT words FROM texts WHERE texts.seq = walk.of OFFSET 0) t
             )
             SELECT (SELECT count(*) FROM walk), (SELECT min(at) FROM walk), (SELECT count(*) FROM looked WHERE begins), page.*
             FROM (SELECT 1) AS once
             LEFT JOIN (SELECT walk.* FROM walk JOIN looked USING (at) WHERE fits ORDER BY walk.at DESC LIMIT {limit}) page ON true
             ORDER BY page.at DESC",
            walk.sql
        );
        let mut rows = clause.query(session, &sql).await?;
        let mut near = Near {
            looked: 0,
            last: None,
            with_beginning: 0,
            rows: Vec::new(),
        };
        if let Some(row) = rows.first() {
            near.looked = row.try_get(0)?;
            near.last = row.try_get(1)?;
            near.with_beginning = row.try_get(2)?;
        }
        // Without a page there is one row all the same.
        let has_page = |row: &Row| -> Result<bool, Fault> {
            Ok(row.try_get::<_, Option<i64>>(row.len() - 1)?.is_some())
        };
        if let [row] = &rows[..]
            && !has_page(row)?
        {
            rows.clear();
        }
        near.rows = rows;
        Ok(near)
    }

    /// What is further than `last`, by the index of words.
    async fn far(
        &self,
        session: &mut Session<'_>,
        kind: Kind,
        selection: &Selection,
        near: &Near,
        last: i64,
        wanted: usize,
    ) -> Result<Vec<Row>, Fault> {
        let asks_beginning = self.words.is_empty() || near.with_beginning * RARE < near.looked;
        let place = session
            .query_opt(
                "SELECT place FROM texts WHERE seq < $1 ORDER BY seq DESC LIMIT 1",
                &[&last],
            )
            .await?;
        let added = match kind {
            Kind::Events => Vec::new(),
            Kind::Deliveries => self.added(session, selection, last, wanted).await?,
        };
        let mut rows = Vec::new();
        if let Some(row) = place {
            let place: i64 = row.try_get(0)?;
            for bits in BLOCK_BITS.into_iter().map(Some).chain([None]) {
                let blocks =
                    bits.map(|bits| [block(bits, place), block(bits, place - (1 << bits))]);
                let (sql, clause) =
                    self.far_statement(kind, selection, last, wanted, blocks, asks_beginning);
                rows = clause.query(session, &sql).await?;
                if rows.len() >= wanted {
                    break;
                }
            }
        }
        if added.is_empty() {
            return Ok(rows);
        }
        rows.extend(added);
        let placed = rows.into_iter().map(|row| {
            let at: i64 = row.try_get(DELIVERY_WIDTH)?;
            Ok((at, row))
        });
        let mut placed = placed.collect::<Result<Vec<_>, Fault>>()?;
        placed.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        placed.truncate(wanted);
        Ok(placed.into_iter().map(|(_, row)| row).collect())
    }

    /// Within two blocks, of which one at least is whole, or everywhere.
    fn far_statement(
        &self,
        kind: Kind,
        selection: &Selection,
        last: i64,
        wanted: usize,
        blocks: Option<[String; 2]>,
        asks_beginning: bool,
    ) -> (String, Where) {
        let mut scope = Vec::new();
        scope.extend(selection.group_uid.as_deref().map(group_word));
        scope.extend(selection.org.as_deref().map(org_word));
        let mut query = self.query(&scope, asks_beginning);
        if let Some(blocks) = blocks {
            let [this, before] = blocks.map(|block| quoted(&block));
            query = format!("{query} & ({this} | {before})");
        }
        let mut clause = Where::default();
        let query = clause.value(query);
        let last = clause.value(last);
        let mut of_hits = String::new();
        if !asks_beginning {
            // Not by the index.
            let beginning = clause.value(beginning(&self.beginning));
            of_hits = format!(" AND (words @@ ({beginning}::text)::tsquery) IS TRUE");
        }
        let hits = format!(
            "WITH hits AS MATERIALIZED (SELECT seq FROM texts WHERE words @@ ({query}::text)::tsquery AND seq < {last}{of_hits})"
        );
        let newest = "(SELECT seq FROM hits ORDER BY seq DESC OFFSET 0) h
             CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.seq = h.seq OFFSET 0) e";
        let sql = match kind {
            Kind::Events => {
                clause.scope(selection, "e", false);
                list::events_conditions(&mut clause, selection);
                let conditions = clause.part();
                let limit = clause.value(i64::try_from(wanted).unwrap_or(i64::MAX));
                format!(
                    "{hits} SELECT {EVENT_COLUMNS}, e.seq FROM {newest}{conditions} ORDER BY h.seq DESC LIMIT {limit}"
                )
            }
            Kind::Deliveries => {
                clause.scope(selection, "e", false);
                clause.delivery(selection);
                clause.event(selection);
                list::status(&mut clause, selection);
                clause.and_plain(&format!("NOT d.added AND d.seq < {last}"));
                let conditions = clause.part();
                let limit = clause.value(i64::try_from(wanted).unwrap_or(i64::MAX));
                format!(
                    "{hits} SELECT {DELIVERY_COLUMNS}, d.seq FROM {newest}
                     CROSS JOIN LATERAL (SELECT * FROM deliveries d WHERE {OF_EVENT} OFFSET 0) d{conditions}
                     ORDER BY h.seq DESC, d.seq DESC LIMIT {limit}"
                )
            }
        };
        (sql, clause)
    }

    /// The deliveries that were made later than their events, and so are elsewhere on the line: walked as they are.
    async fn added(
        &self,
        session: &mut Session<'_>,
        selection: &Selection,
        last: i64,
        wanted: usize,
    ) -> Result<Vec<Row>, Fault> {
        let mut clause = Where::default();
        list::Lead::Added.scope(&mut clause, selection);
        list::status(&mut clause, selection);
        clause.and("d.seq < ?", last);
        let query = clause.value(self.query(&[], true));
        clause.and_plain(&format!("t.words @@ ({query}::text)::tsquery"));
        let conditions = clause.part();
        let limit = clause.value(i64::try_from(wanted).unwrap_or(i64::MAX));
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS}, d.seq FROM {}
             CROSS JOIN LATERAL (SELECT words FROM texts WHERE texts.seq = e.seq OFFSET 0) t{conditions} ORDER BY d.seq DESC LIMIT {limit}",
            list::Lead::Added.from()
        );
        clause.query(session, &sql).await
    }

    /// All of these words, and what is searched for.
    fn query(&self, scope: &[String], with_beginning: bool) -> String {
        let all = scope.iter().chain(&self.words);
        let mut query: Vec<String> = all.map(|word| quoted(word)).collect();
        if with_beginning {
            query.push(beginning(&self.beginning));
        }
        query.join(" & ")
    }
}

impl Near {
    /// From where there may be more than these rows, when so many more are wanted.
    fn goes_on(&self, wanted: usize) -> Option<i64> {
        let is_all = self.looked < i64::try_from(NEAR).unwrap_or(i64::MAX);
        self.last.filter(|_| wanted > 0 && !is_all)
    }
}

/// Before a near row's own columns.
const NEAR_WIDTH: usize = 3;

/// A word as a query is written.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\\', "\\\\").replace('\'', "''"))
}

/// Words that begin so, as a query is written.
fn beginning(word: &str) -> String {
    format!("{}:*", quoted(word))
}
