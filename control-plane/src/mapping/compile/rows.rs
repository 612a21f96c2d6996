//! A field's row: where its value comes from, what is made of it, and what if there is none.

use hookplane_proto::v1::{self, FieldType, OnMissing};
use hookplane_rules::filter::{Expression, VARIABLES};

use super::{
    Compiler, Given, IN_A_LIST, IN_AN_INNER_LIST, MAX_CONVERTERS, MAX_PATTERNS, MAX_VALUE_BYTES,
    MAX_VALUES, Missing, Place, Row, Source, shown,
};
use crate::mapping::found::{Converter, Found};
use crate::mapping::path::Path;
use crate::mapping::record::Value;
use crate::mapping::typed::Typed;

impl Compiler {
    pub(super) fn row(
        &mut self,
        name: &str,
        field: &v1::FieldMapping,
        given: &Given<'_>,
        place: Place<'_>,
    ) -> Option<Row> {
        self.rows += 1;
        let typed = self.typed(field, place);
        let source = self.source(field, place);
        self.at_most(
            place.field("convert"),
            field.convert.len(),
            MAX_CONVERTERS,
            "converters",
        );
        let mut convert = Vec::new();
        for (index, name) in field.convert.iter().enumerate().take(MAX_CONVERTERS) {
            convert.extend(self.take(
                || format!("{}.convert[{index}]", place.at),
                Converter::named(name),
            ));
        }
        let values = self.values(field, &typed, place);
        let missing = self.missing(name, field, given, &typed, place);
        if name == given.key && typed.kind == FieldType::Json {
            self.error(place.field("type"), "a key is text or a number, not json");
        }
        Some(Row {
            name: name.to_owned(),
            source: source?,
            convert,
            values,
            typed,
            missing,
        })
    }

    fn source(&mut self, field: &v1::FieldMapping, place: Place<'_>) -> Option<Source> {
        match (field.from.as_str(), field.cel.as_str()) {
            ("", "") if field.default.is_some() => Some(Source::Nothing),
            ("", "") => {
                self.error(place.at, "says nothing; it has `from`, `cel`, or `default` alone for what is always the same");
                None
            }
            (from, "") => {
                let path = self.take(
                    || place.field("from"),
                    Path::parse(from, place.items, false),
                )?;
                self.reads.note(path.root.name());
                Some(Source::Path(path))
            }
            ("", cel) => {
                let variables: &[&'static str] = match place.items {
                    0 => &VARIABLES,
                    1 => &IN_A_LIST,
                    _ => &IN_AN_INNER_LIST,
                };
                if self.patterns > MAX_PATTERNS {
                    // Said of the one before, and none is compiled any more.
                    return None;
                }
                let compiled = Expression::compile(cel, variables);
                let expression = self.take(|| place.field("cel"), compiled)?;
                self.patterns += expression.patterns();
                if self.patterns > MAX_PATTERNS {
                    let message =
                        format!("has one pattern too many: a mapping has {MAX_PATTERNS} at most");
                    self.error(place.field("cel"), message);
                }
                for variable in expression.variables() {
                    self.reads.note(variable);
                }
                Some(Source::Cel(expression))
            }
            _ => {
                self.error(
                    place.field("cel"),
                    "is there beside `from`; keep one of them",
                );
                None
            }
        }
    }

    fn typed(&mut self, field: &v1::FieldMapping, place: Place<'_>) -> Typed {
        let kind = match FieldType::try_from(field.r#type) {
            Ok(FieldType::Unspecified) if !field.picklist.is_empty() => FieldType::Picklist,
            Ok(kind) => kind,
            Err(_) => {
                self.error(place.field("type"), "is unknown");
                FieldType::Unspecified
            }
        };
        let at = place.field("picklist");
        if kind != FieldType::Picklist && !field.picklist.is_empty() {
            self.error(at.clone(), "is for the type picklist");
        }
        self.at_most(at.clone(), field.picklist.len(), MAX_VALUES, "values");
        if field
            .picklist
            .iter()
            .any(|value| value.len() > MAX_VALUE_BYTES)
        {
            self.error(
                at,
                format!("has a value of more than {MAX_VALUE_BYTES} bytes"),
            );
        }
        let mut picklist: Vec<String> = field.picklist.iter().take(MAX_VALUES).cloned().collect();
        picklist.sort_unstable();
        Typed {
            kind,
            picklist,
            several: field.convert.iter().any(|name| name == "join-semicolon"),
        }
    }

