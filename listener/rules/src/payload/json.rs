//! A JSON text: validated once, then read in place.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::scan::{self, Kind, Member};
use super::validate;

/// A JSON text that passed the validating pass.
#[derive(Debug, Clone)]
pub struct Json {
    /// Valid UTF-8: [`Json::validate`] looked, and [`Json::items_at`] cuts at the bounds of a value.
    text: Bytes,
    /// All members of the outermost object, where they were noted.
    members: Option<Arc<[Member]>>,
}

impl Json {
    /// The validating pass. The reason says what and where.
    pub fn validate(text: Bytes) -> Result<Self, String> {
        let members = validate::document(&text)?.map(Arc::from);
        Ok(Self { text, members })
    }

    /// A text that nobody validated. What is read of it is right if it is valid, and means nothing if it isn't.
    pub(crate) fn unvalidated(text: Bytes) -> Self {
        Self {
            text,
            members: None,
        }
    }

    /// The text as it came.
    pub fn text(&self) -> &str {
        // Checking is a tenth of a microsecond per KiB, and the price of having no `unsafe`. It can't fail, see the field.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The raw text of the value at a pointer's unescaped tokens; a token that is digits indexes an array.
    pub fn at(&self, pointer: &[String]) -> Option<&str> {
        let (Some(members), Some((first, rest))) = (&self.members, pointer.split_first()) else {
            return scan::at(self.text(), pointer);
        };
        // Of the whole text only what is looked at is checked again.
        let part = |range: &Range<usize>| std::str::from_utf8(self.text.get(range.clone())?).ok();
        let is_first =
            |member: &&Member| part(&member.key).is_some_and(|key| scan::is_key(key, first));
        scan::at(part(&members.iter().find(is_first)?.value)?, rest)
    }

    /// The value at a pointer as text: a string's content, a number or boolean as written. None for null, arrays, objects and what is missing.
    pub fn scalar_at(&self, pointer: &[String]) -> Option<String> {
        let raw = self.at(pointer)?;
        match scan::kind(raw) {
            Kind::String => Some(scan::unescape(raw).into_owned()),
            Kind::Number | Kind::Bool => Some(raw.to_owned()),
            Kind::Null | Kind::Array | Kind::Object => None,
        }
    }

    /// The elements of the array at a pointer, as slices of this text without copying. None when there is no array.
    pub fn items_at(&self, pointer: &[String]) -> Option<Vec<Json>> {
        let raw = self.at(pointer)?;
        if scan::kind(raw) != Kind::Array {
            return None;
        }
        Some(scan::elements(raw).map(|item| self.part(item)).collect())
    }

    /// A value within this text, without copying. `raw` must have been read from it.
    pub(crate) fn part(&self, raw: &str) -> Json {
        Json::unvalidated(self.text.slice_ref(raw.as_bytes()))
    }

    /// As shared bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.text
    }
}
