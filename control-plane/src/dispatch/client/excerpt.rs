//! What an operator is shown of an answer: its beginning, as text, without what we sent as a secret.

use hookplane_rules::text::clip;

/// The longest.
pub const MAX_EXCERPT_BYTES: usize = 2_048;
/// A shorter secret would blot out half of the text, and hides nothing.
const MIN_HIDDEN_BYTES: usize = 4;
const HIDDEN: &str = "***";
/// Of why an answer broke off.
const MAX_WHY_BYTES: usize = 200;

/// The beginning of an answer. `secrets` are what servers may send back to us: each is hidden, and what follows its first space too, as in
/// `Bearer 0815`. Of an answer that isn't whole the end is left out where a part of a secret may be.
pub fn excerpt<'a>(
    answer: &[u8],
    whole: bool,
    secrets: impl IntoIterator<Item = &'a str>,
) -> String {
    let mut hidden: Vec<&str> = secrets
        .into_iter()
        .flat_map(|secret| {
            [
                Some(secret),
                secret.split_once(' ').map(|(_, bare)| bare.trim()),
            ]
        })
        .flatten()
        .filter(|secret| secret.len() >= MIN_HIDDEN_BYTES)
        .collect();
    // One may be part of another, whose rest would be left.
    hidden.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    // Hidden before it is cut: the half of a secret is one, too.
    let mut text = String::from_utf8_lossy(answer).into_owned();
    for secret in &hidden {
        if text.contains(secret) {
            text = text.replace(secret, HIDDEN);
        }
    }
    if !whole {
        let longest = hidden.first().map_or(0, |secret| secret.len());
        let end = text.len().saturating_sub(longest);
        text.truncate(text.floor_char_boundary(end));
    }
    let mut short = String::with_capacity(text.len().min(MAX_EXCERPT_BYTES));
    for c in text.chars() {
        // A terminal obeys some of them.
        let c = if c.is_control() && c != '\n' && c != '\t' {
            ' '
        } else {
            c
        };
        if short.len() + c.len_utf8() > MAX_EXCERPT_BYTES {
            break;
        }
        short.push(c);
    }
    short
}

/// The same of an answer whose rest never came, with why that is at its end.
pub fn broken_off(mut excerpt: String, why: &str) -> String {
    let why = format!("[{}]", clip(why, MAX_WHY_BYTES));
    let space = if excerpt.is_empty() { "" } else { " " };
    let room = MAX_EXCERPT_BYTES.saturating_sub(space.len() + why.len());
    excerpt.truncate(excerpt.floor_char_boundary(room));
    excerpt + space + &why
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_come_back_are_hidden_also_where_the_excerpt_is_cut() {
        let told = excerpt(
            b"you sent Bearer abcdef, and abcdef",
            true,
            ["Bearer abcdef"],
        );
        assert_eq!(told, "you sent ***, and ***");
        let mut long = "x".repeat(MAX_EXCERPT_BYTES - 3);
        long.push_str("secret-value");
        let told = excerpt(long.as_bytes(), true, ["secret-value"]);
        assert!(told.ends_with("x***"), "{}", &told[told.len() - 8..]);
        // One within the other, and one that was cut.
        let told = excerpt(b"abcdefgh", true, ["abcd", "abcdefgh"]);
        assert_eq!(told, "***");
        let told = excerpt(b"you sent secret-va", false, ["secret-value"]);
        assert!(!told.contains("sec"), "{told}");
        assert_eq!(excerpt(b"ok", true, ["ok"]), "ok");
    }

    #[test]
    fn an_excerpt_is_bounded_text_without_control_characters() {
        assert_eq!(excerpt(b"a\x1b[31m\xff", true, []), "a [31m\u{fffd}");
        let long = "ä".repeat(10_000);
        assert_eq!(excerpt(long.as_bytes(), true, []).len(), MAX_EXCERPT_BYTES);
        let told = broken_off(excerpt(long.as_bytes(), false, []), "it breaks off");
        assert!(told.len() <= MAX_EXCERPT_BYTES && told.ends_with("ä [it breaks off]"));
        assert_eq!(
            broken_off(String::new(), "it breaks off"),
            "[it breaks off]"
        );
    }
}
