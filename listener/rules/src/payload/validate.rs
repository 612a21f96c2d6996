//! The validating pass. One, without a tree; memory bounded by the text: the keys of the objects that are open.
//!
//! It is what most of a kept callback's time goes to after its hash, so texts are stepped over eight bytes at a time, and of nearly all keys
//! one bit tells that they are new. On the way the members of the outermost object are noted, since that is where most values are read.

use std::borrow::Cow;
use std::collections::HashSet;

use super::MAX_DEPTH;
use super::scan::{Member, end_of_plain, hex_unit, unescape};

/// Up to here an object's keys are told apart by their hashes, which beats a set. Beyond, a set: hostile keys must not cost their square.
const KEYS_BEFORE_SET: usize = 128;

/// Members of the outermost object that are noted. One with more is searched when it is read.
const MAX_MEMBERS: usize = 64;

/// A double has at most 309 digits before its point; only longer numbers and those with an exponent can pass its range.
const DIGITS_OF_A_DOUBLE: usize = 308;

/// The members of the outermost object, if the document is an object of not too many.
pub(super) fn document(text: &[u8]) -> Result<Option<Vec<Member>>, String> {
    let text =
        std::str::from_utf8(text).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to()))?;
    if text.starts_with('\u{feff}') {
        return Err("it begins with a byte order mark".to_owned());
    }
    let mut pass = Pass {
        text,
        bytes: text.as_bytes(),
        at: 0,
        keys: Vec::new(),
        members: Vec::new(),
    };

    pass.whitespace();
    let has_members = pass.peek() == Some(b'{');
    pass.value(0)?;
    pass.whitespace();
    if pass.at < pass.bytes.len() {
        return Err(format!("more text after the document at byte {}", pass.at));
    }
    Ok((has_members && pass.members.len() <= MAX_MEMBERS).then_some(pass.members))
}

struct Pass<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Of all open objects, innermost last, each with a cheap hash that tells most keys apart.
    keys: Vec<(u32, Cow<'a, str>)>,
    /// Of the outermost object, one more than are wanted at most.
    members: Vec<Member>,
}

