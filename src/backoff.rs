//! The pauses between attempts that fail.

use std::time::Duration;

/// A pause that doubles with each failure in a row.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    /// The last pause; `None` if the last attempt succeeded.
    pause: Option<Duration>,
}

impl Backoff {
    /// For `accept`, which fails when the system is out of descriptors or memory: long enough not to
    /// spin, and no client waits longer than a second once there are some again.
    pub(crate) const ACCEPT: Self = Self::new(Duration::from_millis(5), Duration::from_secs(1));

    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            pause: None,
        }
    }

    /// Notes a failure; returns the pause before the next attempt.
    pub(crate) fn failed(&mut self) -> Duration {
        let pause = self.pause.map_or(self.min, |last| (last * 2).min(self.max));
        self.pause = Some(pause);
        pause
    }

    /// Notes a success; returns whether it ends a series of failures.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.pause.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_start_again() {
        let mut backoff = Backoff::ACCEPT;
        let pauses: Vec<_> = (0..20).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(pauses[..4], [5, 10, 20, 40]);
        assert_eq!(pauses[7..10], [640, 1_000, 1_000]);
        assert_eq!(pauses[19], 1_000);
        assert!(backoff.succeeded());
        assert!(!backoff.succeeded());
        assert_eq!(backoff.failed().as_millis(), 5);
    }
}