    fn values(
        &mut self,
        field: &v1::FieldMapping,
        typed: &Typed,
        place: Place<'_>,
    ) -> Vec<(String, String)> {
        let at = place.field("values");
        self.at_most(at.clone(), field.values.len(), MAX_VALUES, "values");
        for (from, to) in field.values.iter().take(MAX_VALUES) {
            if from.len().max(to.len()) > MAX_VALUE_BYTES {
                self.error(
                    at.clone(),
                    format!("has a value of more than {MAX_VALUE_BYTES} bytes"),
                );
            } else if let Err(reason) = typed.value(Found::Text(to.as_str().into())) {
                self.error(at.clone(), format!("of `{}`: {reason}", shown(from)));
            }
        }
        let values = field.values.iter().take(MAX_VALUES);
        values
            .map(|(from, to)| (from.clone(), to.clone()))
            .collect()
    }

    fn missing(
        &mut self,
        name: &str,
        field: &v1::FieldMapping,
        given: &Given<'_>,
        typed: &Typed,
        place: Place<'_>,
    ) -> Missing {
        let at = place.field("onMissing");
        let is_key = name == given.key;
        let said = match OnMissing::try_from(field.on_missing) {
            Ok(said) => said,
            Err(_) => {
                self.error(at.clone(), "is unknown; it is omit, null, default or fail");
                OnMissing::Unspecified
            }
        };
        let default = self.default_of(field, typed, place);
        match said {
            OnMissing::Unspecified | OnMissing::Default => match default {
                Some(value) => Missing::Default(value),
                None if said == OnMissing::Default && field.default.is_none() => {
                    self.error(at, "is default, and there is no `default`");
                    Missing::Fail
                }
                None if is_key => Missing::Fail,
                None => Missing::Omit,
            },
            other => {
                if field.default.is_some() {
                    let name = other
                        .as_str_name()
                        .trim_start_matches("ON_MISSING_")
                        .to_ascii_lowercase();
                    self.error(
                        place.field("default"),
                        format!("is never taken with onMissing: {name}"),
                    );
                }
                match other {
                    OnMissing::Fail => Missing::Fail,
                    OnMissing::Omit if !is_key || given.may_be_missing => Missing::Omit,
                    OnMissing::Null if !is_key => Missing::Null,
                    _ => {
                        let but = match given.may_be_missing {
                            true => "; with omit the record goes without this parent",
                            false => "",
                        };
                        self.error(at, format!("a key can't go without a value: leave this out, or say fail or default{but}"));
                        Missing::Fail
                    }
                }
            }
        }
    }

    /// As the field takes it.
    fn default_of(
        &mut self,
        field: &v1::FieldMapping,
        typed: &Typed,
        place: Place<'_>,
    ) -> Option<Value> {
        let default = field.default.as_deref()?;
        let at = || place.field("default");
        if default.len() > MAX_VALUE_BYTES {
            let message = format!(
                "is {} bytes long, at most {MAX_VALUE_BYTES} are taken",
                default.len()
            );
            self.error(at(), message);
            return None;
        }
        match typed.value(Found::Text(default.into())) {
            Ok(Some(value)) => Some(value),
            Ok(None) => {
                self.error(at(), "is empty, and the field's type has no such value; onMissing: null empties a field");
                None
            }
            Err(reason) => {
                self.error(at(), reason);
                None
            }
        }
    }
}
