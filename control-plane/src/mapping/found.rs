//! A value on its way from the event to a field: as it was found, and what converters make of it.

use std::borrow::Cow;

use hookplane_rules::payload::{Kind, elements, kind, unescape};

use super::path::{Units, pay};
use super::{number, time};

/// Of a value that an error shows, in characters.
const SHOWN_CHARS: usize = 40;

/// A value that is there.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found<'e> {
    Text(Cow<'e, str>),
    /// As it is written.
    Number(Cow<'e, str>),
    Boolean(bool),
    /// JSON text.
    List(Cow<'e, str>),
    /// JSON text.
    Object(Cow<'e, str>),
}

impl<'e> Found<'e> {
    /// Of valid JSON. None for null.
    pub(super) fn of(raw: Cow<'e, str>) -> Option<Self> {
        Some(match kind(&raw) {
            Kind::Null => return None,
            Kind::Bool => Self::Boolean(raw.trim() == "true"),
            Kind::Number => Self::Number(trimmed(raw)),
            Kind::String => Self::Text(match raw {
                Cow::Borrowed(raw) => unescape(raw),
                Cow::Owned(raw) => Cow::Owned(unescape(&raw).into_owned()),
            }),
            Kind::Array => Self::List(trimmed(raw)),
            Kind::Object => Self::Object(trimmed(raw)),
        })
    }

    /// In bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Number(text) | Self::List(text) | Self::Object(text) => {
                text.len()
            }
            Self::Boolean(_) => 1,
        }
    }

    /// For an error.
    pub(super) fn shown(&self) -> String {
        let (before, text, after) = match self {
            Self::Text(text) => ("`", &**text, "`"),
            Self::Number(text) => ("`", &**text, "`"),
            Self::Boolean(true) => ("", "`true`", ""),
            Self::Boolean(false) => ("", "`false`", ""),
            Self::List(_) => ("", "a list", ""),
            Self::Object(_) => ("", "an object", ""),
        };
        match text.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => format!("{before}{}…{after}", &text[..end]),
            None => format!("{before}{text}{after}"),
        }
    }

    /// Text, a number or a boolean as text. None for lists and objects.
    pub(super) fn into_text(self) -> Result<Cow<'e, str>, Self> {
        match self {
            // The same id may be written in both ways.
            Self::Number(digits) if digits.contains(['e', 'E']) => {
                Ok(number::exact(&digits).map_or(digits, Cow::Owned))
            }
            Self::Text(text) | Self::Number(text) => Ok(text),
            Self::Boolean(value) => Ok(Cow::Borrowed(if value { "true" } else { "false" })),
            other => Err(other),
        }
    }
}

fn trimmed(raw: Cow<'_, str>) -> Cow<'_, str> {
    match raw {
        Cow::Borrowed(raw) => Cow::Borrowed(raw.trim()),
        Cow::Owned(raw) => Cow::Owned(raw.trim().to_owned()),
    }
}

/// What is done with a value before it is given a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Converter {
    Trim,
    Lower,
    Upper,
    UnixSeconds,
    UnixMilliseconds,
    Cents,
    First,
    Last,
    JoinSemicolon,
    JoinComma,
    Phone,
    BeforeSeparator,
    AfterSeparator,
}

const CONVERTERS: [(&str, Converter); 13] = [
    ("trim", Converter::Trim),
    ("lower", Converter::Lower),
    ("upper", Converter::Upper),
    ("unix-seconds", Converter::UnixSeconds),
    ("unix-milliseconds", Converter::UnixMilliseconds),
    ("cents", Converter::Cents),
    ("first", Converter::First),
    ("last", Converter::Last),
    ("join-semicolon", Converter::JoinSemicolon),
    ("join-comma", Converter::JoinComma),
    ("phone", Converter::Phone),
    ("before-separator", Converter::BeforeSeparator),
    ("after-separator", Converter::AfterSeparator),
];

const SEPARATORS: [char; 3] = ['@', ':', '/'];

