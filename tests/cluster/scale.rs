//! How large and how long a scenario is: small in `cargo xtask test`, as asked in
//! `cargo xtask cluster`.

use std::str::FromStr;

/// A scenario's size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Seconds under load.
    pub(crate) seconds: u64,
    /// Subscribers.
    pub(crate) streams: usize,
    /// Events a second.
    pub(crate) rate: u64,
    /// Seed of all that is random in the test itself.
    pub(crate) seed: u64,
}

impl Scale {
    /// This size, if the environment names no other one; `xtask/src/cluster.rs` sets it.
    pub(crate) fn or(seconds: u64, streams: usize, rate: u64) -> Self {
        Self {
            seconds: variable("CLUSTER_SECONDS").unwrap_or(seconds),
            streams: variable("CLUSTER_STREAMS").unwrap_or(streams),
            rate: variable("CLUSTER_RATE").unwrap_or(rate),
            seed: variable("CLUSTER_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000)),
        }
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    let value = text.parse().ok();
    Some(value.unwrap_or_else(|| panic!("{name} is {text:?}, which is no number")))
}
