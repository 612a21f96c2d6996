//! Filling a template in, piece by piece: the body is handed on where it lies, never copied for it.

use std::collections::BTreeMap;

use hookplane_proto::v1::PayloadFormat;

use super::{Filter, Filtered, Part, Template};
use crate::payload::Payload;
use crate::request::{Around, Missing, Request, path_of, with_query};
use crate::verify::url;

/// Why a template can't be filled in: what is missing, and in words for an operator.
type Unfilled = (Missing, String);

impl Request {
    /// Hands a template's bytes to `sink`, piece by piece.
    pub(crate) fn render(
        &self,
        template: &Template,
        around: Around<'_>,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Unfilled> {
        template
            .parts
            .iter()
            .try_for_each(|part| self.part(part, around, sink))
    }

    /// A template's bytes as a whole, for short ones.
    pub(crate) fn rendered(
        &self,
        template: &Template,
        around: Around<'_>,
    ) -> Result<Vec<u8>, Unfilled> {
        let mut bytes = Vec::new();
        self.render(template, around, &mut |more| bytes.extend_from_slice(more))?;
        Ok(bytes)
    }

    fn part(
        &self,
        part: &Part,
        around: Around<'_>,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Unfilled> {
        let absent = |what: &str| (Missing::Absent, format!("{what} is not known"));
        let url = || around.url.ok_or_else(|| absent("the callback URL"));
        match part {
            Part::Text(text) => sink(text.as_bytes()),
            Part::Body => sink(&self.callback.body),
            Part::Timestamp => {
                let time = around.timestamp.ok_or_else(|| absent("the timestamp"))?;
                sink(time.as_bytes());
            }
            Part::Secret => sink(around.secret.ok_or_else(|| absent("the secret"))?),
            Part::Challenge => {
                let text = around.challenge.ok_or_else(|| absent("the challenge"))?;
                sink(text.as_bytes());
            }
            Part::Mac => {
                let text = around
                    .mac
                    .ok_or_else(|| absent("the MAC of the challenge"))?;
                sink(text.as_bytes());
            }
            Part::UrlWithoutQuery => sink(url()?.as_bytes()),
            Part::UrlUnescaped => {
                let url = with_query(url()?, &self.callback.query);
                sink(url::unescaped(&url).as_bytes());
            }
            Part::Path => sink(path_of(url()?).as_bytes()),
            Part::PathAndQuery => {
                sink(with_query(path_of(url()?), &self.callback.query).as_bytes());
            }
            Part::RawQuery => sink(self.callback.query.as_bytes()),
            Part::SortedFormParams => self.sorted_form_params(sink)?,
            Part::Canonical(form) => form.write(self, around, sink)?,
            Part::At(location) => match self.read(location, around) {
                Ok(value) => sink(value.as_bytes()),
                Err(missing) => {
                    let why = missing.explain(location);
                    return Err((missing, why));
                }
            },
            Part::IfThere(location) => match self.read(location, around) {
                Ok(value) => sink(value.as_bytes()),
                // It would be left out of what is signed.
                Err(Missing::Absent) if !self.has_structure(location.base(), around) => {}
                Err(missing) => {
                    let why = missing.explain(location);
                    return Err((missing, why));
                }
            },
            Part::Filtered(filtered) => self.filtered(filtered, around, sink)?,
            Part::Optional(parts) => {
                for part in parts {
                    if !self.has_value(part, around)? {
                        return Ok(());
                    }
                }
                for part in parts {
                    self.part(part, around, sink)?;
                }
            }
        }
        Ok(())
    }

    fn filtered(
        &self,
        filtered: &Filtered,
        around: Around<'_>,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Unfilled> {
        let Filtered { part, filters } = filtered;
        let mut rest: &[Filter] = filters;
        let mut bytes = Vec::new();
        match filters.first().and_then(|first| first.start()) {
            Some(mut state) => {
                rest = &filters[1..];
                self.part(part, around, &mut |piece| state.update(piece))?;
                bytes = state.finish();
            }
            None => self.part(part, around, &mut |piece| bytes.extend_from_slice(piece))?,
        }
        for filter in rest {
            bytes = filter.apply(bytes).map_err(|why| {
                let reason = format!("what is signed can't be put together: {why}");
                (Missing::Unreadable, reason)
            })?;
        }
        sink(&bytes);
        Ok(())
    }

    /// Whether an optional part is kept for this one.
    fn has_value(&self, part: &Part, around: Around<'_>) -> Result<bool, Unfilled> {
        Ok(match part {
            Part::Body | Part::SortedFormParams => !self.callback.body.is_empty(),
            Part::RawQuery => !self.callback.query.is_empty(),
            Part::Timestamp => around.timestamp.is_some(),
            Part::Challenge => around.challenge.is_some(),
            Part::Mac => around.mac.is_some(),
            Part::At(location) => match self.read(location, around) {
                Ok(_) => true,
                Err(Missing::Absent) => false,
                Err(missing) => {
                    let why = missing.explain(location);
                    return Err((missing, why));
                }
            },
            Part::Filtered(filtered) => self.has_value(&filtered.part, around)?,
            _ => true,
        })
    }

    /// Names and values, in order of the names, without separators; of a name's values each once, in their order.
    fn sorted_form_params(&self, sink: &mut dyn FnMut(&[u8])) -> Result<(), Unfilled> {
        if self.callback.body.is_empty() {
            return Ok(());
        }
        for (name, values) in self.form_fields()? {
            let mut values: Vec<&str> = values.iter().map(String::as_str).collect();
            values.sort_unstable();
            values.dedup();
            for value in values {
                sink(name.as_bytes());
                sink(value.as_bytes());
            }
        }
        Ok(())
    }

    /// The fields of a body that is a form. A body that is none would be left out of what is signed, and could then be anything.
    pub(crate) fn form_fields(&self) -> Result<&BTreeMap<String, Vec<String>>, Unfilled> {
        match self.payload() {
            // Its files are in no field, so they would be left out of what is signed.
            _ if self.format() == PayloadFormat::Multipart => Err(undecodable(
                "it is multipart, and what is signed are the fields of a plain form",
            )),
            Payload::Form(fields) | Payload::FormJson(fields, _) => Ok(fields),
            Payload::Json(_) => Err(undecodable(
                "it is JSON, and what is signed are form fields",
            )),
            Payload::Opaque(why) => Err(undecodable(why)),
        }
    }
}

fn undecodable(why: &str) -> Unfilled {
    (
        Missing::Undecodable(why.to_owned()),
        format!("the body can't be read as a form: {why}"),
    )
}
