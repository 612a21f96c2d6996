//! Time as an argument, and on the wire.

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

/// As protobuf has it.
pub fn to_wire(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.seconds(),
        // Below a second, so it fits.
        nanos: (time.0.rem_euclid(1000) * 1_000_000) as i32,
    }
}

/// As we count it. What is out of range is the nearest that is not.
pub fn from_wire(time: &prost_types::Timestamp) -> Timestamp {
    let millis = time.seconds.saturating_mul(1000);
    Timestamp(millis.saturating_add(i64::from(time.nanos) / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_before_and_after_1970_keep_their_place() {
        let after = to_wire(Timestamp(1_500));
        assert_eq!((after.seconds, after.nanos), (1, 500_000_000));
        let before = to_wire(Timestamp(-1));
        assert_eq!((before.seconds, before.nanos), (-1, 999_000_000));
        assert_eq!(from_wire(&after), Timestamp(1_500));
        assert_eq!(from_wire(&before), Timestamp(-1));
    }
}
