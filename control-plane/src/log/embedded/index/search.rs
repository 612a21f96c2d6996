//! What is asked of the index.
//!
//! A document's words are those of its event, and some that say whose and what it is, each with the block of the line that it is in before it:
//! `00002ax` and `order`. So the words of a block stand together, and a search goes through the blocks from the newest down, until it has
//! found enough: what a word, or the beginning of one, costs is bounded by a block, however common it is, and a rare one costs a look into
//! each block.
//!
//! Whole words that never meet cost a block of 33,000 events a millisecond, however many have them. The beginning of one that many events have, and
//! none together with the rest, costs ten times as much: FTS5 gathers all that begins so before it says the first. Over ten million events that
//! is more than anybody is made to wait, and whoever asks is told what to narrow.

use std::time::{Duration, Instant};

use hookplane_proto::v1;
use rusqlite::{Connection, params};

use super::{Fault, found_mark, mark, of_index};
use crate::log::embedded::read::event_at;
use crate::log::embedded::schema::checksum;
use crate::log::{LogError, Selection, words};

/// Numbers of the line in a block: 131,072, of some 33,000 events with one delivery each. FTS5 reads all of a block that begins with the last
/// word before it says the first; ten million events are some 300 blocks to look into for a word that is nowhere.
const BLOCK_BITS: u32 = 17;

/// Up to so many events of a block that have all else that is sought are looked at for the last word themselves.
const FEW: usize = 64;

/// Numbers of the line in a span.
const SPAN_BITS: u32 = 12;

/// Of an event's type, to each of which the type can be asked for.
const TYPE_LEVELS: usize = 16;

/// What a search may take before it says that it is too wide.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a word is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Org,
    Group,
    Type,
    Webhook,
    Destination,
    Unmatched,
    Payload,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::Org => 'o',
            Self::Group => 'g',
            Self::Type => 't',
            Self::Webhook => 'w',
            Self::Destination => 'd',
            Self::Unmatched => 'u',
            Self::Payload => 'x',
        }
    }
}

/// Any text as a word. What meets another by chance is seen when it is looked at.
fn word_of(text: &str) -> String {
    format!("{:016x}", checksum(text.as_bytes()).cast_unsigned())
}

/// `order.paid.late`, `order.paid` and `order`.
fn type_levels(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').map(|(at, _)| &name[..at]);
    dots.chain([name]).take(TYPE_LEVELS)
}

/// The words of one event.
pub(super) struct Document {
    block: i64,
    text: String,
}

impl Document {
    pub(super) fn new(seq: i64) -> Self {
        Self {
            block: seq >> BLOCK_BITS,
            text: String::new(),
        }
    }

    fn push(&mut self, kind: Kind, word: &str) {
        self.text.push_str(&token(self.block, kind, word));
        self.text.push(' ');
    }

    pub(super) fn scope(&mut self, org: &str, group_uid: &str, event_type: &str) {
        self.push(Kind::Org, &word_of(org));
        self.push(Kind::Group, &word_of(group_uid));
        for level in type_levels(event_type) {
            self.push(Kind::Type, &word_of(level));
        }
    }

    pub(super) fn queue(&mut self, webhook_uid: &str, destination: &str) {
        self.push(Kind::Webhook, &word_of(webhook_uid));
        if !destination.is_empty() {
            self.push(Kind::Destination, &word_of(destination));
        }
    }

    pub(super) fn unmatched(&mut self) {
        self.push(Kind::Unmatched, "");
    }

    pub(super) fn word(&mut self, word: &str) {
        self.push(Kind::Payload, word);
    }

    pub(super) fn text(self) -> String {
        self.text
    }
}

fn token(block: i64, kind: Kind, word: &str) -> String {
    format!("{block:06x}{}{word}", kind.letter())
}

/// Words of a payload, all of which are looked for, the last as the beginning of one.
#[derive(Debug, Clone)]
pub(in crate::log::embedded) struct Words(Vec<String>);

impl Words {
    /// None when nothing is looked for.
    pub(in crate::log::embedded) fn of(selection: &Selection) -> Option<Self> {
        let words = words::searched(selection.text.as_deref()?);
        (!words.is_empty()).then_some(Self(words))
    }

