//! Locations: where a value is read, as connector files write it, parsed.
//!
//! ```text
//!  form:payload ->base64 ->json:/user/id
//!  └── base ──┘ └─────── steps ────────┘   each step is applied to the text before it
//! ```
//!
//! Parsed once, when a connector is compiled, so that a callback meets no text that could turn out to be wrong.

mod pattern;
mod step;

use http::HeaderName;

pub(crate) use pattern::{Entered, Pattern, PatternPart};
pub(crate) use step::Step;

/// The longest location, in bytes.
const MAX_LOCATION_BYTES: usize = 512;
/// Steps of one location.
const MAX_STEPS: usize = 6;

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
    /// In what the batch's last wildcard stepped into.
    Parent(Vec<String>),
    /// The member's name that the batch's last wildcard stands for.
    Key,
    /// The JSON text at a pointer, as posted.
    Raw(Vec<String>),
    /// A parameter of the group.
    Param(String),
    Sig(String),
    /// A claim of the verified token.
    Jwt(Vec<String>),
    /// A field of its header.
    Jws(Vec<String>),
    Method,
    Url,
    Body,
    Fixed(String),
    /// Boxed: few have steps, and there are many locations.
    Stepped(Box<Stepped>),
}

/// A location and what is done with the text that is found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stepped {
    /// Without steps of its own.
    pub(crate) base: Location,
    /// One or more.
    pub(crate) steps: Vec<Step>,
}

impl Location {
    /// Reads one, or says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LOCATION_BYTES {
            return Err(format!(
                "is {} bytes long, at most {MAX_LOCATION_BYTES} are taken",
                text.len()
            ));
        }
        let mut pieces = text.split("->");
        let base = Self::base_of(pieces.next().unwrap_or_default())?;
        let steps = pieces.map(Step::parse).collect::<Result<Vec<_>, _>>()?;
        if steps.len() > MAX_STEPS {
            return Err(format!(
                "has {} steps, at most {MAX_STEPS} are taken",
                steps.len()
            ));
        }
        Ok(base.stepped(steps))
    }

    fn base_of(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no location; one is header:Name, query:name, form:name, json:/pointer, item:/pointer, \
                 parent:/pointer, key:, raw:/pointer, param:name, sig:key, jwt:/claim, jws:/field, method, url, body or fixed:text, and may have \
                 steps: ->json:/pointer, ->xml:/pointer, ->base64, ->url, ->lower"
            )
        };
        match text {
            "method" => return Ok(Self::Method),
            "url" => return Ok(Self::Url),
            "body" => return Ok(Self::Body),
            "key:" => return Ok(Self::Key),
            _ => {}
        }
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        if rest.is_empty() && !matches!(kind, "json" | "item" | "parent" | "raw" | "jwt" | "jws") {
            return Err(format!("`{text}` lacks a name after the colon"));
        }
        match kind {
            "header" => HeaderName::from_bytes(rest.as_bytes())
                .map(Self::Header)
                .map_err(|_| format!("`{rest}` can't be a header's name")),
            "query" => Ok(Self::Query(rest.to_owned())),
            "form" => Ok(Self::Form(rest.to_owned())),
            "json" => Ok(Self::Json(plain_pointer(rest)?)),
            "item" => Ok(Self::Item(plain_pointer(rest)?)),
            "parent" => Ok(Self::Parent(plain_pointer(rest)?)),
            "raw" => Ok(Self::Raw(plain_pointer(rest)?)),
            "jwt" => Ok(Self::Jwt(plain_pointer(rest)?)),
            "jws" => Ok(Self::Jws(plain_pointer(rest)?)),
            "param" => Ok(Self::Param(rest.to_owned())),
            "sig" => Ok(Self::Sig(rest.to_owned())),
            "fixed" => Ok(Self::Fixed(rest.to_owned())),
            _ => Err(wrong()),
        }
    }

    /// This one with further steps.
    pub(crate) fn stepped(self, more: Vec<Step>) -> Self {
        if more.is_empty() {
            return self;
        }
        match self {
            Self::Stepped(mut stepped) => {
                stepped.steps.extend(more);
                Self::Stepped(stepped)
            }
            base => Self::Stepped(Box::new(Stepped { base, steps: more })),
        }
    }

    /// The same kind of place under another name, which a group gives.
    pub(crate) fn named(&self, name: &str) -> Result<Self, String> {
        if name.is_empty() || name.len() > MAX_LOCATION_BYTES {
            return Err(format!("must be a name of 1 to {MAX_LOCATION_BYTES} bytes"));
        }
        match self {
            Self::Header(_) => HeaderName::from_bytes(name.as_bytes())
                .map(Self::Header)
                .map_err(|_| format!("`{name}` can't be a header's name")),
            Self::Query(_) => Ok(Self::Query(name.to_owned())),
            Self::Form(_) => Ok(Self::Form(name.to_owned())),
            Self::Json(at) if !at.is_empty() => {
                let mut at = at.clone();
                at.pop();
                at.push(name.to_owned());
                Ok(Self::Json(at))
            }
            other => Err(format!("{} has no name", other.describe())),
        }
    }

    /// The location without its steps.
    pub(crate) fn base(&self) -> &Self {
        match self {
            Self::Stepped(stepped) => &stepped.base,
            plain => plain,
        }
    }

    /// Whether each event of a batch may have another value here.
    pub(crate) fn is_of_item(&self) -> bool {
        matches!(self.base(), Self::Item(_) | Self::Parent(_) | Self::Key)
    }

    /// For an operator: `header x-hub-signature-256`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Header(name) => format!("header {name}"),
            Self::Query(name) => format!("query parameter {name}"),
            Self::Form(name) => format!("form field {name}"),
            Self::Json(at) => format!("json:{}", shown(at)),
            Self::Item(at) => format!("item:{}", shown(at)),
            Self::Parent(at) => format!("parent:{}", shown(at)),
            Self::Key => "the item's key".to_owned(),
            Self::Raw(at) => format!("raw:{}", shown(at)),
            Self::Param(name) => format!("the group's parameter {name}"),
            Self::Sig(key) => format!("`{key}` of the signature header"),
            Self::Jwt(at) => format!("jwt:{}", shown(at)),
            Self::Jws(at) => format!("jws:{}", shown(at)),
            Self::Method => "the method".to_owned(),
            Self::Url => "the URL".to_owned(),
            Self::Body => "the body".to_owned(),
            Self::Fixed(_) => "a fixed text".to_owned(),
            Self::Stepped(stepped) => {
                let mut text = stepped.base.describe();
                for step in &stepped.steps {
                    text.push_str(&format!("->{step}"));
                }
                text
            }
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

/// A pointer to one value. A wildcard that is taken for a name would find nothing, and nobody would know why.
fn plain_pointer(text: &str) -> Result<Vec<String>, String> {
    let tokens = pointer(text)?;
    match tokens.iter().find(|token| pattern::is_wild(token)) {
        Some(token) => Err(format!(
            "in the pointer `{text}`, `{token}` stands for several; that is for a batch's items and a token's location"
        )),
        None => Ok(tokens),
    }
}

fn shown(tokens: &[String]) -> String {
    tokens
        .iter()
        .map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1")))
        .collect()
}
