//! The times of the source.

use std::time::Duration;

/// The times of the source.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Longest time for connecting and subscribing.
    pub connect_timeout: Duration,
    /// Time between two probes.
    pub probe_every: Duration,
    /// Time for a probe to come back, not counting the time in which the node reads nothing.
    pub probe_timeout: Duration,
    /// First pause after a failure; it doubles with each further one.
    pub pause_min: Duration,
    /// Longest pause after a failure.
    pub pause_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            probe_every: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(3),
            pause_min: Duration::from_millis(100),
            pause_max: Duration::from_secs(5),
        }
    }
}

/// A time that is up to a quarter shorter, so that nodes that started together do not stay together.
pub(super) fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.75 + fastrand::f64() / 4.0)
}