impl<'a> Pass<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn wrong<T>(&self, wanted: &str) -> Result<T, String> {
        match self
            .text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
        {
            Some(found) => Err(format!(
                "{wanted} expected at byte {}, found {found:?}",
                self.at
            )),
            None => Err(format!(
                "{wanted} expected, but the text ends at byte {}",
                self.at
            )),
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), String> {
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.skip_string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.wrong("a value"),
        }
    }

    fn deeper(&mut self, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!(
                "more than {MAX_DEPTH} levels deep at byte {}",
                self.at
            ));
        }
        self.at += 1;
        self.whitespace();
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), String> {
        self.deeper(depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let first = self.keys.len();
        let mut seen = Seen::default();
        let mut many: Option<HashSet<Cow<'a, str>>> = None;
        loop {
            let place = self.at;
            let key = self.key()?;
            let twice = match &mut many {
                Some(set) => !set.insert(key),
                None => {
                    let hash = cheap_hash(&key);
                    let twice = seen.maybe(hash)
                        && self.keys[first..]
                            .iter()
                            .any(|(h, known)| *h == hash && *known == key);
                    self.keys.push((hash, key));
                    if self.keys.len() - first == KEYS_BEFORE_SET {
                        many = Some(self.keys.drain(first..).map(|(_, key)| key).collect());
                    }
                    twice
                }
            };
            if twice {
                return Err(format!(
                    "the key at byte {place} is there twice in one object"
                ));
            }
            let key_end = self.at;
            self.whitespace();
            if self.peek() != Some(b':') {
                return self.wrong("`:`");
            }
            self.at += 1;
            self.whitespace();
            let value = self.at;
            self.value(depth)?;
            if depth == 1 && self.members.len() <= MAX_MEMBERS {
                self.members.push(Member {
                    key: place..key_end,
                    value: value..self.at,
                });
            }
            self.whitespace();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.wrong("`,` or `}`"),
            }
            self.whitespace();
        }
        self.at += 1;
        self.keys.truncate(first);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), String> {
        self.deeper(depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.whitespace();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return self.wrong("`,` or `]`"),
            }
            self.whitespace();
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.wrong("a value");
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<usize, String> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        match self.at - start {
            0 => self.wrong("a digit"),
            count => Ok(count),
        }
    }

    fn number(&mut self) -> Result<(), String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits()?;
        if leading_zero && whole > 1 {
            return Err(format!("a number with a leading zero at byte {start}"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if exponent {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        // Past the range of a double parsers differ: infinity for some, an error for others.
        if (exponent || whole > DIGITS_OF_A_DOUBLE)
            && !self.text[start..self.at]
                .parse::<f64>()
                .is_ok_and(f64::is_finite)
        {
            return Err(format!(
                "a number beyond the range of a double at byte {start}"
            ));
        }
        Ok(())
    }

    /// Checks a key; its content, borrowed unless something in it is escaped.
    fn key(&mut self) -> Result<Cow<'a, str>, String> {
        if self.peek() != Some(b'"') {
            return self.wrong("`\"`");
        }
        let start = self.at;
        let escaped = self.skip_string()?;
        let raw = &self.text[start..self.at];
        Ok(if escaped {
            unescape(raw)
        } else {
            Cow::Borrowed(&raw[1..raw.len() - 1])
        })
    }

    /// Checks a string from its quote on; says whether something in it is escaped.
    fn skip_string(&mut self) -> Result<bool, String> {
        self.at = end_of_plain(self.bytes, self.at + 1);
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(false);
        }
        self.rest_of_string()?;
        Ok(true)
    }

    /// From the first place that isn't plain.
    fn rest_of_string(&mut self) -> Result<(), String> {
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => {
                    return Err(format!(
                        "a control character in a string at byte {}",
                        self.at
                    ));
                }
                _ => return self.wrong("`\"`"),
            }
            self.at = end_of_plain(self.bytes, self.at);
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        let start = self.at;
        match self.bytes.get(start + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = self.unit(start)?;
                self.at += 6;
                match unit {
                    0xd800..=0xdbff => {
                        if self.bytes.get(self.at..self.at + 2) != Some(b"\\u".as_slice())
                            || !(0xdc00..=0xdfff).contains(&self.unit(self.at)?)
                        {
                            return Err(format!("half a surrogate pair at byte {start}"));
                        }
                        self.at += 6;
                    }
                    0xdc00..=0xdfff => {
                        return Err(format!("half a surrogate pair at byte {start}"));
                    }
                    _ => {}
                }
            }
            _ => return Err(format!("an unknown escape at byte {start}")),
        }
        Ok(())
    }

    /// The UTF-16 unit of the `\uXXXX` at a place.
    fn unit(&self, place: usize) -> Result<u16, String> {
        self.bytes
            .get(place + 2..place + 6)
            .and_then(hex_unit)
            .ok_or_else(|| format!("four hex digits expected after \\u at byte {place}"))
    }
}

/// Which hashes an object's keys had so far, give or take: 256 bits, so that keys which share a bit by chance are few.
#[derive(Default)]
struct Seen([u64; 4]);

impl Seen {
    /// False when this hash is new for certain. Notes it.
    fn maybe(&mut self, hash: u32) -> bool {
        let bit = 1 << (hash % 64);
        // Two more bits of the hash: an index below four.
        let word = &mut self.0[(hash / 64 % 4) as usize];
        let before = *word & bit != 0;
        *word |= bit;
        before
    }
}

/// Of the length and at most 8 bytes from each end.
fn cheap_hash(key: &str) -> u32 {
    let bytes = key.as_bytes();
    let (head, tail) = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => (
            bytes
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte)),
            0,
        ),
    };
    let mixed =
        (head ^ tail.rotate_left(29) ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The upper half depends on every byte.
    (mixed >> 32) as u32
}
