//! When a refused client may come back.

use std::ops::RangeInclusive;

/// Seconds after which a refused client is asked to come back. Each client gets a random value, so
/// that clients refused together do not come back together.
const RETRY_S: RangeInclusive<u64> = 3..=15;

/// A value of `Retry-After`, in seconds.
pub(crate) fn retry_after_s() -> u64 {
    fastrand::u64(RETRY_S)
}

/// A value of `retry:` of an event stream, in milliseconds.
pub(crate) fn retry_ms() -> u64 {
    fastrand::u64(RETRY_S.start() * 1_000..=RETRY_S.end() * 1_000)
}
