//! Turns: when the socket of a connection may be called.

use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use tokio::task::coop::{self, RestoreOnPending};

/// System calls that a connection may make while the accept loop serves it inline and all others
/// wait. A stream makes one.
const INLINE_CALLS_MAX: u8 = 8;

/// Stands for "it has a task of its own".
const IN_TASK: u8 = u8::MAX;

/// Bounds the calls that a connection makes on its bare socket before others have their turn.
pub(crate) struct Turns {
    /// System calls left to it in the accept loop, or [`IN_TASK`].
    calls_left: AtomicU8,
}

/// Permission to make one call on a bare socket.
pub(crate) struct Turn(Option<RestoreOnPending>);

impl Turn {
    /// The call made progress: it counts against the number that the task may make before it has to
    /// yield.
    pub(crate) fn take(self) {
        if let Some(turn) = self.0 {
            turn.made_progress();
        }
    }
}

impl Turns {
    /// For a connection that the accept loop serves.
    pub(crate) const fn new() -> Self {
        Self {
            calls_left: AtomicU8::new(INLINE_CALLS_MAX),
        }
    }

    /// Driver: from here on a task of its own polls the connection.
    pub(crate) fn enter_task(&self) {
        self.calls_left.store(IN_TASK, Ordering::Relaxed);
    }

    /// Socket: pending when the connection has used up its turn and others must have theirs,
    /// whatever its client sends or reads.
    ///
    /// In a task this is tokio's budget, which wakes the task again. In the accept loop it is a
    /// number of calls, after which the connection gets a task.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Turn> {
        match self.calls_left.load(Ordering::Relaxed) {
            IN_TASK => Poll::Ready(Turn(Some(ready!(coop::poll_proceed(cx))))),
            0 => Poll::Pending,
            left => {
                self.calls_left.store(left - 1, Ordering::Relaxed);
                Poll::Ready(Turn(None))
            }
        }
    }
}
