//! A listener that freezes, and what follows the freeze: the same for every port.

use std::sync::atomic::{AtomicBool, Ordering};

use fantail::orders::Control;
use tokio::runtime::Runtime;

use super::DEADLINE;

/// What follows a freeze.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    Thaw,
    HandOver,
}

pub(crate) const BOTH: [Then; 2] = [Then::Thaw, Then::HandOver];

/// A node whose listener can freeze.
pub(crate) trait Freezing {
    /// All that the frozen listener consists of.
    type Listening;

    /// The listener's control, and the runtime that it is served on.
    fn control(&mut self) -> (&mut Control<Self::Listening>, &Runtime);

    /// A new listener goes on with what the frozen one released.
    fn hand_over(&mut self);

    /// Freezes the listener.
    fn freeze(&mut self) {
        let (control, runtime) = self.control();
        let settled_and_frozen = async {
            control.settle().await;
            control.freeze().await
        };
        let frozen = async { tokio::time::timeout(DEADLINE, settled_and_frozen).await };
        let frozen = runtime.block_on(frozen);
        frozen.expect("in time").expect("it serves");
    }

    /// Reads the frozen listener.
    fn frozen<T>(&mut self, read: impl FnOnce(&Self::Listening) -> T) -> T {
        self.control().0.frozen(read).expect("it is frozen")
    }

    /// Makes the frozen listener go on.
    fn thaw(&mut self) {
        self.control().0.thaw();
    }

    fn go_on(&mut self, then: Then) {
        match then {
            Then::Thaw => self.thaw(),
            Then::HandOver => self.hand_over(),
        }
    }

    fn freeze_and(&mut self, then: Then) {
        self.freeze();
        self.go_on(then);
    }
}

/// Ends the clients of a test, also of one that fails.
pub(crate) struct Ends<'a>(pub(crate) &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
