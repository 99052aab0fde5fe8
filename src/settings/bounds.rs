//! Bounds on numbers and times, and the units that they are written in.

use std::time::Duration;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;

pub(super) const MINUTE: Duration = secs(60);
pub(super) const HOUR: Duration = secs(60 * 60);
pub(super) const DAY: Duration = secs(24 * 60 * 60);

/// Bounds on a number or a time.
#[derive(Clone, Copy)]
pub(super) struct Bounds<T> {
    /// Smallest value other than zero.
    pub(super) min: T,
    /// Largest value.
    pub(super) max: T,
    /// The meaning of zero, if it has a special one; zero is then allowed below `min`.
    pub(super) zero: Option<&'static str>,
}

pub(super) const fn from_to<T: Copy>(min: T, max: T) -> Bounds<T> {
    Bounds {
        min,
        max,
        zero: None,
    }
}

pub(super) const fn or_zero<T: Copy>(bounds: Bounds<T>, meaning: &'static str) -> Bounds<T> {
    Bounds {
        zero: Some(meaning),
        ..bounds
    }
}

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