    /// Without the index.
    pub(in crate::log::embedded) fn are_in(&self, event: &v1::Event) -> bool {
        words::are_in(event, &self.0)
    }
}

/// What a document has to have.
#[derive(Debug, Clone)]
pub(in crate::log::embedded) struct Sought {
    /// Whole.
    words: Vec<(Kind, String)>,
    /// And the beginning of one.
    begun: Option<String>,
    payload: Option<Words>,
}

impl Sought {
    /// None where the line itself and its indices lead as well.
    pub(in crate::log::embedded) fn of(selection: &Selection) -> Option<Self> {
        let mut words = Vec::new();
        let mut begun = None;
        let sought = Words::of(selection);
        if let Some(Words(mut payload)) = sought.clone() {
            begun = payload.pop();
            words.extend(payload.into_iter().map(|word| (Kind::Payload, word)));
        }
        if let Some(name) = &selection.event_type {
            let level = type_levels(name).last().unwrap_or(name);
            words.push((Kind::Type, word_of(level)));
        }
        if selection.unmatched {
            words.push((Kind::Unmatched, String::new()));
        }
        if let Some(webhook) = &selection.webhook_uid {
            words.push((Kind::Webhook, word_of(webhook)));
        }
        if let Some(destination) = selection
            .destination
            .as_ref()
            .filter(|name| !name.is_empty())
        {
            words.push((Kind::Destination, word_of(destination)));
        }
        if words.is_empty() && begun.is_none() {
            return None;
        }
        if let Some(org) = &selection.org {
            words.push((Kind::Org, word_of(org)));
        }
        if let Some(group) = &selection.group_uid {
            words.push((Kind::Group, word_of(group)));
        }
        Some(Self {
            words,
            begun,
            payload: sought,
        })
    }

    /// What is sought whole, as FTS5 reads it.
    fn whole_in(&self, block: i64) -> String {
        let words = self.words.iter();
        let words = words.map(|(kind, word)| format!("\"{}\"", token(block, *kind, word)));
        words.collect::<Vec<_>>().join(" AND ")
    }

    /// All that is sought.
    fn in_block(&self, block: i64) -> String {
        let whole = (!self.words.is_empty()).then(|| self.whole_in(block));
        let begun = self.begun.iter();
        let begun = begun.map(|word| format!("\"{}\" *", token(block, Kind::Payload, word)));
        whole
            .into_iter()
            .chain(begun)
            .collect::<Vec<_>>()
            .join(" AND ")
    }

    /// The events of a block that have all, where few have what is sought whole.
    fn of_few(
        &self,
        db: &Connection,
        block: i64,
        (from, to): (i64, i64),
    ) -> Result<Option<Vec<i64>>, Fault> {
        let Some(payload) = self.payload.as_ref().filter(|_| !self.words.is_empty()) else {
            return Ok(None);
        };
        let mut find = of_index(db.prepare_cached(FIND))?;
        let mut rows = of_index(find.query(params![self.whole_in(block), from, to]))?;
        let mut few = Vec::new();
        while let Some(row) = of_index(rows.next())? {
            if few.len() == FEW {
                return Ok(None);
            }
            few.push(row.get(0)?);
        }
        let mut found = Vec::new();
        for place in few {
            if let Some(event) = event_at(db, place)?
                && event.has(payload)?
            {
                found.push(place);
            }
        }
        Ok(Some(found))
    }

