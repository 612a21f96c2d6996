//! Taking a signature's value apart, and putting one together for samples.

use std::borrow::Cow;

use base64::Engine;

use crate::connector::{Carrier, Format, PairKey};
use crate::encoding::{BASE64, any_base64};
use crate::location::Location;
use crate::payload::{self, Json};
use crate::request::{Around, Missing, Request};
use crate::{Refusal, RefusalKind};

/// Pieces of one signature header. More is nobody's habit.
const MAX_PIECES: usize = 32;

/// What a signature's places hold.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Decoded. One that verifies is enough: a provider sends several while it changes keys.
    pub(crate) signatures: Vec<Vec<u8>>,
    /// The other pairs, for `sig:` locations.
    pub(crate) fields: Vec<(String, String)>,
}

/// Reads it, or says for an operator what is wrong with it. `bytes` is the length that a signature must have, where there is one.
pub(crate) fn read(
    carrier: &Carrier,
    bytes: Option<usize>,
    request: &Request,
) -> Result<Sent, Refusal> {
    let mut reading = Reading {
        carrier,
        bytes,
        request,
        sent: Sent::default(),
    };
    // Of several places one is enough, so what is wrong with another only matters when there is none.
    let mut problem = None;
    let mut is_absent = false;
    for location in carrier.locations() {
        match request.read(location, Around::default()) {
            Ok(value) => {
                if let Err(refusal) = reading.value(&value, location) {
                    problem.get_or_insert(refusal);
                }
            }
            Err(Missing::Absent) => is_absent = true,
            Err(other) => return Err(refuse(&other, other.explain(location))),
        }
    }
    if !reading.sent.signatures.is_empty() {
        return Ok(reading.sent);
    }
    Err(match problem {
        Some(refusal) if carrier.or_locations.is_empty() => refusal,
        None if is_absent && carrier.or_locations.is_empty() => {
            let location = &carrier.location;
            refuse(&Missing::Absent, Missing::Absent.explain(location))
        }
        _ => reading.none(),
    })
}

struct Reading<'a> {
    carrier: &'a Carrier,
    bytes: Option<usize>,
    request: &'a Request,
    sent: Sent,
}

impl Reading<'_> {
    /// Keeps what is a signature by its looks.
    fn signature(&mut self, text: &str) {
        let decoded = self.carrier.encoding.decode(text);
        let fits = |decoded: &Vec<u8>| {
            !decoded.is_empty() && self.bytes.is_none_or(|bytes| decoded.len() == bytes)
        };
        self.sent.signatures.extend(decoded.filter(fits));
    }

    fn field(&mut self, name: &str, value: &str) {
        self.sent.fields.push((name.to_owned(), value.to_owned()));
    }

    fn value(&mut self, value: &str, place: &Location) -> Result<(), Refusal> {
        let prefix = self.carrier.prefix.as_str();
        let value = value.strip_prefix(prefix).ok_or_else(|| {
            wrong(format!(
                "{} does not begin with `{prefix}`",
                place.describe()
            ))
        })?;
        match &self.carrier.format {
            Format::Whole => self.signature(value),
            Format::Pairs {
                pair,
                key,
                signature_key,
            } => {
                let signature_key = named(signature_key, self.request)?;
                for piece in bounded(value, pair, place)? {
                    let Some((name, value)) = piece.split_once(key.as_str()) else {
                        continue;
                    };
                    let (name, value) = (name.trim(), unquoted(value.trim()));
                    if name == signature_key {
                        self.signature(value);
                    } else {
                        self.field(name, value);
                    }
                }
            }
            Format::Versioned {
                item,
                separator,
                version,
            } => {
                for piece in bounded(value, item, place)? {
                    if let Some((name, value)) = piece.split_once(separator.as_str())
                        && name == version
                    {
                        self.signature(value);
                    }
                }
            }
            Format::List { item, prefix, skip } => {
                for (index, piece) in bounded(value, item, place)?.into_iter().enumerate() {
                    let piece = piece.trim();
                    if index < *skip {
                        self.field(&index.to_string(), piece);
                    } else if let Some(signature) = piece.strip_prefix(prefix.as_str()) {
                        self.signature(signature);
                    }
                }
            }
            Format::Base64Json { field } => self.json(value, field, place)?,
        }
        Ok(())
    }

    fn json(&mut self, value: &str, field: &str, place: &Location) -> Result<(), Refusal> {
        let place = || place.describe();
        let no_json = || wrong(format!("{} is not a JSON object in base64", place()));
        let bytes = any_base64(value).ok_or_else(no_json)?;
        let json = Json::validate(bytes.into()).map_err(|_| no_json())?;
        if payload::kind(json.text()) != payload::Kind::Object {
            return Err(no_json());
        }
        for (index, (key, _)) in payload::members(json.text()).enumerate() {
            if index == MAX_PIECES {
                return Err(wrong(format!(
                    "{} has more than {MAX_PIECES} members",
                    place()
                )));
            }
            let name = payload::unescape(key).into_owned();
            match json.scalar_at(std::slice::from_ref(&name)) {
                Some(value) if name == field => self.signature(&value),
                Some(value) => self.sent.fields.push((name, value)),
                None => {}
            }
        }
        Ok(())
    }

    fn none(&self) -> Refusal {
        let which = match &self.carrier.format {
            Format::Whole => String::new(),
            Format::Pairs {
                signature_key: PairKey::Fixed(key),
                ..
            } => format!(" under `{key}`"),
            Format::Pairs {
                signature_key: PairKey::Parameter(name),
                ..
            } => format!(" under the group's parameter {name}"),
            Format::Versioned { version, .. } => format!(" of version `{version}`"),
            Format::List { prefix, .. } if prefix.is_empty() => String::new(),
            Format::List { prefix, .. } => format!(" after `{prefix}`"),
            Format::Base64Json { field } => format!(" under `{field}`"),
        };
        let length = match self.bytes {
            Some(bytes) => format!(" of {bytes} bytes"),
            None => String::new(),
        };
        let places: Vec<String> = self
            .carrier
            .locations()
            .map(|place| place.describe())
            .collect();
        wrong(format!(
            "{} holds no signature{which} that is {}{length}",
            places.join(" or "),
            self.carrier.encoding.name(),
        ))
    }
}

