//! Answering handshakes. Nothing is echoed or signed but a text of the declared shape (risk 35).

use std::fmt;

use super::hash::MacState;
use super::keys::{Key, fingerprint, same};
use crate::connector::{Challenge, Handshake};
use crate::request::{Around, Request};
use crate::{Group, Refusal, RefusalKind, Reply};

/// What a provider's secret is not shorter or longer than, in bytes.
const LEARNED_BYTES: std::ops::RangeInclusive<usize> = 8..=512;
/// The longest code for a person, in bytes.
const MAX_CODE_BYTES: usize = 256;
/// What an outsider is told who brings a secret to a group that takes none.
const FORBIDDEN: u16 = 403;

/// A handshake that is as it should be: its answer, and what has to be done before it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shaken {
    /// What the provider wants to hear.
    pub reply: Reply,
    /// To be stored as the group's secret before the reply is given.
    pub learn: Option<Learned>,
    /// To be fetched before the reply is given.
    pub confirm: Option<Confirmation>,
    /// For a person to type in at the provider.
    pub code: Option<String>,
}

/// A secret as a provider handed it over.
#[derive(Clone, PartialEq, Eq)]
pub struct Learned(String);

impl Learned {
    /// The secret.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// Without the secret.
impl fmt::Debug for Learned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Learned")
    }
}

/// A URL at one of the provider's own hosts that it wants to see fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    host: String,
    path: String,
}

impl Confirmation {
    /// The host to ask, over https.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What to ask it for.
    pub fn path_and_query(&self) -> &str {
        &self.path
    }
}

/// `keys` are those that its MAC may be made under; `signed_with` is the name of the secret that the request itself was signed with.
pub(super) fn answer(
    group: &Group,
    handshake: &Handshake,
    keys: &[Key],
    request: &Request,
    signed_with: Option<&str>,
) -> Result<Shaken, Refusal> {
    let around = Around {
        url: Some(&group.callback_url),
        ..Around::default()
    };
    require(handshake, request, around)?;
    let challenge = match &handshake.challenge {
        Some(challenge) => Some(read(handshake, challenge, request)?),
        None => None,
    };
    let around = Around {
        challenge: challenge.as_deref(),
        ..around
    };
    let mac = hashed(handshake, keys, request, around, signed_with)?;
    let around = Around {
        mac: mac.as_deref(),
        ..around
    };
    let learn = learned(group, handshake, request)?;
    let confirm = confirmed(handshake, request)?;
    let code = code(handshake, request)?;
    let reply = match &handshake.reply {
        Some(reply) => reply
            .render(request, around)
            .map_err(|why| refuse(handshake, why))?,
        None => group.answer(request),
    };
    Ok(Shaken {
        reply,
        learn,
        confirm,
        code,
    })
}

fn require(handshake: &Handshake, request: &Request, around: Around<'_>) -> Result<(), Refusal> {
    for (location, template) in &handshake.require {
        let place = location.describe();
        let wrong = |why: String| refuse(handshake, why).answered(handshake.refusal_status);
        let sent = request
            .read(location, around)
            .map_err(|missing| wrong(missing.explain(location)))?;
        let expected = request
            .rendered(template, around)
            .map_err(|(_, why)| wrong(why))?;
        if !same(&fingerprint(sent.as_bytes()), &fingerprint(&expected)) {
            return Err(wrong(format!("{place} is not what it must be")));
        }
    }
    Ok(())
}

fn read(
    handshake: &Handshake,
    challenge: &Challenge,
    request: &Request,
) -> Result<String, Refusal> {
    let text = request
        .read(&challenge.location, Around::default())
        .map_err(|missing| refuse(handshake, missing.explain(&challenge.location)))?;
    if challenge.fits(&text) {
        Ok(text.into_owned())
    } else {
        Err(refuse(
            handshake,
            format!(
                "{} is not of the shape that this provider's challenges have",
                challenge.location.describe()
            ),
        ))
    }
}

