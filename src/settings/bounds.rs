//! What a number or a time may be, and the units that bounds are written in.

use std::time::Duration;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;

pub(super) const HOUR: Duration = secs(60 * 60);
pub(super) const DAY: Duration = secs(24 * 60 * 60);

/// What a number or a time may be.
#[derive(Clone, Copy)]
pub(super) struct Bounds<T> {
    /// Smallest value, zero apart.
    pub(super) min: T,
    /// Largest value.
    pub(super) max: T,
    /// What zero means, where it means something of its own; it is then allowed below `min`.
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