impl Converter {
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let known = CONVERTERS.iter().find(|(known, _)| *known == name);
        known.map(|(_, converter)| *converter).ok_or_else(|| {
            let names: Vec<_> = CONVERTERS.iter().map(|(name, _)| *name).collect();
            format!("`{name}` is no converter; there are {}", names.join(", "))
        })
    }

    fn name(self) -> &'static str {
        let known = CONVERTERS.iter().find(|(_, converter)| *converter == self);
        known.map_or("", |(name, _)| name)
    }

    pub(super) fn is_of_a_list(self) -> bool {
        matches!(
            self,
            Self::First | Self::Last | Self::JoinSemicolon | Self::JoinComma
        )
    }

    /// None where nothing is left: the first of an empty list, what is after a separator that isn't there.
    pub(super) fn apply<'e>(
        self,
        value: Found<'e>,
        units: &mut Units,
    ) -> Result<Option<Found<'e>>, String> {
        let text = |value: Found<'e>| {
            value
                .into_text()
                .map_err(|value| format!("is {}, and {} is of text", value.shown(), self.name()))
        };
        let made = |text: String| Ok(Some(Found::Text(Cow::Owned(text))));
        match self {
            Self::Trim => Ok(Some(Found::Text(match text(value)? {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            }))),
            Self::Lower => made(text(value)?.to_lowercase()),
            Self::Upper => made(text(value)?.to_uppercase()),
            Self::UnixSeconds => made(self.since_1970(value, 3)?),
            Self::UnixMilliseconds => made(self.since_1970(value, 0)?),
            Self::Cents => match number_of(&value).and_then(|text| number::scaled(text, -2)) {
                Some(amount) => Ok(Some(Found::Number(Cow::Owned(amount)))),
                None => Err(format!("{} is no number of hundredths", value.shown())),
            },
            Self::First | Self::Last => {
                let items = self.items(&value, units)?;
                let item = match self {
                    Self::First => items.first(),
                    _ => items.last(),
                };
                Ok(item.and_then(|raw| Found::of(Cow::Owned((*raw).to_owned()))))
            }
            Self::JoinSemicolon | Self::JoinComma => {
                let mut texts = Vec::new();
                for raw in self.items(&value, units)? {
                    // A null says nothing.
                    let Some(item) = Found::of(Cow::Borrowed(raw)) else {
                        continue;
                    };
                    texts.push(item.into_text().map_err(|item| {
                        format!(
                            "has {} in it, and {} is of texts",
                            item.shown(),
                            self.name()
                        )
                    })?);
                }
                made(texts.join(match self {
                    Self::JoinSemicolon => ";",
                    _ => ", ",
                }))
            }
            Self::Phone => {
                let text = text(value)?;
                let plus = text.trim_start().starts_with('+').then_some('+');
                let digits = text.chars().filter(char::is_ascii_digit);
                made(plus.into_iter().chain(digits).collect())
            }
            Self::BeforeSeparator => {
                let text = text(value)?;
                let end = text.find(SEPARATORS).unwrap_or(text.len());
                made(text[..end].to_owned())
            }
            Self::AfterSeparator => {
                let text = text(value)?;
                match text.split_once(SEPARATORS) {
                    Some((_, after)) => made(after.to_owned()),
                    None => Ok(None),
                }
            }
        }
    }

    fn since_1970(self, value: Found<'_>, power: i64) -> Result<String, String> {
        number_of(&value)
            .and_then(|text| number::scaled(text, power))
            .and_then(|millis| time::from_millis(number::floor(&millis)?))
            .ok_or_else(|| {
                format!(
                    "{} is no time since 1970, as {} takes it",
                    value.shown(),
                    self.name()
                )
            })
    }

    fn items<'v>(self, value: &'v Found<'_>, units: &mut Units) -> Result<Vec<&'v str>, String> {
        let Found::List(raw) = value else {
            return Err(format!(
                "is {}, and {} is of a list",
                value.shown(),
                self.name()
            ));
        };
        if !pay(units, raw.len()) {
            return Err(super::apply::too_much());
        }
        Ok(elements(raw).collect())
    }
}

fn number_of<'v>(value: &'v Found<'_>) -> Option<&'v str> {
    match value {
        Found::Number(text) | Found::Text(text) => Some(text),
        _ => None,
    }
}
