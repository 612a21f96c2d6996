//! From the tree into the wire's messages, through their serde forms. Errors carry the field's path and place.

use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::ManifestError;
use super::tree::{Entry, Node, Place, Value};

/// Reads a node that stands at `path`.
pub(super) fn decode<T: DeserializeOwned>(node: &Node, path: &str) -> Result<T, ManifestError> {
    T::deserialize(Source(node)).map_err(|error| {
        let place = error.place.unwrap_or(node.place);
        ManifestError::at(place, format!("{path}{}: {}", error.path, error.message))
    })
}

/// An error on its way up: the innermost place wins, every level adds its step.
#[derive(Debug)]
struct Error {
    place: Option<Place>,
    path: String,
    message: String,
}

impl Error {
    fn below(mut self, step: &str, place: Place) -> Self {
        self.path.insert_str(0, step);
        self.place.get_or_insert(place);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            place: None,
            path: String::new(),
            message: message.to_string(),
        }
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        let known: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
        Self::custom(if known.is_empty() {
            "unknown field; none is known here".to_owned()
        } else {
            format!("unknown field; known are {}", known.join(", "))
        })
    }
}

fn wrong(node: &Node, expected: &str) -> Error {
    Error {
        place: Some(node.place),
        path: String::new(),
        message: if node.is_null() {
            format!("has no value; give it {expected} or leave it out")
        } else {
            format!("expected {expected}, found {}", node.found())
        },
    }
}

fn plain(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, plain: true } => Some(text),
        _ => None,
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match plain(self.0).and_then(|text| text.parse::<$type>().ok()) {
                Some(number) => visitor.$visit(number),
                None => Err(wrong(self.0, &format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX))),
            }
        }
    )*};
}

/// A node, to be read from.
struct Source<'a>(&'a Node);

impl<'de> Deserializer<'de> for Source<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Scalar { text, .. } => visitor.visit_str(text),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match plain(self.0) {
            Some("true") => visitor.visit_bool(true),
            Some("false") => visitor.visit_bool(false),
            _ => Err(wrong(self.0, "`true` or `false`")),
        }
    }

    whole_numbers! {
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
    }

    // A field that is text takes what is written: `no`, `1.10` and `012` mean themselves.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Scalar { text, .. } if !self.0.is_null() => visitor.visit_str(text),
            _ => Err(wrong(self.0, "text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::List(list) => visitor.visit_seq(Items {
                rest: list.iter().enumerate(),
            }),
            _ => Err(wrong(self.0, "a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Map(entries) => visitor.visit_map(Fields {
                rest: entries.iter(),
                value: None,
            }),
            _ => Err(wrong(self.0, "a mapping (`{}` for an empty one)")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple
        tuple_struct enum identifier
    }
}

struct Items<'a> {
    rest: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some((index, node)) = self.rest.next() else {
            return Ok(None);
        };
        seed.deserialize(Source(node))
            .map(Some)
            .map_err(|error| error.below(&format!("[{index}]"), node.place))
    }
}

struct Fields<'a> {
    rest: std::slice::Iter<'a, Entry>,
    value: Option<&'a Entry>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(entry) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(entry);
        seed.deserialize(serde::de::value::StrDeserializer::<Error>::new(&entry.key))
            .map(Some)
            .map_err(|error| error.below(&format!(".{}", entry.key), entry.place))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some(entry) = self.value.take() else {
            return Err(serde::de::Error::custom("value before key"));
        };
        seed.deserialize(Source(&entry.node))
            .map_err(|error| error.below(&format!(".{}", entry.key), entry.node.place))
    }
}
