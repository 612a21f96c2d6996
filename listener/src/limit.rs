//! Token buckets in bounded memory.
//!
//! Only buckets that aren't full are worth remembering: one that has been left alone for a second is full again. When there is no room
//! even so, keys that nobody has seen yet share one bucket, so that a flood from ever new addresses is limited as if it were one.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const SHARDS: usize = 16;
/// A bucket holds one second's worth, so that it is full after a second.
const REFILL: Duration = Duration::from_secs(1);
/// Looking for full buckets costs a pass over a shard, so it is not done at every request of a flood.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// Whom a source address is taken for: itself, or its /64, which is what one sender has of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source(u64);

impl Source {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No IPv6 sender has this prefix: ::/32 holds only the unspecified and the loopback address.
            IpAddr::V4(address) => Self(u64::from(address.to_bits())),
            IpAddr::V6(address) => Self((address.to_bits() >> 64) as u64),
        }
    }
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, rate: u32, now: Instant) -> bool {
        let rate = f64::from(rate);
        let idle = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + idle * rate).min(rate);
        self.at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

struct Shard<K> {
    buckets: HashMap<K, Bucket>,
    /// For keys there is no room for.
    shared: Option<Bucket>,
    swept: Option<Instant>,
}

/// Buckets by key.
pub(crate) struct Buckets<K> {
    shards: Vec<Mutex<Shard<K>>>,
    hasher: RandomState,
    max_per_shard: usize,
}

impl<K: Hash + Eq> Buckets<K> {
    pub(crate) fn new(max: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                buckets: HashMap::new(),
                shared: None,
                swept: None,
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            hasher: RandomState::new(),
            max_per_shard: max.div_ceil(SHARDS),
        }
    }

    /// Takes a token of this key's `rate` a second. False when there is none.
    pub(crate) fn take<Q>(&self, key: &Q, rate: u32, now: Instant) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        // The remainder is below the number of shards, so the index is in range.
        let index = (self.hasher.hash_one(key) % SHARDS as u64) as usize;
        let mut shard = self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = shard.buckets.get_mut(key) {
            return bucket.take(rate, now);
        }
        let full = Bucket {
            tokens: f64::from(rate),
            at: now,
        };
        if shard.buckets.len() >= self.max_per_shard {
            shard.sweep(now);
        }
        if shard.buckets.len() >= self.max_per_shard {
            return shard.shared.get_or_insert(full).take(rate, now);
        }
        let bucket = shard.buckets.entry(key.to_owned()).or_insert(full);
        bucket.take(rate, now)
    }
}

impl<K: Hash + Eq> Shard<K> {
    fn sweep(&mut self, now: Instant) {
        if self
            .swept
            .is_some_and(|at| now.saturating_duration_since(at) < SWEEP_EVERY)
        {
            return;
        }
        self.swept = Some(now);
        self.buckets
            .retain(|_, bucket| now.saturating_duration_since(bucket.at) < REFILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_one_seconds_worth_is_taken_and_no_more() {
        let buckets = Buckets::<String>::new(16);
        let start = Instant::now();
        let taken = |now| (0..50).filter(|_| buckets.take("a", 10, now)).count();
        assert_eq!(taken(start), 10);
        assert_eq!(taken(start + Duration::from_millis(500)), 5);
        assert_eq!(taken(start + Duration::from_secs(60)), 10);
    }

    #[test]
    fn one_key_never_spends_anothers_tokens() {
        let buckets = Buckets::<String>::new(1024);
        let now = Instant::now();
        while buckets.take("a", 3, now) {}
        assert!(buckets.take("b", 3, now));
    }

    #[test]
    fn a_flood_from_ever_new_addresses_is_limited_and_takes_no_more_room() {
        let buckets = Buckets::<Source>::new(160);
        let now = Instant::now();
        let taken = (0..100_000_u64)
            .filter(|n| buckets.take(&Source(*n), 5, now))
            .count();
        // Those there is room for, once each, and one shared bucket of 5 per shard.
        assert!(taken <= 160 + SHARDS * 5, "{taken}");
        let entries: usize = buckets
            .shards
            .iter()
            .map(|shard| shard.lock().map_or(0, |shard| shard.buckets.len()))
            .sum();
        assert!(entries <= 160, "{entries}");
        // A second later the room is free again.
        let later = now + Duration::from_secs(2);
        assert!(buckets.take(&Source(u64::MAX), 5, later));
    }

    #[test]
    fn an_ipv6_sender_is_its_64_and_a_mapped_ipv4_is_itself() {
        let of = |text: &str| text.parse::<IpAddr>().map(Source::of);
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
