//! Requests that must be refused: what the definition says is proven, proven wrongly; and what is refused before anybody looks at a signature.

use hookplane_proto::v1::{SampleVariant, TimeWindow};
use http::Method;
use http::header::CONTENT_TYPE;
use sha2::{Digest, Sha256};

use super::variants::{Expected, Made, Making, Variant, head};
use super::write::{everywhere, put, remove, tamper};
use super::{Signing, clear, schemes, shown, token};
use crate::connector::{Coverage, Proof, Scheme, TokenKind, TokenPlace};
use crate::group::KeyedScheme;
use crate::location::Location;
use crate::verify::keys::Key;
use crate::{Callback, RefusalKind, Timestamp};

/// A media type that nobody takes.
const STRANGE: &str = "application/x-hookplane-sample";
/// Beyond what a window allows.
const BEYOND_SECONDS: i64 = 60;

/// Why there is nothing stale to post.
const UNTIMED: &str = "the provider signs no time, or none that is checked for it";
const AGE_ALONE: &str = "only age is checked";

impl Making<'_> {
    /// What must be refused, as far as the definition says so.
    pub(super) fn refused(&self) -> Vec<Variant> {
        let mut made = match self.good("good") {
            Ok(_) if self.is_open() => Vec::new(),
            Ok((index, _)) => match schemes(self.group).nth(index) {
                Some((scheme, keyed)) => self.missigned(scheme, keyed),
                None => Vec::new(),
            },
            Err(_) => vec![self.variant(
                SampleVariant::SignatureChanged,
                "a signature of random bytes",
                self.garbage(),
            )],
        };
        made.push(self.unsigned());
        made.push(self.oversized());
        made.push(self.wrong_method());
        made.push(self.wrong_media_type());
        made
    }

    fn missigned(&self, scheme: &Scheme, keyed: &KeyedScheme) -> Vec<Variant> {
        let shows = || clear::signed(self.group, scheme);
        let refused = |kind, shows| {
            move |callback| Made {
                callback,
                expected: Expected::refused(kind),
                shows,
            }
        };
        let signing = |keyed, now, of: &str, spoils| {
            let blank = self.blank(now, of)?;
            let uuid = self.uuid(of);
            let signing = Signing {
                group: self.group,
                scheme,
                keyed,
                now,
                uuid: &uuid,
                spoils,
            };
            signing.sign(blank)
        };
        let others = self.other_keys(scheme, keyed);
        let mut made = vec![
            self.body_changed(scheme),
            self.variant(
                SampleVariant::SignatureChanged,
                "the signature changed by a bit",
                // All of a token but its end is right.
                signing(keyed, self.now, "spoilt", true)
                    .map(refused(RefusalKind::Signature, shows())),
            ),
            self.variant(
                SampleVariant::OtherKey,
                "signed with a random key",
                signing(&others, self.now, "other", false).map(refused(
                    RefusalKind::Signature,
                    clear::besides(self.group, scheme),
                )),
            ),
        ];
        let (old, ahead) = windows(scheme);
        let stale = |kind, about: &str, seconds: Option<i64>| {
            let why_not = match &scheme.timestamp {
                Some(_) => AGE_ALONE,
                None => UNTIMED,
            };
            let made = seconds.ok_or_else(|| why_not.to_owned());
            self.variant(
                kind,
                seconds.map_or_else(
                    || about.to_owned(),
                    |seconds| format!("{about}: by {} s", seconds.abs()),
                ),
                made.and_then(|seconds| {
                    let time = Timestamp(self.now.0.saturating_add(seconds.saturating_mul(1000)));
                    signing(keyed, time, about, false)
                })
                .map(refused(RefusalKind::Timestamp, shows())),
            )
        };
        made.push(stale(SampleVariant::TooOld, "signed too long ago", old));
        made.push(stale(
            SampleVariant::TooFarAhead,
            "signed ahead of time",
            ahead,
        ));
        made
    }

    /// The scheme's keys, were they random ones.
    fn other_keys(&self, scheme: &Scheme, keyed: &KeyedScheme) -> KeyedScheme {
        let text = self.text("key");
        let hash = match &scheme.proof {
            Proof::Hmac(keyed) => Some(keyed.hash),
            _ => None,
        };
        KeyedScheme {
            keys: vec![Key::of("random", text.as_bytes(), hash)],
            user: keyed.user.clone(),
            token: keyed.token.clone(),
            ..KeyedScheme::default()
        }
    }

    fn body_changed(&self, scheme: &Scheme) -> Variant {
        let covered = places_in_body(&scheme.coverage);
        let about = match &covered {
            Some(_) => "the body changed after it was signed",
            None => {
                "the body changed: no signature covers it, so whoever has the secret can post anything"
            }
        };
        let made = self.good("changed").and_then(|(_, mut callback)| {
            tamper(&mut callback, covered.as_deref().unwrap_or_default())?;
            let expected = match &covered {
                // Where the signature is inside of what can't be read any more, that is what is wrong.
                Some(_) => match self.group.verify(callback.clone(), self.now) {
                    Err(refusal) if refusal.kind == RefusalKind::Undecodable => {
                        Expected::refused(RefusalKind::Undecodable)
                    }
                    _ => Expected::refused(RefusalKind::Signature),
                },
                None => self.taking(&callback)?.expected,
            };
            Ok(Made {
                callback,
                expected,
                shows: clear::signed(self.group, scheme),
            })
        });
        self.variant(SampleVariant::BodyChanged, about, made)
    }

    fn unsigned(&self) -> Variant {
        let made = self.blank(self.now, "unsigned").and_then(|mut callback| {
            for (scheme, keyed) in schemes(self.group) {
                strip(&mut callback, scheme, keyed)?;
            }
            let expected = match self.is_open() {
                true => self.taking(&callback)?.expected,
                false => Expected {
                    or_key_unavailable: schemes(self.group).any(|(one, _)| leaves_empty(one)),
                    ..Expected::refused(RefusalKind::Signature)
                },
            };
            Ok(Made {
                callback,
                expected,
                shows: None,
            })
        });
        let about = match self.is_open() {
            true => "without a signature, which the group takes: acceptUnsigned",
            false => "without its signature",
        };
        self.variant(SampleVariant::Unsigned, about, made)
    }

    /// For schemes whose private key is the provider's alone: a signature of the right form.
    fn garbage(&self) -> Result<Made, String> {
        let bytes: Vec<u8> = Sha256::digest(self.text("garbage")).repeat(2);
        let mut why = "the connector has no scheme".to_owned();
        for (scheme, keyed) in schemes(self.group) {
            let blank = self.blank(self.now, "garbage")?;
            let uuid = self.uuid("garbage");
            let signing = Signing {
                group: self.group,
                scheme,
                keyed,
                now: self.now,
                uuid: &uuid,
                spoils: true,
            };
            let made = match &scheme.proof {
                Proof::PublicKey(signature) => signing.carry(&signature.carrier, &bytes, blank),
                Proof::Jwt(token)
                    if token
                        .algorithms
                        .iter()
                        .any(|one| matches!(one.kind, TokenKind::Public(_))) =>
                {
                    token::garbage(token, &bytes, blank)
                }
                _ => Err("the group has no secret to sign with".to_owned()),
            };
            match made {
                Ok(callback) => {
                    let expected = Expected {
                        or_key_unavailable: scheme.fetches_keys(),
                        ..Expected::refused(RefusalKind::Signature)
                    };
                    return Ok(Made {
                        callback,
                        expected,
                        shows: None,
                    });
                }
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    /// Signed where that can be done and shows nothing: it is refused before anybody looks.
    fn base(&self, of: &str) -> Result<Callback, String> {
        match self.good(of) {
            Ok((index, callback)) if shown(self.group, index).is_none() => Ok(callback),
            _ => self.blank(self.now, of),
        }
    }

    fn refused_unseen(&self, callback: Callback, kind: RefusalKind) -> Made {
        Made {
            callback,
            expected: Expected::refused(kind),
            shows: None,
        }
    }

    fn oversized(&self) -> Variant {
        let limit = self.base("large").and_then(|mut callback| {
            let taken = &self.group.function.protocol.content_types;
            if let Some(one) = taken.first().filter(|_| callback.body.is_empty()) {
                put(&mut callback.headers, CONTENT_TYPE.as_str(), one)?;
            }
            let limit = self.group.admit(head(&callback), None);
            Ok((callback, limit.map_err(|refusal| refusal.reason)?))
        });
        let (about, padded_to) = match &limit {
            Ok((_, limit)) => (
                format!("a byte more than the {limit} that the group takes"),
                limit + 1,
            ),
            Err(_) => ("a body larger than the group takes".to_owned(), 0),
        };
        let made =
            limit.map(|(callback, _)| self.refused_unseen(callback, RefusalKind::BodyTooLarge));
        let mut variant = self.variant(SampleVariant::Oversized, about, made);
        variant.padded_to = padded_to;
        variant
    }

    fn wrong_method(&self) -> Variant {
        let taken = &self.group.function.protocol.methods;
        let strange = [Method::PUT, Method::DELETE, Method::PATCH, Method::POST];
        let strange = strange
            .into_iter()
            .find(|one| taken.iter().all(|known| known != one.as_str()));
        let about = match &strange {
            Some(method) => format!("by {method}"),
            None => "by another method".to_owned(),
        };
        let made = strange
            .ok_or_else(|| "the provider may use any method".to_owned())
            .and_then(|method| {
                let mut callback = self.base("method")?;
                callback.method = method;
                Ok(self.refused_unseen(callback, RefusalKind::Method))
            });
        self.variant(SampleVariant::WrongMethod, about, made)
    }

    fn wrong_media_type(&self) -> Variant {
        let made = match self.group.function.protocol.content_types.as_slice() {
            [] => Err("the provider may send any media type".to_owned()),
            _ => self.base("media type").and_then(|mut callback| {
                put(&mut callback.headers, CONTENT_TYPE.as_str(), STRANGE)?;
                Ok(self.refused_unseen(callback, RefusalKind::MediaType))
            }),
        };
        self.variant(SampleVariant::WrongMediaType, format!("as {STRANGE}"), made)
    }
}

/// Seconds from now at which a signature is too old, and too far ahead. None where nothing checks that.
fn windows(scheme: &Scheme) -> (Option<i64>, Option<i64>) {
    if let Proof::Jwt(token) = &scheme.proof {
        let leeway = i64::try_from(token.leeway.as_secs()).unwrap_or_default();
        return (Some(-(token::GOOD_FOR + leeway + BEYOND_SECONDS)), None);
    }
    let Some(time) = &scheme.timestamp else {
        return (None, None);
    };
    let beyond = i64::try_from(time.tolerance.as_secs()).unwrap_or_default() + BEYOND_SECONDS;
    let is_checked_ahead = matches!(time.window, TimeWindow::Both | TimeWindow::Past);
    (Some(-beyond), is_checked_ahead.then_some(beyond))
}

/// What of the body is proven: all of it is the empty list. None: nothing.
fn places_in_body(coverage: &Coverage) -> Option<Vec<Location>> {
    if coverage.covers(&Location::Body) || coverage.covers(&Location::Form(String::new())) {
        return Some(Vec::new());
    }
    let places: Vec<Location> = coverage
        .locations()
        .filter(|one| {
            matches!(
                one.base(),
                Location::Json(_) | Location::Raw(_) | Location::Form(_)
            )
        })
        .cloned()
        .collect();
    (!places.is_empty()).then_some(places)
}

/// True where a signature in the body is left there, empty, for which a key is fetched all the same.
fn leaves_empty(scheme: &Scheme) -> bool {
    let carrier = match &scheme.proof {
        Proof::PublicKey(signature) => &signature.carrier,
        _ => return false,
    };
    let is_aside = |at: &Location| matches!(at, Location::Header(_) | Location::Query(_));
    scheme.fetches_keys() && !carrier.locations().all(is_aside)
}

/// Takes off what would prove it.
fn strip(callback: &mut Callback, scheme: &Scheme, keyed: &KeyedScheme) -> Result<(), String> {
    match &scheme.proof {
        Proof::Hmac(hash) | Proof::Digest(hash) => hash
            .carrier
            .locations()
            .try_for_each(|at| remove(callback, at)),
        Proof::PublicKey(signature) => signature
            .carrier
            .locations()
            .try_for_each(|at| remove(callback, at)),
        Proof::Jwt(token) => remove(callback, &token.place),
        Proof::Token(token) => match (&token.place, &keyed.token) {
            // An empty one, everywhere.
            (TokenPlace::Everywhere(pattern), _) => everywhere(callback, pattern, ""),
            (_, Some(named)) => remove(callback, named),
            (TokenPlace::At(location), None) => remove(callback, location),
        },
        Proof::Basic { .. } => {
            callback.headers.remove(http::header::AUTHORIZATION);
            Ok(())
        }
        Proof::Unsigned => Ok(()),
    }
}
