//! Samples of JSON Web Tokens. Those under a shared secret can be signed here; those under a private key are the provider's alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Signing, write};
use crate::Callback;
use crate::connector::{TokenKind, WebToken};
use crate::location::Location;
use crate::request::{Around, Request};
use crate::verify::hash::MacState;

pub(super) const PROVIDERS_ALONE: &str =
    "the provider signs with a private key, which only the provider has";

/// How long a sample is good, in seconds.
pub(super) const GOOD_FOR: i64 = 300;

impl Signing<'_> {
    pub(super) fn token(
        &self,
        token: &WebToken,
        mut callback: Callback,
    ) -> Result<Callback, String> {
        let Some((name, hash)) = token.algorithms.iter().find_map(|one| match one.kind {
            TokenKind::Shared(hash) => Some((one.name, hash)),
            TokenKind::Public(_) => None,
        }) else {
            return Err(PROVIDERS_ALONE.to_owned());
        };
        let key =
            self.keyed.keys.first().ok_or_else(|| {
                format!("the group has no secret for scheme `{}`", self.scheme.name)
            })?;
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{name}","typ":"JWT"}}"#));
        let (payload, shown) = {
            let request = self.request(&callback);
            match &token.detached {
                None => {
                    let claims = self.claims(token, &request)?;
                    let text = URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string());
                    (text.clone(), text)
                }
                Some(detached) => {
                    let payload = request
                        .rendered(&detached.payload, self.around())
                        .map_err(|(_, why)| why)?;
                    let payload = if detached.raw {
                        String::from_utf8(payload).map_err(|_| "the sample's body is no text")?
                    } else {
                        URL_SAFE_NO_PAD.encode(payload)
                    };
                    (payload, String::new())
                }
            }
        };
        let mut state = MacState::new(hash, key.bytes());
        state.update(format!("{header}.{payload}").as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(self.made(state.finish()));
        let text = format!("{}{header}.{shown}.{signature}", token.prefix);
        if token.place == Location::Body {
            callback.body = text.into();
        } else {
            write(&mut callback, &token.place, &text)?;
        }
        Ok(callback)
    }

    fn around(&self) -> Around<'_> {
        Around {
            url: self.group.urls.first().map(String::as_str),
            ..Around::default()
        }
    }

    /// What the rules want; where the token is the whole body, besides what the sample's body says.
    fn claims(&self, token: &WebToken, request: &Request) -> Result<Map<String, Value>, String> {
        let mut claims = Map::new();
        if token.place == Location::Body {
            claims = serde_json::from_slice(&request.callback.body)
                .map_err(|_| "the sample's body is no JSON object, which its token's claims are")?;
        }
        let now = self.now.seconds();
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), (now + GOOD_FOR).into());
        for rule in &token.claims {
            let value = request
                .rendered(&rule.equals, self.around())
                .map_err(|(_, why)| why)?;
            let value = String::from_utf8_lossy(&value).into_owned();
            put(&mut claims, &rule.claim, value)?;
        }
        Ok(claims)
    }
}

/// A token of the provider's form with a signature that is none.
pub(super) fn garbage(
    token: &WebToken,
    signature: &[u8],
    mut callback: Callback,
) -> Result<Callback, String> {
    let name = token.algorithms.first().map_or("RS256", |one| one.name);
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{name}","typ":"JWT"}}"#));
    let payload = match token.detached {
        Some(_) => String::new(),
        None => URL_SAFE_NO_PAD.encode("{}"),
    };
    let signature = URL_SAFE_NO_PAD.encode(signature);
    let text = format!("{}{header}.{payload}.{signature}", token.prefix);
    if token.place == Location::Body {
        callback.body = text.into();
    } else {
        write(&mut callback, &token.place, &text)?;
    }
    Ok(callback)
}

fn put(claims: &mut Map<String, Value>, at: &[String], value: String) -> Result<(), String> {
    match at {
        [] => Err("a claim without a name can't be written".to_owned()),
        [name] => {
            claims.insert(name.clone(), value.into());
            Ok(())
        }
        [name, rest @ ..] => match claims
            .entry(name.clone())
            .or_insert_with(|| Value::Object(Map::new()))
        {
            Value::Object(inside) => put(inside, rest, value),
            _ => Err(format!("the claim {name} is no object to write into")),
        },
    }
}
