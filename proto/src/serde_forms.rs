//! How the values of manifest messages that have no text form of their own are written: enums and times.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// Left out when written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One module per enum: written as its proto name without the enum's prefix, in lower case.
macro_rules! enums {
    ($($module:ident: $type:ident, $prefix:literal $(, $read:ident)?;)*) => {$(
        pub(crate) mod $module {
            use super::*;
            use crate::v1::$type;

            pub(crate) fn serialize<S: Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
                let name = $type::try_from(*value).unwrap_or_default().as_str_name();
                serializer.serialize_str(&name[$prefix.len()..].to_ascii_lowercase())
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
                let text = enums!(@read deserializer $(, $read)?);
                $type::from_str_name(&format!(concat!($prefix, "{}"), text.to_ascii_uppercase()))
                    .filter(|value| *value != $type::Unspecified && text == text.to_ascii_lowercase())
                    .map(|value| value as i32)
                    .ok_or_else(|| {
                        let known: Vec<String> = (1..)
                            .map_while(|number| $type::try_from(number).ok())
                            .map(|value| value.as_str_name()[$prefix.len()..].to_ascii_lowercase())
                            .collect();
                        D::Error::custom(format!("`{text}` is none of {}", known.join(", ")))
                    })
            }
        }
    )*};
    (@read $from:ident) => { String::deserialize($from)? };
    (@read $from:ident, $read:ident) => { $read($from)? };
}

/// One of its values is called `null`, which YAML and JSON have a word for.
fn word_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Word;
    impl serde::de::Visitor<'_> for Word {
        type Value = String;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a word")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<String, E> {
            Ok("null".to_owned())
        }
    }
    deserializer.deserialize_any(Word)
}

enums! {
    confidence: Confidence, "CONFIDENCE_";
    hash_function: HashFunction, "HASH_FUNCTION_";
    body_format: BodyFormat, "BODY_FORMAT_";
    signature_algorithm: SignatureAlgorithm, "SIGNATURE_ALGORITHM_";
    public_key_format: PublicKeyFormat, "PUBLIC_KEY_FORMAT_";
    encoding: Encoding, "ENCODING_";
    time_unit: TimeUnit, "TIME_UNIT_";
    time_window: TimeWindow, "TIME_WINDOW_";
    receipt: Receipt, "RECEIPT_";
    record_operation: RecordOperation, "RECORD_OPERATION_";
    field_type: FieldType, "FIELD_TYPE_";
    on_missing: OnMissing, "ON_MISSING_", word_or_null;
    destination_state: DestinationState, "DESTINATION_STATE_";
}

pub(crate) mod timestamp {
    use super::*;
    use prost_types::Timestamp;

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(time) => serializer.serialize_str(&time.to_string()),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| {
                text.parse()
                    .map_err(|_| D::Error::custom(format!("`{text}` is no RFC 3339 time")))
            })
            .transpose()
    }
}
