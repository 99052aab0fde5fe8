//! The gate in front of everything that changes the desk or a shard: closed while the hub is
//! frozen, and for good once it is stopped.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::watch;

const OPEN: u8 = 0;
const FROZEN: u8 = 1;
const STOPPED: u8 = 2;

/// The state of a hub. It is read under the desk's lock, under which it is frozen.
pub(super) struct Gate {
    state: AtomicU8,
    /// The same, for those that wait.
    changes: watch::Sender<u8>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            state: AtomicU8::new(OPEN),
            changes: watch::channel(OPEN).0,
        }
    }
}

impl Gate {
    /// Nothing is accepted for now. Must be called under the desk's lock.
    pub(super) fn freeze(&self) {
        self.change(OPEN, FROZEN);
    }

    /// Everything is accepted again.
    pub(super) fn thaw(&self) {
        self.change(FROZEN, OPEN);
    }

    /// Nothing is accepted any more.
    pub(super) fn stop(&self) {
        self.state.store(STOPPED, Ordering::SeqCst);
        self.changes.send_replace(STOPPED);
    }

    fn change(&self, from: u8, to: u8) {
        let (success, failure) = (Ordering::SeqCst, Ordering::SeqCst);
        let changed = self.state.compare_exchange(from, to, success, failure);
        if changed.is_ok() {
            // A stop in between stays.
            let change = |state: &mut u8| {
                let is_due = *state != STOPPED;
                if is_due {
                    *state = to;
                }
                is_due
            };
            self.changes.send_if_modified(change);
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state.load(Ordering::SeqCst) == STOPPED
    }

    /// Neither frozen nor stopped.
    pub(super) fn is_open(&self) -> bool {
        self.state.load(Ordering::Relaxed) == OPEN
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.state.load(Ordering::Relaxed) == FROZEN
    }

    /// Waits while the hub is frozen.
    pub(super) async fn passable(&self) {
        let mut changes = self.changes.subscribe();
        // The sender lives as long as the gate.
        let _ = changes.wait_for(|state| *state != FROZEN).await;
    }

    /// Number of those that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.changes.receiver_count()
    }

    /// Waits until the hub is stopped.
    pub(super) async fn stopped(&self) {
        let mut changes = self.changes.subscribe();
        let _ = changes.wait_for(|state| *state == STOPPED).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_ends_the_wait_of_those_at_a_frozen_gate_and_a_thaw_does_not_undo_it() {
        let gate = Gate::default();
        gate.passable().await;
        gate.freeze();
        assert!(gate.is_frozen() && !gate.is_stopped());
        gate.stop();
        gate.passable().await;
        gate.thaw();
        assert!(gate.is_stopped());
        gate.freeze();
        assert!(gate.is_stopped() && !gate.is_frozen());
    }
}
