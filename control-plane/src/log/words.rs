//! What an event can be found by: the words of its payload. The same for every backend, so that a search finds the same in each.

use hookplane_proto::v1;
use hookplane_rules::text::cut;

/// Words of one event. What is beyond isn't found.
pub const MAX_WORDS: usize = 2_000;
/// Of its payload that is read for them.
const MAX_READ_BYTES: usize = 256 * 1024;
/// Of one word, in bytes: longer ones are found by their beginning.
const MAX_WORD_BYTES: usize = 64;
/// Words of a search.
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
        for word in split(cut(text, MAX_READ_BYTES)) {
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
    split(text).take(MAX_SEARCHED).collect()
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
        assert_eq!(searched(&"ä".repeat(100))[0].len(), MAX_WORD_BYTES);
    }
}
