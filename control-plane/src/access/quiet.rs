//! Lines of the log that an outsider can cause: only so many in a while, and how many were left out.

use std::sync::{Mutex, PoisonError};

use hookplane_rules::Timestamp;

/// Lines in each while.
const LINES: u64 = 20;
/// A while, in milliseconds.
const WHILE: i64 = 10_000;

#[derive(Default)]
pub(super) struct Quiet(Mutex<Window>);

#[derive(Default)]
struct Window {
    began: i64,
    lines: u64,
    left_out: u64,
}

impl Quiet {
    /// Whether there may be a line now, and how many were left out before it.
    pub(super) fn line(&self, now: Timestamp) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back begins a new one too.
        if !(0..WHILE).contains(&now.0.saturating_sub(window.began)) {
            (window.began, window.lines) = (now.0, 0);
        }
        if window.lines >= LINES {
            window.left_out += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_makes_few_lines_and_the_next_says_how_many_it_left_out() {
        let quiet = Quiet::default();
        let lines = (0..1_000).filter(|_| quiet.line(Timestamp(5)).is_some());
        assert_eq!(lines.count() as u64, LINES);
        assert_eq!(quiet.line(Timestamp(5 + WHILE)), Some(1_000 - LINES));
        assert_eq!(quiet.line(Timestamp(0)), Some(0), "the clock was set back");
    }
}
