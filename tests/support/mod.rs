//! Support for the tests over real sockets: a running node, and clients that check every byte of
//! it.
//!
//! Every client here is written from the specifications and uses no code of the library under test.
//! No wait is a sleep: each waits for a condition, and fails at [`DEADLINE`].

// Each test binary compiles this module for itself and uses a part of it.
#![allow(dead_code)]

pub(crate) mod activation;
pub(crate) mod free_port;
pub(crate) mod frozen;
pub(crate) mod http;
pub(crate) mod http2;
pub(crate) mod node;
pub(crate) mod resp;
pub(crate) mod sse;
pub(crate) mod supervisor;

use std::time::{Duration, Instant};

/// Longest wait of a test; far above the needs of a loaded machine, so that only a fault reaches
/// it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Time between two checks of a condition that has to be polled.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until `condition` returns a value; panics with `what` at the deadline.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            Instant::now() < end,
            "waited {DEADLINE:?} in vain until {what}"
        );
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

/// Waits until `condition` holds; panics with `what` at the deadline.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}
