//! A filter's source before it is parsed: how deep a parser would have to go, and where its terms are.
//!
//! The engine's parser recurses over the source and aborts the process when the stack ends, so this looks first. It only has to be
//! right about strings, comments and brackets; what else is wrong, the parser says.

/// How far a parser may have to go down, and how deep what it makes may be.
const MAX_PARSE_DEPTH: usize = 64;

/// Bytes of source.
const MAX_SOURCE_BYTES: usize = 1024;

/// The terms of `a && b && c`, or the whole source as one.
pub(super) fn terms(source: &str) -> Result<Vec<&str>, String> {
    if source.trim().is_empty() {
        return Err("the filter is empty; leave it out to take all events".to_owned());
    }
    let scan = checked(source)?;
    // Anything that binds weaker than `&&` makes it one term.
    if scan.ternary || !scan.ors.is_empty() || scan.ands.is_empty() {
        return Ok(vec![source.trim()]);
    }
    let terms = cut(source, &scan.ands);
    if terms.iter().any(|term| term.is_empty()) {
        return Err("a term is missing beside `&&`".to_owned());
    }
    Ok(terms)
}

/// A source that may be parsed.
pub(super) fn within_bounds(source: &str) -> Result<(), String> {
    checked(source).map(drop)
}

fn checked(source: &str) -> Result<Scan, String> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(format!(
            "is {} bytes long; {MAX_SOURCE_BYTES} are allowed",
            source.len()
        ));
    }
    let mut scan = Scan::default();
    let bytes = source.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        at = scan.step(source, at)?;
    }
    if !scan.open.is_empty() {
        return Err("a bracket is not closed".to_owned());
    }
    scan.level.settle();
    if scan.deepest.max(scan.level.deepest) > MAX_PARSE_DEPTH {
        return Err(too_deep());
    }
    Ok(scan)
}

/// How a term is put together.
pub(super) enum Shape<'s> {
    /// `a && b`
    All(Vec<&'s str>),
    /// `a || b`
    Any(Vec<&'s str>),
    /// Neither, as far as can be told here.
    One,
}

/// Brackets around a part don't hide what it is made of. For sources that [`terms`] took.
pub(super) fn shape(source: &str) -> Shape<'_> {
    let source = bare(source);
    match scanned(source) {
        Some(scan) if scan.ternary => Shape::One,
        Some(scan) if !scan.ors.is_empty() => Shape::Any(cut(source, &scan.ors)),
        Some(scan) if !scan.ands.is_empty() => Shape::All(cut(source, &scan.ands)),
        _ => Shape::One,
    }
}

/// Without brackets around all of it.
pub(super) fn bare(source: &str) -> &str {
    let mut source = source.trim();
    while let Some(inside) = source.strip_prefix('(').and_then(|s| s.strip_suffix(')'))
        && scanned(inside).is_some()
    {
        source = inside.trim();
    }
    source
}

/// None where brackets don't pair.
fn scanned(source: &str) -> Option<Scan> {
    let mut scan = Scan::default();
    let mut at = 0;
    while at < source.len() {
        at = scan.step(source, at).ok()?;
    }
    scan.open.is_empty().then_some(scan)
}

/// The pieces between operators of two bytes.
fn cut<'s>(source: &'s str, at: &[usize]) -> Vec<&'s str> {
    let ends = at.iter().copied().chain([source.len()]);
    let starts = [0].into_iter().chain(at.iter().map(|at| at + 2));
    starts
        .zip(ends)
        .map(|(start, end)| source[start..end].trim())
        .collect()
}

fn too_deep() -> String {
    format!("is nested or chained more than {MAX_PARSE_DEPTH} levels deep")
}

#[derive(Default)]
struct Level {
    /// Links of the chain that is being read: dots, operators, brackets and what is in them.
    chain: usize,
    /// The longest chain so far.
    deepest: usize,
}

impl Level {
    fn settle(&mut self) {
        self.deepest = self.deepest.max(self.chain);
        self.chain = 0;
    }
}

