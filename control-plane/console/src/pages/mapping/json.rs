//! JSON to look at: in the order it stands in, with the digits it has. Nothing of it goes through a binary fraction, or into another order.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object's members.
#[derive(Default)]
pub(super) struct Members(pub(super) Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
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
pub(super) enum Json {
    Object(Vec<(String, Box<RawValue>)>),
    List(Vec<Box<RawValue>>),
    /// As people read it: text without its quotes.
    Leaf(String),
}

impl Json {
    pub(super) fn of(raw: &RawValue) -> Self {
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
