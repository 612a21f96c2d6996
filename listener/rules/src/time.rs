//! Time as an argument.

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whole seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// Where the servers get the time. The real one is made in the outermost place; tests bring their own.
pub trait Clock: Send + Sync + 'static {
    /// The time now, by the machine's clock.
    fn now(&self) -> Timestamp;
}
