//! Who is signed in: a cookie that holds the token, sealed, and when it ends.
//!
//! Nothing is kept at the server, so any replica knows a session of another, and a token that is revoked ends every session that was begun with it.
//! Signing out deletes the cookie. Who works on goes on being signed in: a page that is shown in the second half of a session begins it anew.

use std::sync::{Arc, OnceLock};

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
/// How far the clock of the replica that began it may be ahead: else a clock that was wrong once makes a session that lasts.
const AHEAD_SECONDS: i64 = 5 * 60;
const NONCE_BYTES: usize = 24;
/// Bound into what is sealed, so that nothing else that this key seals is a session.
const PURPOSE: &[u8] = b"hookplane console session 1";
/// A token is far smaller.
const MAX_COOKIE_BYTES: usize = 4 * 1024;
/// Cookies of our name that are looked into.
const MAX_TRIED: usize = 8;

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
    /// What a form carries to show that one of our pages made it. Of the token: a form that is open while the session is renewed is still taken.
    pub(crate) mark: String,
    ends: i64,
    secure: bool,
}

/// On a request: the cookie that its answer begins the session anew with.
#[derive(Clone, Default)]
pub(crate) struct Renewal(Arc<OnceLock<String>>);

impl Renewal {
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

impl SessionKey {
    /// The cookie's name. Browsers see to it that a secure one comes from this very host and over TLS. They send one host's cookies to all its ports:
    /// so each installation has a name of its own, the same at every replica.
    fn cookie_name(&self, secure: bool) -> String {
        let own = self.mac(b"hookplane console cookie 1", b"");
        let prefix = if secure { "__Host-" } else { "" };
        format!("{prefix}hookplane-{}", own.get(..8).unwrap_or_default())
    }

    /// The value of a `set-cookie` header that begins a session; None: no randomness from the system.
    pub(crate) fn begin(&self, token: &str, now: i64, secure: bool) -> Option<String> {
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
        Some(self.set_cookie(&value, LIFETIME_SECONDS, secure))
    }

    /// The values of the `set-cookie` headers that end the session, however it came.
    pub(crate) fn ended(&self) -> [String; 2] {
        [true, false].map(|secure| self.set_cookie("", 0, secure))
    }

    fn set_cookie(&self, value: &str, seconds: i64, secure: bool) -> String {
        let name = self.cookie_name(secure);
        let secure = if secure { "; Secure" } else { "" };
        // Lax: a link from a colleague's message opens signed in; a form from elsewhere never does.
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }

    /// The one that a cookie of the request holds, if it is ours and hasn't ended. With `tls` the one that browsers vouch for alone; else that first,
    /// for a proxy may have ended TLS. Of one name there may be several, for anybody at the host can set one of a narrower path.
    pub(crate) fn of(&self, headers: &HeaderMap, now: i64, tls: bool) -> Option<Session> {
        let kinds: &[bool] = if tls { &[true] } else { &[true, false] };
        kinds.iter().find_map(|&secure| {
            let name = self.cookie_name(secure);
            let mut tried = cookies(headers, &name).take(MAX_TRIED);
            tried.find_map(|value| self.open(value, now, secure))
        })
    }

    /// Where more than half of a session is gone. Its token has just been let in.
    pub(crate) fn renew(&self, session: &Session, now: i64, renewal: &Renewal) {
        let half = session.ends.saturating_sub(LIFETIME_SECONDS / 2);
        if now > half
            && let Some(cookie) = self.begin(&session.token, now, session.secure)
        {
            // A request is let in once.
            let _ = renewal.0.set(cookie);
        }
    }

    fn open(&self, value: &str, now: i64, secure: bool) -> Option<Session> {
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
        if ends <= now || ends > now.saturating_add(LIFETIME_SECONDS + AHEAD_SECONDS) {
            return None;
        }
        Some(Session {
            mark: self.mac(b"hookplane console form 2", token),
            token: Zeroizing::new(String::from_utf8(token.to_vec()).ok()?),
            ends,
            secure,
        })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.as_slice().try_into().unwrap_or_else(|_| {
            // The array has the cipher's key size.
            unreachable!("32 bytes")
        }))
    }

    fn mac(&self, purpose: &[u8], of: &[u8]) -> String {
        // Any length is a key for HMAC.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("any key length");
        mac.update(purpose);
        mac.update(of);
        hex::encode(mac.finalize().into_bytes())
    }
}

impl Session {
    pub(crate) fn marked(&self, mark: &str) -> bool {
        bool::from(self.mark.as_bytes().ct_eq(mark.as_bytes()))
    }
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(key, _)| *key == name)
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
        let ahead = 1_000 - AHEAD_SECONDS;
        assert!(key.of(&asked, ahead, true).is_some());
        assert!(key.of(&asked, ahead - 1, true).is_none());
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
            let cookie = format!("{}={changed}", key.cookie_name(false));
            assert!(key.of(&asked(&cookie), 0, false).is_none());
        }
        for strange in ["", "zz", "00", &"0".repeat(10_000)] {
            let cookie = format!("{}={strange}", key.cookie_name(false));
            assert!(key.of(&asked(&cookie), 0, false).is_none());
        }
    }

    fn sent(cookies: &[&str]) -> HeaderMap {
        let pairs = cookies.iter().map(|set| set.split(';').next().unwrap());
        let pairs: Vec<_> = pairs.collect();
        HeaderMap::from_iter([(COOKIE, pairs.join("; ").parse().unwrap())])
    }

    #[test]
    fn installations_at_one_host_have_cookies_of_their_own() {
        let (one, two) = (SessionKey::new([7; 32]), SessionKey::new([8; 32]));
        assert_ne!(one.cookie_name(false), two.cookie_name(false));
        assert_eq!(
            one.cookie_name(true),
            SessionKey::new([7; 32]).cookie_name(true)
        );
        let begun = [&one, &two].map(|key| key.begin("hp_1", 0, false).unwrap());
        let both = sent(&[&begun[0], &begun[1]]);
        assert!(one.of(&both, 1, false).is_some() && two.of(&both, 1, false).is_some());
    }

    #[test]
    fn a_planted_cookie_of_the_same_name_hides_nobodys_session() {
        let key = SessionKey::new([7; 32]);
        let begun = key.begin("hp_1", 0, false).unwrap();
        let planted = format!("{}=00ff", key.cookie_name(false));
        assert!(key.of(&sent(&[&planted, &begun]), 1, false).is_some());
        let many = vec![planted.as_str(); MAX_TRIED];
        let many = [many, vec![begun.as_str()]].concat();
        assert!(key.of(&sent(&many), 1, false).is_none());
    }

    #[test]
    fn a_secure_cookie_is_taken_before_another_and_alone_where_tls_ends_here() {
        let key = SessionKey::new([7; 32]);
        let secure = key.begin("hp_secure", 0, true).unwrap();
        let plain = key.begin("hp_plain", 0, false).unwrap();
        assert!(secure.starts_with("__Host-") && secure.ends_with("; Secure"));
        let token = |cookies: &[&str], tls: bool| {
            let session = key.of(&sent(cookies), 1, tls);
            session.map(|session| session.token.to_string())
        };
        let both = [plain.as_str(), secure.as_str()];
        assert_eq!(token(&both, false).as_deref(), Some("hp_secure"));
        assert_eq!(token(&[&plain], false).as_deref(), Some("hp_plain"));
        assert_eq!(token(&[&plain], true), None);
    }
}
