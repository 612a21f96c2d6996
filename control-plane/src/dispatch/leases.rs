//! What one subscriber holds: its leases, and those it held a while ago.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

/// Leases that ended and are still known as this subscriber's.
const REMEMBERED: usize = 4_096;

/// The leases of one stream.
#[derive(Default)]
pub(super) struct Leases {
    held: BTreeMap<String, Instant>,
    past: VecDeque<String>,
}

/// What a token is to this stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Held now.
    Held,
    /// Was held: settled, or run out. The log decides what a late answer is worth.
    Past,
    /// Never was: somebody else's, or made up.
    Foreign,
}

impl Leases {
    pub(super) fn take(&mut self, token: String, until: Instant) {
        self.held.insert(token, until);
    }

    pub(super) fn token(&self, token: &str) -> Token {
        if self.held.contains_key(token) {
            Token::Held
        } else if self.past.iter().any(|past| past == token) {
            Token::Past
        } else {
            Token::Foreign
        }
    }

    pub(super) fn extend(&mut self, token: &str, until: Instant) {
        if let Some(old) = self.held.get_mut(token) {
            *old = until;
        }
    }

    pub(super) fn end(&mut self, token: &str) {
        if self.held.remove(token).is_some() {
            self.past.push_back(token.to_owned());
            if self.past.len() > REMEMBERED {
                self.past.pop_front();
            }
        }
    }

    /// Frees the credit of those that ran out.
    pub(super) fn expire(&mut self, now: Instant) {
        let over: Vec<String> = self
            .held
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(token, _)| token.clone())
            .collect();
        over.iter().for_each(|token| self.end(token));
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.held.values().min().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn into_held(self) -> Vec<String> {
        self.held.into_keys().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lease_that_ran_out_frees_its_credit_and_is_still_ours() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.take("a".to_owned(), now + Duration::from_secs(1));
        leases.take("b".to_owned(), now + Duration::from_secs(3));
        leases.expire(now + Duration::from_secs(2));
        assert_eq!(leases.len(), 1);
        assert_eq!(leases.token("a"), Token::Past);
        assert_eq!(leases.token("b"), Token::Held);
        assert_eq!(leases.token("c"), Token::Foreign);
    }

    #[test]
    fn an_extended_lease_does_not_run_out() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.take("a".to_owned(), now + Duration::from_secs(1));
        leases.extend("a", now + Duration::from_secs(5));
        leases.expire(now + Duration::from_secs(2));
        assert_eq!(leases.token("a"), Token::Held);
        assert_eq!(leases.into_held(), ["a"]);
    }
}
