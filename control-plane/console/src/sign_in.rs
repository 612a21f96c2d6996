//! Links that sign in once: what `dev` prints, so that the first look takes no copying of tokens.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Links that wait to be followed.
const MAX_LINKS: usize = 16;
/// How long one waits.
const LIFETIME_SECONDS: i64 = 15 * 60;

/// Kept in memory: a link is for the process that printed it.
#[derive(Clone, Default)]
pub struct SignInLinks(Arc<Mutex<Vec<Link>>>);

struct Link {
    /// Of its code, so that a look into memory or a log finds no code.
    sha256: [u8; 32],
    token: Zeroizing<String>,
    ends: i64,
}

impl fmt::Debug for SignInLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignInLinks(..)")
    }
}

impl SignInLinks {
    /// A path that signs in with this token, once, for 15 minutes. None: no randomness from the system.
    pub fn make(&self, token: &str, now: i64) -> Option<String> {
        let mut code = [0u8; 32];
        getrandom::fill(&mut code).ok()?;
        let code = hex::encode(code);
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.ends > now);
        if links.len() >= MAX_LINKS {
            links.remove(0);
        }
        links.push(Link {
            sha256: Sha256::digest(&code).into(),
            token: Zeroizing::new(token.to_owned()),
            ends: now.saturating_add(LIFETIME_SECONDS),
        });
        Some(format!("/sign-in?link={code}"))
    }

    /// The token, if the code is of a link that nobody has followed yet.
    pub(crate) fn follow(&self, code: &str, now: i64) -> Option<Zeroizing<String>> {
        // 256 random bits, compared by their hash: time tells nothing of use.
        let sha256: [u8; 32] = Sha256::digest(code).into();
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = links.iter().position(|link| link.sha256 == sha256)?;
        let link = links.remove(index);
        (link.ends > now).then_some(link.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_signs_in_once_and_in_time() {
        let links = SignInLinks::default();
        let code = |path: String| path.split_once("link=").unwrap().1.to_owned();
        let first = code(links.make("hp_1", 0).unwrap());
        assert!(links.follow("", 1).is_none());
        assert_eq!(links.follow(&first, 1).unwrap().as_str(), "hp_1");
        assert!(links.follow(&first, 1).is_none());
        let late = code(links.make("hp_1", 0).unwrap());
        assert!(links.follow(&late, LIFETIME_SECONDS).is_none());
    }
}
