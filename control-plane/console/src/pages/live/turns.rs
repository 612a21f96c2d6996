//! How many streams there are at once: of one token, of one org, and of all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Streams of one token, of one org, and of all.
const OF_ONE: usize = 8;
const OF_ORG: usize = 64;
const IN_ALL: usize = 256;

/// The streams that there are.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    in_all: usize,
    of_token: HashMap<String, usize>,
    of_org: HashMap<String, usize>,
}

/// One of them.
pub(super) struct Turn {
    streams: Streams,
    token: String,
    org: String,
}

impl Streams {
    /// Or why there is none.
    pub(super) fn take(&self, token: &str, org: &str) -> Result<Turn, String> {
        let mut open = self.lock();
        let of = |open: &HashMap<String, usize>, whose: &str| open.get(whose).copied().unwrap_or(0);
        if of(&open.of_token, token) >= OF_ONE {
            return Err(format!(
                "{OF_ONE} live views are open with this token, and there can be no more: close one of the others, and this one begins by itself."
            ));
        }
        if of(&open.of_org, org) >= OF_ORG {
            return Err(format!(
                "{OF_ORG} live views of this org are open, and there can be no more: this one begins by itself once somebody closes another."
            ));
        }
        if open.in_all >= IN_ALL {
            return Err(format!(
                "{IN_ALL} live views are open here, and there can be no more: this one begins by itself once somebody closes another."
            ));
        }
        open.in_all += 1;
        *open.of_token.entry(token.to_owned()).or_default() += 1;
        *open.of_org.entry(org.to_owned()).or_default() += 1;
        Ok(Turn {
            streams: self.clone(),
            token: token.to_owned(),
            org: org.to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        open.in_all -= 1;
        one_less(&mut open.of_token, &self.token);
        one_less(&mut open.of_org, &self.org);
    }
}

fn one_less(open: &mut HashMap<String, usize>, whose: &str) {
    if let Some(count) = open.get_mut(whose) {
        *count -= 1;
        if *count == 0 {
            open.remove(whose);
        }
    }
}

#[cfg(test)]
impl Streams {
    /// Once all of them are given back.
    pub(super) async fn given_back(&self) {
        let free = async {
            while self.lock().in_all > 0 {
                tokio::task::yield_now().await;
            }
        };
        let patience = std::time::Duration::from_secs(60);
        tokio::time::timeout(patience, free).await.unwrap();
        assert!(self.lock().of_token.is_empty() && self.lock().of_org.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_so_many_and_the_next_is_told_why() {
        let streams = Streams::default();
        let turns: Vec<_> = (0..OF_ONE)
            .map(|_| streams.take("t", "acme").unwrap())
            .collect();
        let refused = streams.take("t", "acme").map(drop).unwrap_err();
        assert!(refused.contains("close one of the others"), "{refused}");
        assert!(streams.take("other", "acme").is_ok());
        drop(turns);
        assert!(streams.take("t", "acme").is_ok());
    }

    // Promise 8: whatever tokens one org makes, another's views have room.
    #[tokio::test]
    async fn no_org_has_all_streams() {
        let streams = Streams::default();
        let turn = |n: usize| streams.take(&(n / OF_ONE).to_string(), "greedy");
        let turns: Vec<_> = (0..OF_ORG).map(|n| turn(n).unwrap()).collect();
        assert!(turn(OF_ORG).is_err());
        assert!(streams.take("t", "other").is_ok());
        drop(turns);
        streams.given_back().await;
    }
}
