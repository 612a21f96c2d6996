//! How a secret as pasted becomes a key.
//!
//! ```text
//!  secret ─▶ prefix taken off ─▶ put into the template ─▶ decoded ─▶ hashed ─▶ key
//! ```

use hookplane_proto::v1;

use super::{Errors, HashKind};
use crate::encoding::TextEncoding;
use crate::location::Location;
use crate::template::{Part, Template, Use};

/// One scheme's rule. What is unset is not done.
#[derive(Debug, Clone)]
pub(crate) struct KeySpec {
    pub(crate) decode: TextEncoding,
    pub(crate) strip_prefix: String,
    /// The group's parameter that is the secret here.
    pub(crate) parameter: Option<String>,
    pub(crate) template: Option<Template>,
    pub(crate) digest: Option<HashKind>,
}

/// The text as pasted.
impl Default for KeySpec {
    fn default() -> Self {
        Self {
            decode: TextEncoding::Raw,
            strip_prefix: String::new(),
            parameter: None,
            template: None,
            digest: None,
        }
    }
}

impl KeySpec {
    pub(crate) fn compile(key: Option<&v1::Key>, at: &str, errors: &mut Errors) -> Option<Self> {
        let Some(key) = key else {
            return Some(Self::default());
        };
        let before = errors.list.len();
        let decode = match key.decode {
            0 => Some(TextEncoding::Raw),
            decode => errors.take(format!("{at}.decode"), TextEncoding::of(decode)),
        };
        let digest = match key.digest {
            0 => None,
            digest => errors.take(format!("{at}.digest"), HashKind::of(digest)),
        };
        if !key.parameter.is_empty() {
            errors.parameter(&key.parameter, &format!("{at}.parameter"));
        }
        let template = match key.template.is_empty() {
            true => None,
            false => errors.template(&key.template, Use::Key, &format!("{at}.template")),
        };
        if let Some(template) = &template
            && !template.has(&Part::Secret)
        {
            errors.add(
                format!("{at}.template"),
                "must hold {secret}: the rest of it is known to more people",
            );
        }
        (errors.list.len() == before).then_some(Self {
            decode: decode?,
            strip_prefix: key.strip_prefix.clone(),
            parameter: (!key.parameter.is_empty()).then(|| key.parameter.clone()),
            template,
            digest,
        })
    }

    /// The parameters that the key's template is made of.
    pub(crate) fn template_parameters(&self) -> impl Iterator<Item = &str> {
        let locations = self.template.as_ref().map(Template::locations);
        locations
            .into_iter()
            .flatten()
            .filter_map(|location| match location {
                Location::Param(name) => Some(name.as_str()),
                _ => None,
            })
    }
}
