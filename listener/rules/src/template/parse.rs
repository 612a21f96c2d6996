//! Reading a template's text.

use super::{Filter, Filtered, Part, Template, Use};
use crate::canonical::Canonical;
use crate::location::Location;

/// The longest template of what is signed, in bytes.
const MAX_TEMPLATE_BYTES: usize = 2_048;
/// The longest template of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 4_096;
/// Filters of one placeholder.
const MAX_FILTERS: usize = 4;

pub(super) fn template(text: &str, purpose: Use) -> Result<Template, String> {
    if text.is_empty() {
        return Err("is missing; it says what is signed, such as `{body}`".to_owned());
    }
    let most = match purpose {
        Use::Signed | Use::Key | Use::Challenge => MAX_TEMPLATE_BYTES,
        Use::Reply | Use::Text => MAX_ANSWER_BYTES,
    };
    if text.len() > most {
        return Err(format!(
            "is {} bytes long, at most {most} are taken",
            text.len()
        ));
    }
    let mut made = Made::default();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("{{") {
            made.literal.push('{');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("}}") {
            made.literal.push('}');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("\\n") {
            made.literal.push('\n');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("[[") {
            made.open()?;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("]]") {
            made.close()?;
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("`{rest}` lacks its closing brace"))?;
            made.push(filtered(name, purpose)?);
            rest = after;
        } else if first == '}' {
            return Err(
                "has a closing brace that opens nowhere; a brace is written `}}`".to_owned(),
            );
        } else {
            made.literal.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    made.finish()
}

/// What has been read so far.
#[derive(Default)]
struct Made {
    parts: Vec<Part>,
    /// The parts before an optional one that is open.
    outside: Option<Vec<Part>>,
    literal: String,
}

impl Made {
    fn push(&mut self, part: Part) {
        self.flush();
        self.parts.push(part);
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.parts
                .push(Part::Text(std::mem::take(&mut self.literal)));
        }
    }

    fn open(&mut self) -> Result<(), String> {
        self.flush();
        match self.outside {
            Some(_) => Err("has `[[` within `[[`; optional parts stand side by side".to_owned()),
            None => {
                self.outside = Some(std::mem::take(&mut self.parts));
                Ok(())
            }
        }
    }

    fn close(&mut self) -> Result<(), String> {
        self.flush();
        let outside = self
            .outside
            .take()
            .ok_or("has `]]` that opens nowhere; an optional part is written `[[...]]`")?;
        let inner = std::mem::replace(&mut self.parts, outside);
        if inner.iter().all(|part| matches!(part, Part::Text(_))) {
            return Err(
                "has an optional part without a placeholder, which would never be left out"
                    .to_owned(),
            );
        }
        self.parts.push(Part::Optional(inner));
        Ok(())
    }

    fn finish(mut self) -> Result<Template, String> {
        self.flush();
        match self.outside {
            Some(_) => Err("has `[[` without its `]]`".to_owned()),
            None => Ok(Template { parts: self.parts }),
        }
    }
}

fn filtered(text: &str, purpose: Use) -> Result<Part, String> {
    let mut pieces = text.split('|');
    let part = placeholder(pieces.next().unwrap_or_default(), purpose)?;
    let filters = pieces.map(Filter::parse).collect::<Result<Vec<_>, _>>()?;
    if filters.len() > MAX_FILTERS {
        return Err(format!(
            "`{{{text}}}` has {} filters, at most {MAX_FILTERS} are taken",
            filters.len()
        ));
    }
    Ok(match filters.is_empty() {
        true => part,
        false => Part::Filtered(Box::new(Filtered { part, filters })),
    })
}

fn placeholder(name: &str, purpose: Use) -> Result<Part, String> {
    let part = match name {
        "body" => Part::Body,
        "timestamp" => Part::Timestamp,
        "secret" => Part::Secret,
        "url_without_query" => Part::UrlWithoutQuery,
        "url_unescaped" => Part::UrlUnescaped,
        "path" => Part::Path,
        "path_and_query" => Part::PathAndQuery,
        "query" => Part::RawQuery,
        "sorted_form_params" => Part::SortedFormParams,
        "challenge" => Part::Challenge,
        "mac" => Part::Mac,
        _ => match name.strip_prefix("canonical:") {
            Some(form) => Part::Canonical(Canonical::parse(form)?),
            None => location(name)?,
        },
    };
    let is_of_item = |location: &Location| location.is_of_item();
    let fits = match (&part, purpose) {
        (Part::Secret, Use::Signed | Use::Key | Use::Challenge) => true,
        (Part::At(Location::Param(_)), _) => true,
        (_, Use::Key) => false,
        (Part::Secret, _) => false,
        (Part::Challenge, Use::Challenge | Use::Reply) | (Part::Mac, Use::Reply) => true,
        (Part::Challenge | Part::Mac, _) => false,
        (Part::Canonical(_), purpose) => purpose == Use::Signed,
        (Part::At(location) | Part::IfThere(location), _) => {
            !is_of_item(location) && !matches!(location.base(), Location::Fixed(_))
        }
        _ => true,
    };
    if fits {
        Ok(part)
    } else {
        Err(format!("`{{{name}}}` {}", purpose.refusal()))
    }
}

fn location(name: &str) -> Result<Part, String> {
    let (text, may_be_absent) = match name.strip_suffix('?') {
        Some(text) => (text, true),
        None => (name, false),
    };
    let location = Location::parse(text).map_err(|_| {
        format!(
            "`{{{name}}}` is no placeholder; there are {{body}}, {{timestamp}}, {{method}}, {{url}}, {{url_without_query}}, {{url_unescaped}}, \
             {{path}}, {{path_and_query}}, {{query}}, {{secret}}, {{header:Name}}, {{query:name}}, {{form:name}}, {{json:/pointer}}, \
             {{raw:/pointer}}, {{param:name}}, {{sig:key}}, {{canonical:name}} and {{sorted_form_params}}"
        )
    })?;
    Ok(match (location, may_be_absent) {
        // A body that isn't there is empty.
        (Location::Body, _) => Part::Body,
        (location, true) => Part::IfThere(location),
        (location, false) => Part::At(location),
    })
}

impl Use {
    fn refusal(self) -> &'static str {
        match self {
            Self::Signed => "can't be signed",
            Self::Key => "can't be in a key; that is made of {secret} and {param:name}",
            Self::Challenge => "can't be hashed with a challenge",
            Self::Reply => "can't be answered",
            Self::Text => "can't be here",
        }
    }
}
