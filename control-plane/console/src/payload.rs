//! Payloads as text: JSON indented, bytes as text or as a dump. Each is bounded by what it weighs in a page; nothing of it is markup.

use crate::weight;

/// Of what is indented, as a page writes it.
pub(crate) const MAX_PRETTY: usize = 64 * 1024;
/// Of what is asked for to be indented: what has spaces and lines of its own fills a page as well.
pub(crate) const MAX_ASKED: usize = 4 * MAX_PRETTY;
/// Of what is shown as it came.
pub(crate) const MAX_RAW: usize = 24 * 1024;
/// Deeper than any payload that is decoded.
const MAX_DEPTH: usize = 200;
/// Bytes of a line of a dump.
const DUMPED: usize = 16;
/// Bytes of a line of a dump, as a page writes it, at most.
const DUMPED_LINE: usize = 150;

/// What is shown of a payload.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) text: String,
    /// There is more.
    pub(crate) cut: bool,
    /// Not text: a dump.
    pub(crate) dump: bool,
}

/// Text that grows until it weighs too much.
struct Bounded {
    text: String,
    weight: usize,
    max: usize,
}

impl Bounded {
    fn new(max: usize) -> Self {
        Self {
            text: String::new(),
            weight: 0,
            max,
        }
    }

    /// False: there is no room.
    fn push(&mut self, c: char) -> bool {
        self.weight += weight::of_char(c);
        let fits = self.weight <= self.max;
        if fits {
            self.text.push(c);
        }
        fits
    }

    fn line(&mut self, depth: usize) -> bool {
        self.push('\n') && (0..depth.min(MAX_DEPTH) * 2).all(|_| self.push(' '))
    }
}

/// JSON text with a line for each field and item, its numbers and strings as they are. Text that is no JSON comes out readable all the same.
pub(crate) fn pretty(json: &str, max: usize) -> Shown {
    let mut out = Bounded::new(max);
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let mut chars = json.chars().peekable();
    let mut whole = true;
    while let Some(c) = chars.next() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            whole = out.push(c);
        } else {
            whole = match c {
                ' ' | '\t' | '\n' | '\r' => true,
                '{' | '[' => {
                    while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                    match chars.next_if(|next| matches!((c, next), ('{', '}') | ('[', ']'))) {
                        Some(end) => out.push(c) && out.push(end),
                        None => {
                            depth += 1;
                            out.push(c) && out.line(depth)
                        }
                    }
                }
                '}' | ']' => {
                    depth = depth.saturating_sub(1);
                    out.line(depth) && out.push(c)
                }
                ',' => out.push(c) && out.line(depth),
                ':' => out.push(c) && out.push(' '),
                c => {
                    in_string = c == '"';
                    out.push(c)
                }
            };
        }
        if !whole {
            break;
        }
    }
    Shown {
        text: out.text,
        cut: !whole,
        dump: false,
    }
}

/// The bytes as text, or as a dump where they are none. They may be the first of so many.
pub(crate) fn raw(bytes: &[u8], of: usize, max: usize) -> Shown {
    // What control characters would do to a page or to whoever copies it is not what came.
    let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    let text = match std::str::from_utf8(bytes) {
        // A character that the cut went through makes no dump of a text.
        Err(error) if bytes.len() < of && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()])
        }
        text => text,
    };
    match text {
        Ok(text) if text.chars().all(is_text) => {
            let mut out = Bounded::new(max);
            let whole = text.chars().all(|c| out.push(c));
            Shown {
                text: out.text,
                cut: !whole || text.len() < of,
                dump: false,
            }
        }
        _ => {
            let most = max / DUMPED_LINE * DUMPED;
            let shown = bytes.get(..most).unwrap_or(bytes);
            Shown {
                text: dump(shown),
                cut: shown.len() < of,
                dump: true,
            }
        }
    }
}

/// `00000010  de ad be ef …  .…`
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (index, line) in bytes.chunks(DUMPED).enumerate() {
        let mut hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.resize(DUMPED, "  ".to_owned());
        let (left, right) = hex.split_at(DUMPED / 2);
        let shown = line.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        let shown: String = shown.collect();
        let at = index * DUMPED;
        text.push_str(&format!(
            "{at:08x}  {}  {}  {shown}\n",
            left.join(" "),
            right.join(" ")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_its_numbers_and_strings_stay_as_they_are() {
        let shown = pretty(
            r#"{"a":1.50,"b":[ ],"c":{},"d":[1,{"e":"x, \"y\" {"}],"f":1e400}"#,
            MAX_PRETTY,
        );
        let expected = "{\n  \"a\": 1.50,\n  \"b\": [],\n  \"c\": {},\n  \"d\": [\n    1,\n    {\n      \"e\": \"x, \\\"y\\\" {\"\n    }\n  ],\n  \"f\": 1e400\n}";
        assert_eq!(shown.text, expected);
        assert!(!shown.cut);
        assert_eq!(pretty("\"a\\\\\"", 100).text, "\"a\\\\\"");
    }

    #[test]
    fn what_is_shown_weighs_no_more_in_a_page_than_it_may() {
        for text in [
            "[".repeat(100_000),
            "\"<&>\"".repeat(50_000),
            "[1,".repeat(100_000),
            "ä".repeat(100_000),
        ] {
            for shown in [
                pretty(&text, 10_000),
                raw(text.as_bytes(), text.len(), 10_000),
            ] {
                assert!(shown.cut);
                let weight: usize = shown
                    .text
                    .chars()
                    .map(|c| match c {
                        '"' | '\'' | '&' | '<' | '>' => 5,
                        c => c.len_utf8(),
                    })
                    .sum();
                assert!((9_000..=10_000).contains(&weight), "{weight}");
            }
        }
        let binary: Vec<u8> = vec![b'<'; 50_000].into_iter().chain([0xff]).collect();
        let shown = raw(&binary, binary.len(), 10_000);
        assert!(shown.cut && shown.dump);
        let escaped = shown.text.len() + 4 * shown.text.matches('<').count();
        assert!(escaped <= 10_000, "{escaped}");
    }

    #[test]
    fn text_is_text_and_anything_else_is_a_dump() {
        assert_eq!(raw(b"a=1&b=2\n", 8, 100).text, "a=1&b=2\n");
        assert!(raw(b"a\x1b[31m", 6, 100).dump);
        let shown = raw(&[0, 1, b'A', 0xff], 4, 1_000);
        assert_eq!(
            shown.text,
            format!("00000000  00 01 41 ff{}..A.\n", " ".repeat(39))
        );
    }

    #[test]
    fn the_beginning_of_a_text_is_no_dump_wherever_it_was_cut() {
        let whole = "{\"name\": \"Åse €\"}".as_bytes();
        for end in 0..whole.len() {
            let shown = raw(&whole[..end], whole.len(), 100);
            assert!(shown.cut && !shown.dump, "{end}");
            assert!(whole.starts_with(shown.text.as_bytes()));
        }
        assert!(!raw(whole, whole.len(), 100).cut);
        assert!(raw(&whole[..11], 11, 100).dump);
    }

    #[test]
    fn no_text_whatever_breaks_it() {
        for text in ["", "}", "]]]]", "\"", "\"\\", "{", "nonsense: {", ",,,"] {
            pretty(text, 100);
        }
    }
}
