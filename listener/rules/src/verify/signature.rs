//! Taking the signature's value apart, and putting one together for samples.

use crate::connector::{Format, KeyedHash};
use crate::request::{Around, Missing, Request};
use crate::{Refusal, RefusalKind};

/// Pieces of one signature header. More is nobody's habit.
const MAX_PIECES: usize = 32;

/// What a signature header holds.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Decoded. One that verifies is enough: a provider sends several while it changes keys.
    pub(super) signatures: Vec<Vec<u8>>,
    /// The pairs, for `sig:` locations.
    pub(super) fields: Vec<(String, String)>,
}

/// Reads it, or says for an operator what is wrong with it.
pub(super) fn read(keyed: &KeyedHash, request: &Request) -> Result<Sent, Refusal> {
    // Only for those who are refused.
    let place = || keyed.signature.describe();
    let value = request
        .read(&keyed.signature, Around::default())
        .map_err(|missing| refuse(&missing, missing.explain(&keyed.signature)))?;
    let value = value.strip_prefix(keyed.prefix.as_str()).ok_or_else(|| {
        Refusal::new(
            RefusalKind::Signature,
            format!("{} does not begin with `{}`", place(), keyed.prefix),
        )
    })?;
    let mut sent = Sent::default();
    let decode = |text: &str| {
        keyed
            .encoding
            .decode(text)
            .filter(|bytes| bytes.len() == keyed.hash.output_bytes())
    };
    match &keyed.format {
        Format::Whole => sent.signatures.extend(decode(value)),
        Format::Pairs {
            pair,
            key,
            signature_key,
        } => {
            for piece in bounded(value, pair, place)? {
                let Some((name, value)) = piece.trim().split_once(key.as_str()) else {
                    continue;
                };
                if name == signature_key {
                    sent.signatures.extend(decode(value));
                } else {
                    sent.fields.push((name.to_owned(), value.to_owned()));
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
                    sent.signatures.extend(decode(value));
                }
            }
        }
    }
    if sent.signatures.is_empty() {
        let which = match &keyed.format {
            Format::Whole => String::new(),
            Format::Pairs { signature_key, .. } => format!(" under `{signature_key}`"),
            Format::Versioned { version, .. } => format!(" of version `{version}`"),
        };
        return Err(Refusal::new(
            RefusalKind::Signature,
            format!(
                "{} holds no signature{which} that is {} of {} bytes",
                place(),
                keyed.encoding.name(),
                keyed.hash.output_bytes()
            ),
        ));
    }
    Ok(sent)
}

/// The value that a provider would send.
pub(crate) fn write(keyed: &KeyedHash, mac: &[u8], fields: &[(String, String)]) -> String {
    let signature = keyed.encoding.encode(mac);
    let value = match &keyed.format {
        Format::Whole => signature,
        Format::Pairs {
            pair,
            key,
            signature_key,
        } => fields
            .iter()
            .map(|(name, value)| format!("{name}{key}{value}"))
            .chain([format!("{signature_key}{key}{signature}")])
            .collect::<Vec<_>>()
            .join(pair),
        Format::Versioned {
            separator, version, ..
        } => format!("{version}{separator}{signature}"),
    };
    format!("{}{value}", keyed.prefix)
}

fn bounded<'a>(
    value: &'a str,
    separator: &'a str,
    place: impl Fn() -> String,
) -> Result<Vec<&'a str>, Refusal> {
    let pieces: Vec<&str> = value.split(separator).take(MAX_PIECES + 1).collect();
    if pieces.len() > MAX_PIECES {
        return Err(Refusal::new(
            RefusalKind::Signature,
            format!("{} has more than {MAX_PIECES} pieces", place()),
        ));
    }
    Ok(pieces)
}

/// What is missing makes a signature fail; what hides in a body that nobody can read makes the body wrong.
pub(super) fn refuse(missing: &Missing, reason: String) -> Refusal {
    let kind = match missing {
        Missing::Undecodable(_) => RefusalKind::Undecodable,
        Missing::Absent | Missing::Repeated | Missing::Unreadable => RefusalKind::Signature,
    };
    Refusal::new(kind, reason)
}
