//! What an event can be found by: the words of its payload. The same for every backend, so that a search finds the same in each.

use std::borrow::Cow;

use hookplane_proto::v1;
use hookplane_rules::text::cut;

/// Words of one event. What is beyond isn't found.
pub const MAX_WORDS: usize = 2_000;
/// Of its payload that is read for them.
const MAX_READ_BYTES: usize = 256 * 1024;
/// Of one word, in bytes: longer ones are found by their beginning.
const MAX_WORD_BYTES: usize = 64;
/// Words of a search. The API refuses more: what is beyond would widen it.
pub const MAX_SEARCHED: usize = 16;

/// Different words of the payload, of the event's type and of its delivery id, in order of the alphabet.
pub fn of(event: &v1::Event) -> Vec<String> {
    let mut words = std::collections::BTreeSet::new();
    let payload = match event.format() {
        v1::PayloadFormat::Json | v1::PayloadFormat::Ndjson if event.payload.is_empty() => {
            String::from_utf8_lossy(&event.body[..event.body.len().min(MAX_READ_BYTES)])
                .into_owned()
        }
        _ => hookplane_rules::payload::to_json(event).unwrap_or_default(),
    };
    for text in [&event.r#type, &event.delivery_id, &payload] {
        for word in split(&plain(cut(text, MAX_READ_BYTES))) {
            if words.len() == MAX_WORDS {
                return words.into_iter().collect();
            }
            words.insert(word);
        }
    }
    words.into_iter().collect()
}

/// What is searched for: at most [`MAX_SEARCHED`] words.
pub fn searched(text: &str) -> Vec<String> {
    split(&plain(text)).take(MAX_SEARCHED).collect()
}

/// Whether it has more words than a search takes.
pub fn are_too_many(text: &str) -> bool {
    split(&plain(text)).nth(MAX_SEARCHED).is_some()
}

/// Whether all that are searched for are in an event, the last as the beginning of one.
pub fn are_in(event: &v1::Event, searched: &[String]) -> bool {
    let Some((last, all)) = searched.split_last() else {
        return true;
    };
    let there = of(event);
    let from = there.partition_point(|word| word < last);
    let begun = there.get(from).is_some_and(|word| word.starts_with(last));
    begun && all.iter().all(|word| there.binary_search(word).is_ok())
}

/// With the letters that JSON may write as numbers, `M\u00fcller`, as letters: many providers write all but ASCII so. A half of a pair without
/// the other parts words.
fn plain(text: &str) -> Cow<'_, str> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        let taken = match unit(escape) {
            Some(high @ 0xd800..=0xdbff) => {
                let pair = [high, unit(&escape[UNIT..]).unwrap_or_default()];
                let letter = char::decode_utf16(pair).next().and_then(Result::ok);
                plain.push(letter.unwrap_or(' '));
                if letter.is_some() { 2 * UNIT } else { UNIT }
            }
            Some(unit) => {
                plain.push(char::from_u32(unit.into()).unwrap_or(' '));
                UNIT
            }
            // Of another escape, such as `\n` or `\\`, both characters stay.
            None => {
                let taken = escape.chars().take(2).map(char::len_utf8).sum();
                plain.push_str(&escape[..taken]);
                taken
            }
        };
        rest = &escape[taken..];
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// Bytes of one that is written as a number.
const UNIT: usize = r"\u00fc".len();

/// The one that this begins with.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..UNIT - 2)?;
    let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_number.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// Letters and digits that stand together, in lower case. An escape of JSON's, such as `\n`, parts words.
fn split(text: &str) -> impl Iterator<Item = String> {
    let mut escaped = false;
    text.split(move |c: char| {
        let was = escaped;
        escaped = c == '\\' && !was;
        was || !c.is_alphanumeric()
    })
    .filter(|word| !word.is_empty())
    .map(|word| cut(&word.to_lowercase(), MAX_WORD_BYTES).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_by_letters_and_digits_in_lower_case() {
        let event = v1::Event {
            r#type: "orders/paid".to_owned(),
            format: v1::PayloadFormat::Json.into(),
            body: br#"{"email":"Ada@Example.com","note":"a\nb","n":-12.50}"#
                .to_vec()
                .into(),
            ..Default::default()
        };
        let expected = [
            "12", "50", "a", "ada", "b", "com", "email", "example", "n", "note", "orders", "paid",
        ];
        assert_eq!(of(&event), expected);
        assert_eq!(searched("Ada@example"), ["ada", "example"]);
    }

    #[test]
    fn letters_that_are_written_as_numbers_are_letters() {
        let words = |text: &str| split(&plain(text)).collect::<Vec<_>>();
        assert_eq!(words(r#""M\u00fcller \u00C4""#), ["müller", "ä"]);
        assert_eq!(words(r"a\ud835\udc9cb"), ["a𝒜b"]);
        assert_eq!(words(r"caf\u00e9\nbar\\u00fc"), ["café", "bar", "u00fc"]);
        for half in [r"a\ud835b", r"a\udc9cb", r"a\ud835\u0020b"] {
            assert_eq!(words(half), ["a", "b"], "{half}");
        }
        for cut in [r"a\u00f", r"a\u", r"a\", r"a\u00fü", r"a\u+0fc"] {
            assert_eq!(words(cut)[0], "a", "{cut}");
        }
        assert!(matches!(plain("none"), Cow::Borrowed(_)));
    }

    #[test]
    fn an_event_has_all_words_and_the_beginning_of_the_last() {
        let event = v1::Event {
            r#type: "orders/paid".to_owned(),
            format: v1::PayloadFormat::Json.into(),
            body: br#"{"email":"ada@example.com"}"#.to_vec().into(),
            ..Default::default()
        };
        let has = |text: &str| are_in(&event, &searched(text));
        assert!(has(""));
        assert!(has("Ada exam"));
        assert!(has("paid"));
        assert!(!has("exam ada"));
        assert!(!has("bob"));
        assert!(!has("zzz"));
    }

    #[test]
    fn what_is_read_is_bounded() {
        let event = v1::Event {
            format: v1::PayloadFormat::Json.into(),
            body: (0..100_000)
                .map(|n| format!("w{n} "))
                .collect::<String>()
                .into_bytes()
                .into(),
            ..Default::default()
        };
        assert_eq!(of(&event).len(), MAX_WORDS);
        assert_eq!(searched(&"x ".repeat(100)).len(), MAX_SEARCHED);
        assert!(are_too_many(&"x ".repeat(MAX_SEARCHED + 1)));
        assert!(!are_too_many(&"x ".repeat(MAX_SEARCHED)));
        assert_eq!(searched(&"ä".repeat(100))[0].len(), MAX_WORD_BYTES);
    }
}
