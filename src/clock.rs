//! The wall clock. What decides gets the time with each call, and never asks for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock, as the time since the unix epoch; zero when it is set before.
#[must_use]
pub fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The wall clock, in milliseconds since the unix epoch; 0 when it is set before.
#[must_use]
pub fn unix_ms() -> u64 {
    unix_time().as_millis() as u64
}
