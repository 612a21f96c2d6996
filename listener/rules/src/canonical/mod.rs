//! Canonical forms: what a provider signs where no template can say it. Each has a module of its own, which states the provider's rule
//! and where it was learnt.
//!
//! A form writes what was signed, and says what of the request can't be changed without changing it. What a provider would never send
//! is refused rather than guessed at. All are bounded by the request's own bounds; none makes more than six times its input.

mod alipay;
mod bridge;
mod contentful;
mod escaped;
mod freshbooks;
mod json;
mod plivo;
mod qsh;
mod sns;
#[cfg(test)]
mod tests;
mod truelayer;
mod wechat;

use crate::location::{Location, pointer};
use crate::request::{Around, Missing, Request};

/// Why a form can't be written: what is missing, and in words for an operator.
type Unwritten = (Missing, String);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Canonical {
    Alipay(alipay::SignType),
    BoxEscaped,
    BridgeXyz,
    Contentful,
    Freshbooks,
    JiraQsh,
    /// Of the value at this pointer.
    PhpJson(Vec<String>),
    PlivoV3,
    Sns,
    SortedJson,
    Truelayer,
    /// With the value at this pointer.
    Wechat(Option<Vec<String>>),
}

/// What of a request is in what was signed.
#[derive(Debug, Default)]
pub(crate) struct Covered {
    pub(crate) body: bool,
    pub(crate) form: bool,
    pub(crate) query: bool,
    pub(crate) url: bool,
    pub(crate) method: bool,
    pub(crate) locations: Vec<Location>,
    /// What the others would cover, and this one leaves out.
    pub(crate) but_not: Vec<Location>,
}

impl Canonical {
    /// Reads what follows `canonical:`: a name, and for some a pointer.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, at) = match text.split_once(':') {
            Some((name, at)) => (name, Some(pointer(at)?)),
            None => (text, None),
        };
        let form = match (name, at) {
            ("php-json", Some(at)) => return Ok(Self::PhpJson(at)),
            ("php-json", None) => {
                return Err(
                    "`php-json` is of a value in the body: `{canonical:php-json:/pointer}`"
                        .to_owned(),
                );
            }
            ("wechat", at) => Self::Wechat(at),
            (_, Some(_)) => return Err(format!("`{name}` takes no pointer")),
            ("alipay", None) => Self::Alipay(alipay::SignType::LeftOut),
            ("alipay-with-sign-type", None) => Self::Alipay(alipay::SignType::Signed),
            ("box-escaped", None) => Self::BoxEscaped,
            ("bridge-xyz", None) => Self::BridgeXyz,
            ("contentful", None) => Self::Contentful,
            ("freshbooks", None) => Self::Freshbooks,
            ("jira-qsh", None) => Self::JiraQsh,
            ("plivo-v3", None) => Self::PlivoV3,
            ("sns", None) => Self::Sns,
            ("sorted-json", None) => Self::SortedJson,
            ("truelayer", None) => Self::Truelayer,
            _ => {
                return Err(format!(
                    "`{name}` is no canonical form; there are alipay, alipay-with-sign-type, box-escaped, bridge-xyz, contentful, \
                     freshbooks, jira-qsh, php-json:/pointer, plivo-v3, sns, sorted-json, truelayer, wechat and wechat:/pointer"
                ));
            }
        };
        Ok(form)
    }

    /// Hands what was signed to `sink`.
    pub(crate) fn write(
        &self,
        request: &Request,
        around: Around<'_>,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Unwritten> {
        match self {
            Self::Alipay(sign_type) => alipay::write(*sign_type, request, sink),
            Self::BoxEscaped => escaped::body(request, sink),
            Self::BridgeXyz => bridge::write(request, around, sink),
            Self::Contentful => contentful::write(request, around, sink),
            Self::Freshbooks => freshbooks::write(request, sink),
            Self::JiraQsh => qsh::write(request, around, sink),
            Self::PhpJson(at) => json::php(at, request, sink),
            Self::PlivoV3 => plivo::write(request, around, sink),
            Self::Sns => sns::write(request, around, sink),
            Self::SortedJson => json::sorted(request, sink),
            Self::Truelayer => truelayer::write(request, around, sink),
            Self::Wechat(at) => wechat::write(at.as_ref(), request, around, sink),
        }
    }

    pub(crate) fn covered(&self) -> Covered {
        match self {
            Self::Alipay(sign_type) => alipay::covered(*sign_type),
            // The same JSON, whatever its spaces and its order.
            Self::BoxEscaped | Self::SortedJson => Covered {
                body: true,
                ..Covered::default()
            },
            Self::BridgeXyz => bridge::covered(),
            Self::Contentful => contentful::covered(),
            Self::Freshbooks => Covered {
                form: true,
                ..Covered::default()
            },
            Self::JiraQsh => qsh::covered(),
            Self::PhpJson(at) => Covered {
                locations: vec![Location::Raw(at.clone())],
                ..Covered::default()
            },
            Self::PlivoV3 => Covered {
                form: true,
                query: true,
                url: true,
                ..Covered::default()
            },
            Self::Sns => sns::covered(),
            Self::Truelayer => Covered {
                body: true,
                url: true,
                method: true,
                ..Covered::default()
            },
            Self::Wechat(at) => wechat::covered(at.as_ref()),
        }
    }

    /// True when it holds the secret itself.
    pub(crate) fn holds_secret(&self) -> bool {
        matches!(self, Self::Wechat(_))
    }
}

/// The URL without its query, that the provider was given.
fn url_of<'a>(around: Around<'a>) -> Result<&'a str, Unwritten> {
    around
        .url
        .ok_or_else(|| (Missing::Absent, "the callback URL is not known".to_owned()))
}

/// What a provider would never send.
fn unlike(why: impl Into<String>) -> Unwritten {
    (
        Missing::Unreadable,
        format!("it is nothing that this provider signs: {}", why.into()),
    )
}

fn read_or<'a>(
    request: &'a Request,
    location: &'a Location,
    around: Around<'a>,
) -> Result<std::borrow::Cow<'a, str>, Unwritten> {
    request.read(location, around).map_err(|missing| {
        let why = missing.explain(location);
        (missing, why)
    })
}
