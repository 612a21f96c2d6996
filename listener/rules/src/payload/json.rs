//! A JSON text: validated once, then read in place.

use bytes::Bytes;

use super::MAX_DEPTH;
use super::scan::{self, Kind};

/// A JSON text that passed the validating pass.
#[derive(Debug, Clone)]
pub struct Json {
    /// Valid UTF-8: only [`Json::validate`] makes one, and [`Json::items_at`] cuts at the bounds of a value.
    text: Bytes,
}

impl Json {
    /// The validating pass. The reason says what and where.
    pub fn validate(text: Bytes) -> Result<Self, String> {
        validate::document(&text)?;
        Ok(Self { text })
    }

    /// The text as it came.
    pub fn text(&self) -> &str {
        // Checking is a tenth of a microsecond per KiB, and the price of having no `unsafe`. It can't fail, see the field.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The raw text of the value at a pointer's unescaped tokens; a token that is digits indexes an array.
    pub fn at(&self, pointer: &[String]) -> Option<&str> {
        scan::at(self.text(), pointer)
    }

    /// The value at a pointer as text: a string's content, a number or boolean as written. None for null, arrays, objects and what is missing.
    pub fn scalar_at(&self, pointer: &[String]) -> Option<String> {
        let raw = self.at(pointer)?;
        match scan::kind(raw) {
            Kind::String => Some(scan::unescape(raw).into_owned()),
            Kind::Number | Kind::Bool => Some(raw.to_owned()),
            Kind::Null | Kind::Array | Kind::Object => None,
        }
    }

    /// The elements of the array at a pointer, as slices of this text without copying. None when there is no array.
    pub fn items_at(&self, pointer: &[String]) -> Option<Vec<Json>> {
        let raw = self.at(pointer)?;
        if scan::kind(raw) != Kind::Array {
            return None;
        }
        Some(
            scan::elements(raw)
                .map(|item| Json {
                    text: self.text.slice_ref(item.as_bytes()),
                })
                .collect(),
        )
    }

    /// As shared bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.text
    }
}

mod validate {
    //! One pass, one byte at a time, memory bounded by the text: the keys of the objects that are open.

    use std::borrow::Cow;
    use std::collections::HashSet;

    use super::MAX_DEPTH;
    use super::scan::unescape;

    /// Up to here an object's keys are compared one by one, which beats a set. Beyond, a set: hostile keys must not cost their square.
    const KEYS_BEFORE_SET: usize = 32;

    /// A double has at most 309 digits before its point; only longer numbers and those with an exponent can pass its range.
    const DIGITS_OF_A_DOUBLE: usize = 308;

    pub(super) fn document(text: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(text)
            .map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to()))?;
        if text.starts_with('\u{feff}') {
            return Err("it begins with a byte order mark".to_owned());
        }
        let mut pass = Pass {
            text,
            bytes: text.as_bytes(),
            at: 0,
            keys: Vec::new(),
        };
        pass.whitespace();
        pass.value(0)?;
        pass.whitespace();
        if pass.at < pass.bytes.len() {
            return Err(format!("more text after the document at byte {}", pass.at));
        }
        Ok(())
    }

    struct Pass<'a> {
        text: &'a str,
        bytes: &'a [u8],
        at: usize,
        /// Of all open objects, innermost last, each with a cheap hash that tells most keys apart.
        keys: Vec<(u32, Cow<'a, str>)>,
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
                Some(b'"') => self.string().map(drop),
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
            let mut many: Option<HashSet<Cow<'a, str>>> = None;
            loop {
                let place = self.at;
                let key = self.string()?;
                let twice = match &mut many {
                    Some(set) => !set.insert(key),
                    None => {
                        let hash = cheap_hash(&key);
                        let twice = self.keys[first..]
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
                self.whitespace();
                if self.peek() != Some(b':') {
                    return self.wrong("`:`");
                }
                self.at += 1;
                self.whitespace();
                self.value(depth)?;
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

        /// Checks a string; its content, borrowed unless something in it is escaped.
        fn string(&mut self) -> Result<Cow<'a, str>, String> {
            if self.peek() != Some(b'"') {
                return self.wrong("`\"`");
            }
            let start = self.at;
            self.at += 1;
            let mut escaped = false;
            loop {
                let plain = self.bytes[self.at..]
                    .iter()
                    .position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f));
                self.at += plain.unwrap_or(self.bytes.len() - self.at);
                match self.peek() {
                    Some(b'"') => break,
                    Some(b'\\') => {
                        escaped = true;
                        self.escape()?;
                    }
                    Some(0..=0x1f) => {
                        return Err(format!(
                            "a control character in a string at byte {}",
                            self.at
                        ));
                    }
                    _ => return self.wrong("`\"`"),
                }
            }
            self.at += 1;
            let raw = &self.text[start..self.at];
            Ok(if escaped {
                unescape(raw)
            } else {
                Cow::Borrowed(&raw[1..raw.len() - 1])
            })
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
                .and_then(super::scan::hex_unit)
                .ok_or_else(|| format!("four hex digits expected after \\u at byte {place}"))
        }
    }

    /// FNV-1a over the length and at most 8 bytes from each end.
    fn cheap_hash(key: &str) -> u32 {
        let bytes = key.as_bytes();
        let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        let hash = bytes.len() as u32 ^ 0x811c_9dc5;
        let hash = bytes.iter().take(8).fold(hash, step);
        bytes.iter().rev().take(8).fold(hash, step)
    }
}