/// The value that a provider would send.
pub(crate) fn write(
    carrier: &Carrier,
    mac: &[u8],
    fields: &[(String, String)],
    request: &Request,
) -> Result<String, String> {
    let signature = carrier.encoding.encode(mac);
    let value = match &carrier.format {
        Format::Whole => signature,
        Format::Pairs {
            pair,
            key,
            signature_key,
        } => {
            let signature_key = named(signature_key, request).map_err(|refusal| refusal.reason)?;
            fields
                .iter()
                .map(|(name, value)| format!("{name}{key}{value}"))
                .chain([format!("{signature_key}{key}{signature}")])
                .collect::<Vec<_>>()
                .join(pair)
        }
        Format::Versioned {
            separator, version, ..
        } => format!("{version}{separator}{signature}"),
        Format::List { item, prefix, skip } => (0..*skip)
            .map(|index| {
                let name = index.to_string();
                let field = fields.iter().find(|(known, _)| *known == name);
                // What nobody reads may be anything.
                field.map_or_else(|| "0".to_owned(), |(_, value)| value.clone())
            })
            .chain([format!("{prefix}{signature}")])
            .collect::<Vec<_>>()
            .join(item),
        Format::Base64Json { field } => {
            let object: serde_json::Map<String, serde_json::Value> = fields
                .iter()
                .cloned()
                .chain([(field.clone(), signature)])
                .map(|(name, value)| (name, value.into()))
                .collect();
            BASE64.encode(serde_json::Value::Object(object).to_string())
        }
    };
    Ok(format!("{}{value}", carrier.prefix))
}

/// The key of the pairs' signatures.
fn named<'a>(key: &'a PairKey, request: &'a Request) -> Result<Cow<'a, str>, Refusal> {
    match key {
        PairKey::Fixed(name) => Ok(Cow::Borrowed(name)),
        PairKey::Parameter(name) => request.parameter(name).map_err(|_| {
            wrong(format!(
                "the group's parameter {name} is missing; it is the key of the signature"
            ))
        }),
    }
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text)
}

fn bounded<'a>(
    value: &'a str,
    separator: &'a str,
    place: &Location,
) -> Result<Vec<&'a str>, Refusal> {
    let pieces: Vec<&str> = value.split(separator).take(MAX_PIECES + 1).collect();
    if pieces.len() > MAX_PIECES {
        return Err(wrong(format!(
            "{} has more than {MAX_PIECES} pieces",
            place.describe()
        )));
    }
    Ok(pieces)
}

fn wrong(why: String) -> Refusal {
    Refusal::new(RefusalKind::Signature, why)
}

/// What is missing makes a signature fail; what hides in a body that nobody can read makes the body wrong.
pub(crate) fn refuse(missing: &Missing, reason: String) -> Refusal {
    let kind = match missing {
        Missing::Undecodable(_) => RefusalKind::Undecodable,
        Missing::Absent | Missing::Repeated | Missing::Unreadable => RefusalKind::Signature,
    };
    Refusal::new(kind, reason)
}
