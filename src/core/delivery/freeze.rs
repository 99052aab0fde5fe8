//! Stopping a whole shard: its streams are parked, and later continued.
//!
//! The caller posts nothing between [`Core::park_all`] and [`Core::unpark_all`], so a shard without
//! streams simply sleeps in between.

use crate::core::desk::Reseat;
use crate::metrics::CloseReason;

use super::{Core, Io, Key, Parked, WireKind};

impl<I: Io> Core<I> {
    /// Starts the end of the streams whose wires cannot move to another process. A stream whose
    /// wire is full stays until the wire accepts the farewell, or until [`Core::park_all`].
    pub(super) fn dismiss_bodies(&mut self, io: &mut I) {
        for key in self.open_keys() {
            if self.is_body(key) && !self.is_leaving(key.slot) {
                self.dismiss(key, io);
            }
        }
    }

    /// Removes all streams and returns them; ends those whose wires cannot move. The caller flushes
    /// first. Afterwards the shard has nothing to release in the store.
    pub(super) fn park_all(&mut self, io: &mut I) -> Vec<Parked<I::Incoming>> {
        let mut parked = Vec::with_capacity(self.subscribers.len());
        for key in self.open_keys() {
            if self.is_body(key) {
                self.end_stream(key, CloseReason::Upgrade, io);
            } else {
                parked.extend(self.park(key, io));
            }
        }
        self.ready.clear();
        self.release_all();
        parked
    }

    /// Continues streams that were parked.
    pub(super) fn unpark_all(&mut self, parked: Vec<(Parked<I::Incoming>, Reseat)>, io: &mut I) {
        for (parked, reseat) in parked {
            self.unpark(parked, &reseat, io);
        }
    }

    fn open_keys(&self) -> Vec<Key> {
        let slots = 0..self.subscribers.end();
        slots.filter_map(|slot| self.key_of(slot)).collect()
    }

    fn is_body(&self, key: Key) -> bool {
        let wire = self.wire(key);
        wire.is_some_and(|wire| I::kind(wire) == WireKind::Body)
    }
}
