//! Who is signed in: a cookie that holds the token, sealed, and when it ends.
//!
//! Nothing is kept at the server, so any replica knows a session of another, and a token that is revoked ends every session that was begun with it.
//! Signing out deletes the cookie.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use http::HeaderMap;
use http::header::COOKIE;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How long one lasts.
pub(crate) const LIFETIME_SECONDS: i64 = 12 * 3600;
const NONCE_BYTES: usize = 24;
/// Bound into what is sealed, so that nothing else that this key seals is a session.
const PURPOSE: &[u8] = b"hookplane console session 1";
/// A token is far smaller.
const MAX_COOKIE_BYTES: usize = 4 * 1024;

/// Seals sessions, and marks forms.
#[derive(Clone)]
pub struct SessionKey(Zeroizing<[u8; 32]>);

impl SessionKey {
    /// From 32 secret bytes, of use for nothing else.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }
}

/// Somebody who is signed in.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) token: Zeroizing<String>,
    /// What a form carries to show that one of our pages made it.
    pub(crate) mark: String,
}

/// The cookie's name. With TLS browsers see to it that it comes from this very host and over TLS.
pub(crate) fn cookie_name(tls: bool) -> &'static str {
    if tls { "__Host-hookplane" } else { "hookplane" }
}

impl SessionKey {
    /// The value of a `set-cookie` header that begins a session; None: no randomness from the system.
    pub(crate) fn begin(&self, token: &str, now: i64, tls: bool) -> Option<String> {
        let mut nonce = [0u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let mut plain = Zeroizing::new(Vec::new());
        plain.extend_from_slice(&now.saturating_add(LIFETIME_SECONDS).to_be_bytes());
        plain.extend_from_slice(token.as_bytes());
        let payload = Payload {
            msg: &plain,
            aad: PURPOSE,
        };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload).ok()?;
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(&sealed);
        let value = hex::encode(bytes);
        Some(set_cookie(&value, LIFETIME_SECONDS, tls))
    }

    /// The one that the request's cookie holds, if it is ours and hasn't ended.
    pub(crate) fn of(&self, headers: &HeaderMap, now: i64, tls: bool) -> Option<Session> {
        let value = cookie(headers, cookie_name(tls))?;
        if value.len() > MAX_COOKIE_BYTES {
            return None;
        }
        let bytes = hex::decode(value).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let payload = Payload {
            msg: sealed,
            aad: PURPOSE,
        };
        let plain = self.cipher().decrypt(&XNonce::from(nonce), payload).ok()?;
        let plain = Zeroizing::new(plain);
        let (ends, token) = plain.split_at_checked(8)?;
        let ends = i64::from_be_bytes(ends.try_into().ok()?);
        if ends <= now {
            return None;
        }
        Some(Session {
            token: Zeroizing::new(String::from_utf8(token.to_vec()).ok()?),
            mark: self.mark(&nonce),
        })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.as_slice().try_into().unwrap_or_else(|_| {
            // The array has the cipher's key size.
            unreachable!("32 bytes")
        }))
    }

    fn mark(&self, nonce: &[u8]) -> String {
        // Any length is a key for HMAC.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("any key length");
        mac.update(b"hookplane console form 1");
        mac.update(nonce);
        hex::encode(mac.finalize().into_bytes())
    }
}

impl Session {
    pub(crate) fn marked(&self, mark: &str) -> bool {
        bool::from(self.mark.as_bytes().ct_eq(mark.as_bytes()))
    }
}

/// The value of a `set-cookie` header that ends the session.
pub(crate) fn ended(tls: bool) -> String {
    set_cookie("", 0, tls)
}

fn set_cookie(value: &str, seconds: i64, tls: bool) -> String {
    let name = cookie_name(tls);
    let secure = if tls { "; Secure" } else { "" };
    // Lax: a link from a colleague's message opens signed in; a form from elsewhere never does.
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(set_cookie: &str) -> HeaderMap {
        let pair = set_cookie.split(';').next().unwrap();
        HeaderMap::from_iter([(COOKIE, pair.parse().unwrap())])
    }

    #[test]
    fn a_session_is_known_until_it_ends_and_to_its_own_key_alone() {
        let key = SessionKey::new([7; 32]);
        let begun = key.begin("hp_secret", 1_000, true).unwrap();
        assert!(!begun.contains("hp_secret"));
        assert!(begun.contains("HttpOnly") && begun.contains("Secure"));
        let asked = asked(&begun);
        let session = key.of(&asked, 1_000, true).unwrap();
        assert_eq!(session.token.as_str(), "hp_secret");
        assert!(
            session.marked(&session.mark.clone()) && !session.marked("") && !session.marked("00")
        );
        assert!(key.of(&asked, 1_000 + LIFETIME_SECONDS, true).is_none());
        assert!(key.of(&asked, 1_000, false).is_none());
        assert!(SessionKey::new([8; 32]).of(&asked, 1_000, true).is_none());
    }

    #[test]
    fn a_changed_or_strange_cookie_is_nobody() {
        let key = SessionKey::new([7; 32]);
        let begun = key.begin("hp_secret", 0, false).unwrap();
        let value = begun.split(['=', ';']).nth(1).unwrap();
        for index in 0..value.len() {
            let mut changed = value.as_bytes().to_vec();
            changed[index] = if changed[index] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(
                key.of(&asked(&format!("hookplane={changed}")), 0, false)
                    .is_none()
            );
        }
        for strange in ["", "zz", "00", &"0".repeat(10_000)] {
            assert!(
                key.of(&asked(&format!("hookplane={strange}")), 0, false)
                    .is_none()
            );
        }
    }
}
