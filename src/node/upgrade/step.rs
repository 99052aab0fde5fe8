//! The steps of a hand-over, each of which can be made to fail in a test.

use thiserror::Error;

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Check,
    Freeze,
    Write,
    Pass,
    Rehearse,
    Compare,
    Identify,
    Execute,
}

/// A test made this step fail.
#[derive(Debug, Error)]
#[error("the step {0:?} was made to fail")]
pub(in crate::node) struct Injected(Step);

/// Begins a step.
#[cfg(not(feature = "internals"))]
#[expect(clippy::unnecessary_wraps)]
pub(super) fn reach(_: Step) -> Result<(), Injected> {
    Ok(())
}

/// Begins a step. With `FAIL_UPGRADES=1` in the environment, each step fails once, in order, before
/// an upgrade succeeds.
#[cfg(feature = "internals")]
pub(super) fn reach(step: Step) -> Result<(), Injected> {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static FAILED: AtomicUsize = AtomicUsize::new(0);
    let is_due = || FAILED.load(Ordering::Relaxed) == step as usize;
    if std::env::var_os("FAIL_UPGRADES").is_some() && is_due() {
        FAILED.fetch_add(1, Ordering::Relaxed);
        return Err(Injected(step));
    }
    Ok(())
}
