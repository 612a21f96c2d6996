//! JSON to look at: in the order it stands in, with the digits it has. Nothing of it goes through a binary fraction, or into another order.
//! What is in it stays where it is: a value is a part of the text, so that a deep one is not copied at each level.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object's members.
#[derive(Default)]
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// One value, a level deep.
pub(super) enum Json<'a> {
    Object(Vec<(String, &'a RawValue)>),
    List(Vec<&'a RawValue>),
    /// As people read it: text without its quotes.
    Leaf(String),
}

impl<'a> Json<'a> {
    pub(super) fn of(raw: &'a RawValue) -> Self {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'{') => serde_json::from_str(text).map(|Members(members)| Self::Object(members)),
            Some(b'[') => serde_json::from_str(text).map(Self::List),
            Some(b'"') => {
                serde_json::from_str::<Cow<'_, str>>(text).map(|text| Self::Leaf(text.into_owned()))
            }
            _ => Ok(Self::Leaf(text.to_owned())),
        }
        // It was valid when it was read from what is around it.
        .unwrap_or_else(|_| Self::Leaf(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deep_in_a_text_is_a_part_of_it_and_no_copy() {
        let text = format!("{}\"deep\"{}", r#"{"a":["#.repeat(20), "]}".repeat(20));
        let mut raw: &RawValue = serde_json::from_str(&text).unwrap();
        for _ in 0..20 {
            let Json::Object(members) = Json::of(raw) else {
                panic!("an object")
            };
            let Json::List(items) = Json::of(members[0].1) else {
                panic!("a list")
            };
            raw = items[0];
        }
        assert_eq!(raw.get(), "\"deep\"");
        assert!(text.as_bytes().as_ptr_range().contains(&raw.get().as_ptr()));
    }
}
