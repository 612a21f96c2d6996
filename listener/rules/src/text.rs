//! Texts of others, made short enough to be kept or shown. Never within a character.

const MARK: char = '…';

/// At most so many bytes of it, from the beginning.
pub fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The same as text of its own, in which a mark says that there was more.
pub fn clip(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut clipped = cut(text, bytes.saturating_sub(MARK.len_utf8())).to_owned();
    clipped.push(MARK);
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_ends_between_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("aääää", 6), "aää");
        assert_eq!(cut("ä", 1), "");
    }

    #[test]
    fn a_mark_says_that_there_was_more_and_counts_too() {
        assert_eq!(clip("abc", 3), "abc");
        assert_eq!(clip("aääää", 6), "aä…");
        assert_eq!(clip("ääää", 3), "…");
    }
}
