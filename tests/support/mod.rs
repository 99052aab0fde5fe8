//! What the tests over real sockets share: a running node, and clients that believe nothing the
//! node does not say.
//!
//! Every client here is written against the specifications and uses nothing of the library under
//! test. Nothing waits by sleeping for a time: everything waits for a condition, and fails at
//! [`DEADLINE`].

// Each test binary compiles this module for itself and uses a part of it.
#![allow(dead_code)]

pub(crate) mod http;
pub(crate) mod node;
pub(crate) mod resp;
pub(crate) mod sse;

use std::time::{Duration, Instant};

/// Longest time that a test waits for anything; far above what a loaded machine needs, so that only
/// a fault reaches it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Time between two looks at a condition that cannot be waited for otherwise.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until `condition` gives a value; panics with `what` at the deadline.
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
