//! What a resource is called in addresses and manifests, where nobody typed it: made of what people read. `console.js` shows the same as it is typed.

/// As the API takes it.
pub(crate) const MAX_CHARS: usize = 63;

/// `Order paid (copy)` is called `order-paid-copy`; empty: nothing of it can stand in a name.
pub(crate) fn from(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if name.len() == MAX_CHARS {
            break;
        }
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.trim_end_matches('-').to_owned()
}

pub(crate) fn typed_or_from(typed: &str, text: &str) -> String {
    match typed {
        "" => from(text),
        typed => typed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_what_people_read() {
        for (text, name) in [
            ("Order paid", "order-paid"),
            ("  Größe: XL (copy) ", "gr-e-xl-copy"),
            ("---", ""),
            (&"a b".repeat(40), &"a-ba-b".repeat(11)[..63]),
        ] {
            assert_eq!(from(text), name.trim_end_matches('-'), "{text}");
        }
        assert_eq!(typed_or_from("mine", "Order paid"), "mine");
        assert_eq!(typed_or_from("", "Order paid"), "order-paid");
    }
}
