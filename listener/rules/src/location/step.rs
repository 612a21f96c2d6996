//! Steps of a location: what is done with the text that is found there.

use std::borrow::Cow;
use std::fmt;

use super::{plain_pointer, shown};
use crate::encoding;
use crate::payload::{Json, xml};
use crate::request::Missing;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The text is JSON, and the value is at this pointer.
    Json(Vec<String>),
    /// The text is XML, and the value is at this pointer of the JSON that it reads as.
    Xml(Vec<String>),
    /// Base64 of either alphabet.
    Base64,
    /// Percent-decoded; a plus is a plus.
    Url,
    /// ASCII letters in lower case.
    Lower,
}

impl Step {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("json", at)) => plain_pointer(at).map(Self::Json),
            Some(("xml", at)) => plain_pointer(at).map(Self::Xml),
            None if text == "base64" => Ok(Self::Base64),
            None if text == "url" => Ok(Self::Url),
            None if text == "lower" => Ok(Self::Lower),
            _ => Err(format!(
                "`->{text}` is no step; there are ->json:/pointer, ->xml:/pointer, ->base64, ->url and ->lower"
            )),
        }
    }

    /// What is made of a text.
    pub(crate) fn apply<'a>(&self, found: Cow<'a, str>) -> Result<Cow<'a, str>, Missing> {
        match self {
            Self::Json(at) => {
                let json =
                    Json::validate(found.into_owned().into()).map_err(Missing::Undecodable)?;
                json.scalar_at(at).map(Cow::Owned).ok_or(Missing::Absent)
            }
            Self::Xml(at) => {
                let json = xml(&found).map_err(Missing::Undecodable)?;
                json.scalar_at(at).map(Cow::Owned).ok_or(Missing::Absent)
            }
            Self::Base64 => encoding::any_base64(&found)
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .map(Cow::Owned)
                .ok_or(Missing::Unreadable),
            Self::Url if !found.contains('%') => Ok(found),
            Self::Url => encoding::percent_decode(&found)
                .map(Cow::Owned)
                .ok_or(Missing::Unreadable),
            Self::Lower if !found.bytes().any(|b| b.is_ascii_uppercase()) => Ok(found),
            Self::Lower => Ok(Cow::Owned(found.to_ascii_lowercase())),
        }
    }
}

/// As a connector file writes it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(at) => write!(f, "json:{}", shown(at)),
            Self::Xml(at) => write!(f, "xml:{}", shown(at)),
            Self::Base64 => f.write_str("base64"),
            Self::Url => f.write_str("url"),
            Self::Lower => f.write_str("lower"),
        }
    }
}
