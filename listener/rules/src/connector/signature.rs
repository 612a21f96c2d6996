//! Where a signature is, and how the value that holds it is taken apart.

use hookplane_proto::v1;

use super::Errors;
use crate::encoding::TextEncoding;
use crate::location::Location;

/// The longest prefix, separator or key of a signature header, in bytes.
const MAX_FORMAT_BYTES: usize = 64;
/// Further places of a signature. One provider numbers them, and sends one for each of its keys.
const MAX_PLACES: usize = 16;
/// Items of a list that are no signatures.
const MAX_SKIPPED: u32 = 8;

/// Where a signature is, and how it is written there.
#[derive(Debug, Clone)]
pub(crate) struct Carrier {
    pub(crate) location: Location,
    /// One signature that fits is enough, wherever it is.
    pub(crate) or_locations: Vec<Location>,
    pub(crate) prefix: String,
    pub(crate) format: Format,
    pub(crate) encoding: TextEncoding,
}

/// How the signature's value is taken apart.
#[derive(Debug, Clone)]
pub(crate) enum Format {
    Whole,
    Pairs {
        pair: String,
        key: String,
        signature_key: PairKey,
    },
    Versioned {
        item: String,
        separator: String,
        version: String,
    },
    List {
        item: String,
        prefix: String,
        skip: usize,
    },
    /// A JSON object in base64.
    Base64Json {
        field: String,
    },
}

/// Under which key of the pairs a signature is.
#[derive(Debug, Clone)]
pub(crate) enum PairKey {
    Fixed(String),
    /// The value of this parameter of the group.
    Parameter(String),
}

impl Carrier {
    pub(crate) fn compile(
        signature: &str,
        or_signature: &[String],
        format: Option<&v1::SignatureFormat>,
        encoding: i32,
        at: &str,
        errors: &mut Errors,
    ) -> Option<Self> {
        let location = credential(signature, &format!("{at}.signature"), errors);
        let or_at = format!("{at}.orSignature");
        errors.at_most(&or_at, or_signature.len(), MAX_PLACES, "further places");
        let or_locations = (0..MAX_PLACES)
            .zip(or_signature)
            .filter_map(|(index, text)| credential(text, &format!("{or_at}[{index}]"), errors))
            .collect();
        let encoding = errors.take(format!("{at}.encoding"), TextEncoding::of(encoding));
        if encoding == Some(TextEncoding::Raw) {
            errors.add(
                format!("{at}.encoding"),
                "of a signature is hex, base64, base64url or base64_of_hex",
            );
        }
        let nothing = v1::SignatureFormat::default();
        let form = format.unwrap_or(&nothing);
        let format = Format::compile(form, &format!("{at}.format"), errors);
        Some(Self {
            location: location?,
            or_locations,
            prefix: form.prefix.clone(),
            format: format?,
            encoding: encoding?,
        })
    }

    /// Every place where a signature may be.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &Location> {
        std::iter::once(&self.location).chain(&self.or_locations)
    }
}

impl Format {
    fn compile(format: &v1::SignatureFormat, at: &str, errors: &mut Errors) -> Option<Self> {
        let mut short = |field: &str, text: &str| {
            if text.is_empty() || text.len() > MAX_FORMAT_BYTES {
                errors.add(
                    format!("{at}.{field}"),
                    format!("must be a text of 1 to {MAX_FORMAT_BYTES} bytes"),
                );
            }
            text.to_owned()
        };
        match (
            &format.pairs,
            &format.versioned,
            &format.list,
            &format.base64_json,
        ) {
            (None, None, None, None) => Some(Self::Whole),
            (Some(pairs), None, None, None) => Some(Self::Pairs {
                pair: short("pairs.pairSeparator", &pairs.pair_separator),
                key: short("pairs.keySeparator", &pairs.key_separator),
                signature_key: if pairs.signature_key_parameter.is_empty() {
                    PairKey::Fixed(short("pairs.signatureKey", &pairs.signature_key))
                } else {
                    signature_key_parameter(pairs, &format!("{at}.pairs"), errors)
                },
            }),
            (None, Some(versioned), None, None) => Some(Self::Versioned {
                item: short("versioned.itemSeparator", &versioned.item_separator),
                separator: short("versioned.versionSeparator", &versioned.version_separator),
                version: short("versioned.version", &versioned.version),
            }),
            (None, None, Some(list), None) => {
                let item = short("list.itemSeparator", &list.item_separator);
                if list.skip > MAX_SKIPPED {
                    errors.add(
                        format!("{at}.list.skip"),
                        format!("is {}, at most {MAX_SKIPPED} are taken", list.skip),
                    );
                }
                Some(Self::List {
                    item,
                    prefix: list.item_prefix.clone(),
                    skip: list.skip as usize,
                })
            }
            (None, None, None, Some(json)) => Some(Self::Base64Json {
                field: short("base64Json.signatureField", &json.signature_field),
            }),
            _ => {
                errors.add(
                    at,
                    "has more than one of `pairs`, `versioned`, `list` and `base64Json`; a header is taken apart one way",
                );
                None
            }
        }
    }

    /// Whether `sig:` with this name can have a value.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        match self {
            Self::Whole | Self::Versioned { .. } => false,
            Self::Pairs { .. } => true,
            Self::List { skip, .. } => name.parse().is_ok_and(|index: usize| index < *skip),
            Self::Base64Json { field } => name != field,
        }
    }
}

fn signature_key_parameter(pairs: &v1::PairsFormat, at: &str, errors: &mut Errors) -> PairKey {
    if !pairs.signature_key.is_empty() {
        errors.add(
            format!("{at}.signatureKeyParameter"),
            "stands instead of `signatureKey`; leave one of them out",
        );
    }
    errors.parameter(
        &pairs.signature_key_parameter,
        &format!("{at}.signatureKeyParameter"),
    );
    PairKey::Parameter(pairs.signature_key_parameter.clone())
}

/// Where a credential may be. In the body it would be kept and handed on with the event, unless the sender means it so.
pub(crate) fn credential(text: &str, at: &str, errors: &mut Errors) -> Option<Location> {
    let location = errors.location(text, at)?;
    match location.base() {
        Location::Header(_) | Location::Query(_) | Location::Form(_) | Location::Json(_) => {
            Some(location)
        }
        _ => {
            errors.add(
                at,
                "must be in a header, the query, a form field or the JSON body",
            );
            None
        }
    }
}
