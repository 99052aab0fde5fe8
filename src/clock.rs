//! The wall clock. Code that makes decisions is passed the time, and never reads the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock, as the time since the unix epoch; zero if it is set before.
#[must_use]
pub fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The wall clock, in milliseconds since the unix epoch; 0 if it is set before.
#[must_use]
pub fn unix_ms() -> u64 {
    unix_time().as_millis() as u64
}