    /// Calls with the place of each event that may be one, newest first, from `range` and what is indexed, until it says to stop.
    pub(in crate::log::embedded) fn each(
        &self,
        db: &Connection,
        range: (i64, i64),
        mut is_enough: impl FnMut(i64) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let first: i64 = db
            .prepare_cached("SELECT coalesce(min(seq), 0) FROM events")?
            .query_row([], |row| row.get(0))?;
        let Some(mark) = found_mark(db)? else {
            // What isn't in it is found along the line, but for words.
            return match &self.payload {
                Some(_) => Err(Fault::NoIndex("it can't be read".into())),
                None => Ok(()),
            };
        };
        let (from, to) = (range.0.max(first), range.1.min(mark));
        if from > to {
            return Ok(());
        }
        let patience = Patience::default();
        let mut find = of_index(db.prepare_cached(FIND))?;
        for block in (from >> BLOCK_BITS..=to >> BLOCK_BITS).rev() {
            if let Some(few) = self.of_few(db, block, (from, to))? {
                patience.check()?;
                for place in few {
                    if is_enough(place)? {
                        return Ok(());
                    }
                }
                continue;
            }
            let mut rows = of_index(find.query(params![self.in_block(block), from, to]))?;
            while let Some(row) = of_index(rows.next())? {
                patience.check()?;
                if is_enough(row.get(0)?)? {
                    return Ok(());
                }
            }
            patience.check()?;
        }
        Ok(())
    }
}

/// The order is the index's own.
pub(in crate::log::embedded) const FIND: &str = "SELECT rowid FROM found.words WHERE words MATCH ?1 AND rowid >= ?2 AND rowid <= ?3 ORDER BY rowid DESC";

/// How long somebody waits for an answer.
pub(in crate::log::embedded) struct Patience(Instant);

impl Default for Patience {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Patience {
    pub(in crate::log::embedded) fn check(&self) -> Result<(), Fault> {
        if self.0.elapsed() < PATIENCE {
            return Ok(());
        }
        Err(Fault::Own(LogError::Unavailable(format!(
            "the search took more than {} seconds; narrow it by time, group or webhook, or by a last word that is longer or rarer: it costs most",
            PATIENCE.as_secs()
        ))))
    }
}

/// Notes when an event was received.
pub(super) fn put_time(db: &Connection, seq: i64, received: i64) -> Result<(), Fault> {
    db.prepare_cached(
        "INSERT INTO spans (span, oldest, newest) VALUES (?1, ?2, ?2)
         ON CONFLICT (span) DO UPDATE SET oldest = min(oldest, excluded.oldest), newest = max(newest, excluded.newest)",
    )?
    .execute([seq >> SPAN_BITS, received])?;
    Ok(())
}

/// Those before that place.
pub(super) fn forget_spans(db: &Connection, first: i64) -> Result<(), Fault> {
    db.prepare_cached("DELETE FROM spans WHERE span < ?1")?
        .execute([first >> SPAN_BITS])?;
    Ok(())
}

/// The stretches of the line, newest first, outside of which no event was received in that time: events come nearly in order. Both ends are in.
pub(in crate::log::embedded) fn ranges(
    db: &Connection,
    selection: &Selection,
) -> Result<Vec<(i64, i64)>, Fault> {
    if selection.since.is_none() && selection.until.is_none() {
        return Ok(vec![(0, i64::MAX)]);
    }
    let mark = mark(db)?;
    let mut ranges = vec![(mark + 1, i64::MAX)];
    let since = selection.since.map_or(i64::MIN, |since| since.0);
    let until = selection.until.map_or(i64::MAX, |until| until.0);
    let mut spans = of_index(db.prepare_cached(
        "SELECT min(span), max(span) FROM found.spans WHERE newest >= ?1 AND oldest < ?2",
    ))?;
    let spans: (Option<i64>, Option<i64>) =
        of_index(spans.query_row([since, until], |row| Ok((row.get(0)?, row.get(1)?))))?;
    if let (Some(first), Some(last)) = spans {
        let end = ((last + 1) << SPAN_BITS) - 1;
        ranges.push((first << SPAN_BITS, end.min(mark)));
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_takes_too_long_says_what_to_narrow() {
        assert!(Patience::default().check().is_ok());
        let began = Instant::now().checked_sub(PATIENCE).expect("it runs");
        let Err(Fault::Own(LogError::Unavailable(what))) = Patience(began).check() else {
            panic!("it is over");
        };
        assert!(what.contains("narrow it by"), "{what}");
    }

    #[test]
    fn type_is_found_by_each_of_its_levels() {
        let levels: Vec<_> = type_levels("order.paid.late").collect();
        assert_eq!(levels, ["order", "order.paid", "order.paid.late"]);
        assert_eq!(type_levels(&"a.".repeat(100)).count(), TYPE_LEVELS);
    }
}
