//! When a refused client may come back.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Seconds after which a refused client is asked to come back. Each client gets a random value, so
/// that clients refused together do not come back together.
const RETRY_S: RangeInclusive<u64> = 3..=15;

/// Longest time that a refused client may be asked to wait at least: one minute.
const RETRY_AT_LEAST_MAX_S: u64 = 60;

/// A value of `Retry-After`, in seconds.
pub(crate) fn retry_after_s() -> u64 {
    fastrand::u64(RETRY_S)
}

/// A value of `Retry-After`, in seconds, which is not below `least` and at most twice as long.
pub(crate) fn retry_after_at_least_s(least: Duration) -> u64 {
    let least = (least.as_millis().div_ceil(1_000) as u64).clamp(1, RETRY_AT_LEAST_MAX_S);
    fastrand::u64(least..=2 * least)
}

/// A value of `retry:` of an event stream, in milliseconds.
pub(crate) fn retry_ms() -> u64 {
    fastrand::u64(RETRY_S.start() * 1_000..=RETRY_S.end() * 1_000)
}
