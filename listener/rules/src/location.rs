//! Locations and templates: the two small languages that connector files are written in, parsed.
//!
//! Both are parsed once, when a connector is compiled, so that a callback meets no text that could turn out to be wrong.

use http::HeaderName;

/// The longest location or template, in bytes.
pub(crate) const MAX_TEXT_BYTES: usize = 512;

/// Where a value is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    Header(HeaderName),
    Query(String),
    Form(String),
    /// A pointer's unescaped tokens.
    Json(Vec<String>),
    /// In one element of the batch.
    Item(Vec<String>),
    FormJson(String, Vec<String>),
    Sig(String),
    Method,
    Url,
    Fixed(String),
}

impl Location {
    /// Reads one, or says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(format!(
                "is {} bytes long, at most {MAX_TEXT_BYTES} are taken",
                text.len()
            ));
        }
        let wrong = || {
            format!(
                "`{text}` is no location; one is header:Name, query:name, form:name, json:/pointer, item:/pointer, \
                 form:name->json:/pointer, sig:key, method, url or fixed:text"
            )
        };
        match text {
            "method" => return Ok(Self::Method),
            "url" => return Ok(Self::Url),
            _ => {}
        }
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        if rest.is_empty() && !matches!(kind, "json" | "item") {
            return Err(format!("`{text}` lacks a name after the colon"));
        }
        match kind {
            "header" => HeaderName::from_bytes(rest.as_bytes())
                .map(Self::Header)
                .map_err(|_| format!("`{rest}` can't be a header's name")),
            "query" => Ok(Self::Query(rest.to_owned())),
            "form" => match rest.split_once("->json:") {
                Some(("", _)) => Err(format!("`{text}` lacks the form field's name")),
                Some((name, at)) => Ok(Self::FormJson(name.to_owned(), pointer(at)?)),
                None => Ok(Self::Form(rest.to_owned())),
            },
            "json" => Ok(Self::Json(pointer(rest)?)),
            "item" => Ok(Self::Item(pointer(rest)?)),
            "sig" => Ok(Self::Sig(rest.to_owned())),
            "fixed" => Ok(Self::Fixed(rest.to_owned())),
            _ => Err(wrong()),
        }
    }

    /// For an operator: `header x-hub-signature-256`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Header(name) => format!("header {name}"),
            Self::Query(name) => format!("query parameter {name}"),
            Self::Form(name) => format!("form field {name}"),
            Self::Json(at) => format!("json:{}", shown(at)),
            Self::Item(at) => format!("item:{}", shown(at)),
            Self::FormJson(name, at) => format!("json:{} in form field {name}", shown(at)),
            Self::Sig(key) => format!("`{key}` of the signature header"),
            Self::Method => "the method".to_owned(),
            Self::Url => "the URL".to_owned(),
            Self::Fixed(_) => "a fixed text".to_owned(),
        }
    }
}

/// Splits a JSON pointer (RFC 6901) into unescaped tokens.
pub(crate) fn pointer(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let Some(rest) = text.strip_prefix('/') else {
        return Err(format!("the pointer `{text}` must begin with a slash"));
    };
    rest.split('/')
        .map(|token| {
            let plain = token.replace("~0", "").replace("~1", "");
            if plain.contains('~') {
                return Err(format!(
                    "in the pointer `{text}`, `~` is written `~0` and a slash in a name `~1`"
                ));
            }
            Ok(token.replace("~1", "/").replace("~0", "~"))
        })
        .collect()
}

fn shown(tokens: &[String]) -> String {
    tokens
        .iter()
        .map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1")))
        .collect()
}

/// One piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Body,
    Timestamp,
    Secret,
    UrlWithoutQuery,
    /// The URL with the query's harmless escapes undone.
    UrlUnescaped,
    Path,
    PathAndQuery,
    /// The raw query.
    RawQuery,
    SortedFormParams,
    Sha256HexBody,
    At(Location),
}

/// What is signed, or what must be equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) parts: Vec<Part>,
}

impl Template {
    /// Reads one, or says at which placeholder it is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is missing; it says what is signed, such as `{body}`".to_owned());
        }
        if text.len() > MAX_TEXT_BYTES {
            return Err(format!(
                "is {} bytes long, at most {MAX_TEXT_BYTES} are taken",
                text.len()
            ));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = rest.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(after) = rest.strip_prefix("\\n") {
                literal.push('\n');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let (name, after) = after
                    .split_once('}')
                    .ok_or_else(|| format!("`{rest}` lacks its closing brace"))?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(placeholder(name)?);
                rest = after;
            } else if first == '}' {
                return Err(
                    "has a closing brace that opens nowhere; a brace is written `}}`".to_owned(),
                );
            } else {
                literal.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// True when it has this part.
    pub(crate) fn has(&self, part: &Part) -> bool {
        self.parts.contains(part)
    }

    /// True when it holds the URL in any form, so that the group's public URL must be known.
    pub(crate) fn is_url_bound(&self) -> bool {
        self.parts.iter().any(|part| {
            matches!(
                part,
                Part::UrlWithoutQuery
                    | Part::UrlUnescaped
                    | Part::Path
                    | Part::PathAndQuery
                    | Part::At(Location::Url)
            )
        })
    }

    /// Its literal characters.
    pub(crate) fn literals(&self) -> impl Iterator<Item = char> + '_ {
        self.parts.iter().flat_map(|part| match part {
            Part::Text(text) => text.chars(),
            _ => "".chars(),
        })
    }
}

fn placeholder(name: &str) -> Result<Part, String> {
    Ok(match name {
        "body" => Part::Body,
        "timestamp" => Part::Timestamp,
        "secret" => Part::Secret,
        "url_without_query" => Part::UrlWithoutQuery,
        "url_unescaped" => Part::UrlUnescaped,
        "path" => Part::Path,
        "path_and_query" => Part::PathAndQuery,
        "query" => Part::RawQuery,
        "sorted_form_params" => Part::SortedFormParams,
        "sha256_hex(body)" => Part::Sha256HexBody,
        _ => {
            let location = Location::parse(name).map_err(|_| {
                format!(
                    "`{{{name}}}` is no placeholder; there are {{body}}, {{timestamp}}, {{method}}, {{url}}, {{url_without_query}}, {{url_unescaped}}, \
                     {{path}}, {{path_and_query}}, {{query}}, {{secret}}, {{header:Name}}, {{query:name}}, {{form:name}}, \
                     {{json:/pointer}}, {{sig:key}}, {{sorted_form_params}} and {{sha256_hex(body)}}"
                )
            })?;
            if matches!(location, Location::Item(_) | Location::Fixed(_)) {
                return Err(format!("`{{{name}}}` can't be signed"));
            }
            Part::At(location)
        }
    })
}
