//! Bounds how often a kind of log line is written, so that no client can fill a disk.
//!
//! Each kind of line has one [`OnceAMinute`], in a static or in the object that the line is about.
//! It only decides; the caller writes the line, with its own target and fields. Costs one load if
//! the line is not due.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Time between two lines of one kind, in milliseconds.
const INTERVAL_MS: u64 = 60_000;

/// The time at which the kind of line may be written next, and the number of lines left out since
/// the last.
#[derive(Debug, Default)]
pub struct OnceAMinute {
    /// Milliseconds after [`start`] at which it may be written; 0 = at once.
    due_ms: AtomicU64,
    left_out: AtomicU64,
}

impl OnceAMinute {
    /// A kind of line that was never written.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            due_ms: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    /// Asks to write one line: `Some` with the number of lines that were left out since the last
    /// one, or `None` if this one is left out, too.
    pub fn due(&self) -> Option<u64> {
        let since = start().elapsed().as_millis();
        self.due_at(u64::try_from(since).unwrap_or(u64::MAX))
    }

    fn due_at(&self, now_ms: u64) -> Option<u64> {
        let due_ms = self.due_ms.load(Ordering::Relaxed);
        let next_ms = now_ms.saturating_add(INTERVAL_MS);
        // Of several threads at once, one writes.
        let won = now_ms >= due_ms
            && self
                .due_ms
                .compare_exchange(due_ms, next_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if won {
            Some(self.left_out.swap(0, Ordering::Relaxed))
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

/// Time of the first call in the process.
fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_minute_tells_how_many_were_left_out() {
        let pace = OnceAMinute::new();
        assert_eq!(pace.due_at(5), Some(0));
        for now_ms in [5, 6, 60_004] {
            assert_eq!(pace.due_at(now_ms), None);
        }
        assert_eq!(pace.due_at(60_005), Some(3));
        assert_eq!(pace.due_at(60_006), None);
        assert_eq!(pace.due_at(500_000), Some(1));
    }

    #[test]
    fn of_many_threads_one_writes() {
        static PACE: OnceAMinute = OnceAMinute::new();
        let threads: Vec<_> = (0..8)
            .map(|_| std::thread::spawn(|| (0..1_000).filter(|_| PACE.due().is_some()).count()))
            .collect();
        let written: usize = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum();
        assert_eq!(written, 1);
        assert_eq!(PACE.left_out.load(Ordering::Relaxed), 7_999);
    }
}
