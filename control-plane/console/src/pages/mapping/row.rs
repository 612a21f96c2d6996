//! One row of an object: where a field's value comes from, in the texts of a form.

use hookplane_proto::v1;

use super::lines::{lines, picklist, quoted, value_map};
use crate::weight;

/// No number of theirs: the API says what there is.
pub(super) const UNKNOWN: i32 = 99;

/// Where a field's value comes from, in the words of the form.
/// What goes along packed has all of its texts, empty ones too: so what a row takes in memory is in proportion to what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Row {
    pub(super) name: String,
    /// `path`, `cel`, `fixed`.
    pub(super) how: String,
    /// The path or the expression.
    pub(super) from: String,
    pub(super) kind: String,
    /// `omit`, `null`, `default`, `fail`; `empty` takes an empty text; nothing is as usual.
    pub(super) missing: String,
    pub(super) default: String,
    pub(super) convert: String,
    /// A line each: `paid = Closed Won`.
    pub(super) values: String,
    /// A line each.
    pub(super) picklist: String,
    /// Of a form: the cursor goes there.
    #[serde(skip)]
    pub(super) new: bool,
}

impl Row {
    pub(super) fn blank() -> Self {
        Self {
            how: "path".to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn is_blank(&self) -> bool {
        self.name.is_empty() && self.from.is_empty() && self.default.is_empty()
    }

    pub(super) fn of(name: &str, field: &v1::FieldMapping) -> Self {
        let (how, from) = match (field.cel.as_str(), field.from.as_str()) {
            ("", "") => ("fixed", ""),
            ("", from) => ("path", from),
            (cel, _) => ("cel", cel),
        };
        let missing = word(field.on_missing().as_str_name(), "ON_MISSING_");
        // An empty default is told apart from none.
        let empty = how != "fixed" && missing.is_empty() && field.default.as_deref() == Some("");
        let values = field.values.iter();
        let values = values.map(|(from, to)| format!("{} = {}", quoted(from), quoted(to)));
        Self {
            name: name.to_owned(),
            how: how.to_owned(),
            from: from.to_owned(),
            kind: word(field.r#type().as_str_name(), "FIELD_TYPE_"),
            missing: if empty { "empty".to_owned() } else { missing },
            default: field.default.clone().unwrap_or_default(),
            convert: field.convert.join(", "),
            values: values.collect::<Vec<_>>().join("\n"),
            picklist: lines(field.picklist.iter()),
            new: false,
        }
    }

    /// As the API takes it.
    pub(super) fn field(&self) -> Result<v1::FieldMapping, String> {
        let fixed = self.how == "fixed";
        let has_default = fixed
            || !self.default.is_empty()
            || matches!(self.missing.as_str(), "empty" | "default");
        let (from, cel) = match self.how.as_str() {
            "cel" => (String::new(), self.from.clone()),
            "fixed" => Default::default(),
            _ => (self.from.clone(), String::new()),
        };
        let kind = format!("FIELD_TYPE_{}", self.kind.to_ascii_uppercase());
        let missing = format!("ON_MISSING_{}", self.missing.to_ascii_uppercase());
        Ok(v1::FieldMapping {
            from,
            cel,
            r#type: match self.kind.as_str() {
                "" => 0,
                _ => v1::FieldType::from_str_name(&kind).map_or(UNKNOWN, i32::from),
            },
            default: has_default.then(|| self.default.clone()),
            on_missing: match self.missing.as_str() {
                "" | "empty" => 0,
                _ => v1::OnMissing::from_str_name(&missing).map_or(UNKNOWN, i32::from),
            },
            convert: self
                .convert
                .split([',', ' ', '\n', '\r', '\t'])
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            values: value_map(&self.values)?,
            picklist: picklist(&self.picklist)?,
        })
    }

    /// Of its texts, in a page.
    pub(super) fn weight(&self) -> usize {
        let texts = [
            &self.name,
            &self.from,
            &self.default,
            &self.convert,
            &self.values,
            &self.picklist,
        ];
        // The name stands there twice.
        weight::of(&self.name) + texts.map(|text| weight::of(text)).iter().sum::<usize>()
    }

    /// Something that a row shows only when it is asked to.
    pub(super) fn has_more(&self) -> bool {
        !(self.convert.is_empty() && self.values.is_empty() && self.picklist.is_empty())
    }
}

/// `upsert` of `RECORD_OPERATION_UPSERT`; empty of what is unspecified.
pub(super) fn word(name: &str, prefix: &str) -> String {
    match name.strip_prefix(prefix).unwrap_or(name) {
        "UNSPECIFIED" => String::new(),
        name => name.to_ascii_lowercase(),
    }
}
