//! Names and values in paths, and the field behind a relationship.

use std::fmt::Write as _;

/// Objects' and fields' names: nothing else gets into a path as it is.
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && text.len() <= 255
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `v65.0`
pub(super) fn is_version(text: &str) -> bool {
    let digits =
        |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    text.strip_prefix('v')
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// One segment of a path: all but letters, digits, `-` and `_` is encoded. Dots too: the segments `.` and `..` are no values to whoever
/// tidies paths on the way.
pub(super) fn segment(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            text.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The field that holds a relationship's id: `Order__r` is filled through `Order__c`, `Account` through `AccountId`. A field's own name stays.
pub(super) fn id_field(relationship: &str) -> String {
    if let Some(custom) = relationship.strip_suffix("__r") {
        format!("{custom}__c")
    } else if relationship.ends_with("__c") || relationship.ends_with("Id") {
        relationship.to_owned()
    } else {
        format!("{relationship}Id")
    }
}

/// The relationship behind a field, for lookups by an external id: the other way round.
pub(super) fn relationship(field: &str) -> String {
    if let Some(custom) = field.strip_suffix("__c") {
        format!("{custom}__r")
    } else if let Some(standard) = field.strip_suffix("Id").filter(|name| !name.is_empty()) {
        standard.to_owned()
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_one_segment_whatever_is_in_it() {
        assert_eq!(segment("a/b?c#d%e f"), "a%2Fb%3Fc%23d%25e%20f");
        assert_eq!(segment(".."), "%2E%2E");
        assert_eq!(segment("ä\r\nX: y"), "%C3%A4%0D%0AX%3A%20y");
        assert_eq!(segment("a-1_B"), "a-1_B");
    }

    #[test]
    fn only_names_get_into_paths() {
        assert!(is_name("Order__c") && is_name("ns__Order__c"));
        for odd in ["", "1a", "a/b", "a b", "a?b", "Ä", "a.b", "_a", "a\n"] {
            assert!(!is_name(odd), "{odd:?}");
        }
        assert!(is_version("v65.0"));
        for odd in ["", "65.0", "v65", "v65.0/", "v.0", "v1234.0", "v65.0 "] {
            assert!(!is_version(odd), "{odd:?}");
        }
    }

    #[test]
    fn relationships_and_their_fields_name_each_other() {
        for (relation, field) in [
            ("Order__r", "Order__c"),
            ("ns__Order__r", "ns__Order__c"),
            ("Account", "AccountId"),
            ("ReportsTo", "ReportsToId"),
        ] {
            assert_eq!(id_field(relation), field);
            assert_eq!(id_field(field), field);
            assert_eq!(relationship(field), relation);
            assert_eq!(relationship(relation), relation);
        }
    }
}