/// The MAC or digest of the challenge, as text.
fn hashed(
    handshake: &Handshake,
    keys: &[Key],
    request: &Request,
    around: Around<'_>,
    signed_with: Option<&str>,
) -> Result<Option<String>, Refusal> {
    let Some(hashed) = &handshake.hashed else {
        return Ok(None);
    };
    let mut state = match &hashed.key {
        None => MacState::plain(hashed.hash),
        Some(_) => {
            // While a secret is rotated the provider knows just one of them.
            let same_secret = keys.iter().find(|key| Some(&*key.name) == signed_with);
            let key = same_secret.or(keys.first()).ok_or_else(|| {
                refuse(
                    handshake,
                    "the group has no secret to answer with".to_owned(),
                )
            })?;
            MacState::new(hashed.hash, key.bytes())
        }
    };
    request
        .render(&hashed.content, around, &mut |bytes| state.update(bytes))
        .map_err(|(_, why)| refuse(handshake, why))?;
    Ok(Some(hashed.encoding.encode(&state.finish())))
}

/// The secret that the provider hands over, unless the group has it already.
fn learned(
    group: &Group,
    handshake: &Handshake,
    request: &Request,
) -> Result<Option<Learned>, Refusal> {
    let Some(location) = &handshake.learn else {
        return Ok(None);
    };
    let no = |why: &str| refuse(handshake, why.to_owned()).answered(FORBIDDEN);
    if !group.learns {
        return Err(no(
            "it hands over a secret, and the group doesn't say learnSecret: true",
        ));
    }
    let secret = request
        .read(location, Around::default())
        .map_err(|missing| refuse(handshake, missing.explain(location)))?;
    if !LEARNED_BYTES.contains(&secret.len()) || !secret.bytes().all(|b| b.is_ascii_graphic()) {
        let why = format!(
            "the secret in {} is not of {} to {} printable ASCII characters",
            location.describe(),
            LEARNED_BYTES.start(),
            LEARNED_BYTES.end()
        );
        return Err(refuse(handshake, why));
    }
    match &group.learned {
        None if group.has_signature_secret => {
            Err(no("it hands over a secret, and the group has one already"))
        }
        None => Ok(Some(Learned(secret.into_owned()))),
        // A provider that didn't hear our answer says it again.
        Some(known) if same(known, &fingerprint(secret.as_bytes())) => Ok(None),
        Some(_) => Err(no(
            "it hands over another secret than the one that was learned",
        )),
    }
}

/// Where the provider says what to fetch, if that is at a host of its own.
fn confirmed(handshake: &Handshake, request: &Request) -> Result<Option<Confirmation>, Refusal> {
    let Some((location, place)) = &handshake.confirm else {
        return Ok(None);
    };
    let url = request
        .read(location, Around::default())
        .map_err(|missing| refuse(handshake, missing.explain(location)))?;
    let (host, path) = place.admit(&url, true).map_err(|why| {
        refuse(
            handshake,
            format!("the URL in {} is not fetched: {why}", location.describe()),
        )
    })?;
    Ok(Some(Confirmation {
        host,
        path: path.to_owned(),
    }))
}

fn code(handshake: &Handshake, request: &Request) -> Result<Option<String>, Refusal> {
    let Some(location) = &handshake.show else {
        return Ok(None);
    };
    let code = request
        .read(location, Around::default())
        .map_err(|missing| refuse(handshake, missing.explain(location)))?;
    let fits = (1..=MAX_CODE_BYTES).contains(&code.len())
        && code.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    match fits {
        true => Ok(Some(code.into_owned())),
        false => Err(refuse(
            handshake,
            format!(
                "{} is no code of at most {MAX_CODE_BYTES} printable ASCII characters",
                location.describe()
            ),
        )),
    }
}

fn refuse(handshake: &Handshake, why: String) -> Refusal {
    Refusal::new(
        RefusalKind::Handshake,
        format!("handshake `{}`: {why}", handshake.name),
    )
}

#[cfg(test)]
mod tests;