#[derive(Default)]
struct Scan {
    open: Vec<Level>,
    level: Level,
    deepest: usize,
    /// Where `&&` and `||` are, outside of brackets.
    ands: Vec<usize>,
    ors: Vec<usize>,
    ternary: bool,
}

impl Scan {
    /// Takes one token or character; where the next one begins.
    fn step(&mut self, source: &str, at: usize) -> Result<usize, String> {
        let rest = &source[at..];
        let byte = source.as_bytes()[at];
        if rest.starts_with("//") {
            return Ok(rest.find('\n').map_or(source.len(), |end| at + end));
        }
        if rest.starts_with("&&") || rest.starts_with("||") {
            // Chains of these are balanced by the parser, and don't add up.
            self.level.settle();
            if self.open.is_empty() {
                match byte {
                    b'&' => self.ands.push(at),
                    _ => self.ors.push(at),
                }
            }
            return Ok(at + 2);
        }
        match byte {
            b'"' | b'\'' => return string_end(source, at, false),
            b'(' | b'[' | b'{' => {
                self.open.push(std::mem::take(&mut self.level));
                if self.open.len() > MAX_PARSE_DEPTH {
                    return Err(too_deep());
                }
            }
            b')' | b']' | b'}' => {
                self.level.settle();
                let inside = self.level.deepest;
                self.level = self
                    .open
                    .pop()
                    .ok_or("a bracket is closed that was never opened")?;
                self.level.chain += inside + 1;
            }
            b',' => self.level.settle(),
            b'?' => {
                self.ternary |= self.open.is_empty();
                self.level.chain += 1;
            }
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'!' | b'<' | b'>' | b'=' => {
                self.level.chain += 1;
            }
            // `in` is an operator too.
            b'i' if is_word(source, at, "in") => {
                self.level.chain += 1;
                return Ok(at + 2);
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                let end = word_end(source, at);
                let raw = matches!(&source[at..end], "r" | "R" | "br" | "bR" | "Br" | "BR");
                return match source.as_bytes().get(end) {
                    Some(b'"' | b'\'') if raw => string_end(source, end, true),
                    _ => Ok(end),
                };
            }
            _ => {}
        }
        self.deepest = self.deepest.max(self.level.chain);
        Ok(at + rest.chars().next().map_or(1, char::len_utf8))
    }
}

fn word_end(source: &str, at: usize) -> usize {
    let rest = &source[at..];
    let end = rest
        .find(|c: char| !(c == '_' || c.is_ascii_alphanumeric()))
        .unwrap_or(rest.len());
    at + end
}

fn is_word(source: &str, at: usize, word: &str) -> bool {
    &source[at..word_end(source, at)] == word
}

/// The end of the string literal that begins at a quote. What the engine's lexer would take apart in another way is refused.
fn string_end(source: &str, at: usize, raw: bool) -> Result<usize, String> {
    let bytes = source.as_bytes();
    let quote = &source[at..=at];
    let triple = quote.repeat(3);
    let end = if source[at..].starts_with(&triple) {
        triple.as_str()
    } else {
        quote
    };
    let mut place = at + end.len();
    while let Some(byte) = bytes.get(place) {
        if bytes[place..].starts_with(end.as_bytes()) {
            return Ok(place + end.len());
        }
        place += match byte {
            b'\n' | b'\r' if end.len() == 1 => break,
            b'\\' if !raw => match bytes.get(place + 1) {
                Some(
                    b'\\' | b'"' | b'\'' | b'`' | b'?' | b'a' | b'b' | b'f' | b'n' | b'r' | b't'
                    | b'v',
                ) => 2,
                Some(b'x' | b'X' | b'u' | b'U' | b'0'..=b'3') => 2,
                _ => return Err(format!("an unknown escape in the string at byte {at}")),
            },
            _ => 1,
        };
    }
    Err(format!("the string at byte {at} is not closed"))
}
