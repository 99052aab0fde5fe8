//! What a shared log does to a desk: where its history begins, what the log has lost, and cursors of
//! clients that come from a node that is ahead.

use crate::core::event::EventId;
use crate::core::history::Hole;

use super::Desk;

/// A loss of events that concerns all streams, for the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Break {
    /// The newest id before the loss was found. What is posted up to there was posted before.
    pub head: EventId,
    /// The end of the hole.
    pub through: EventId,
}

impl Desk {
    /// Begins the history above `floor`, before any topic exists. A cursor of the order up to there
    /// is known, and its events are evicted.
    ///
    /// # Panics
    /// If a topic exists.
    pub fn rebase(&mut self, floor: EventId) {
        self.store.rebase(floor);
    }

    /// The same desk with a history that begins above `floor`: see [`Desk::rebase`].
    ///
    /// # Panics
    /// If a topic exists.
    #[must_use]
    pub fn begun_above(mut self, floor: EventId) -> Self {
        self.rebase(floor);
        self
    }

    /// Notes that the events of a hole are lost. The caller must post the break to **all** shards
    /// before anything else is published or any stream attached, so under the same lock: streams
    /// that are caught up would not notice.
    ///
    /// # Panics
    /// If the hole does not end above the newest id, or begins above it.
    #[must_use]
    pub fn break_off(&mut self, hole: Hole) -> Break {
        let head = self.store.head();
        self.store.break_off(hole);
        self.store.keys_mut().forget_above(hole.after);
        Break {
            head,
            through: hole.through,
        }
    }

    /// Goes on at `id`, the id of an entry of the log that is no event.
    pub fn pass(&mut self, id: EventId) {
        self.store.pass(id);
    }

    /// From now on, ids strictly between `after` and `before` are unknown cursors: the log has no
    /// entry there, and a log that has ended may have had some.
    pub fn doubt(&mut self, after: EventId, before: EventId) {
        self.store.doubt(after, before);
    }

    /// The place of a cursor of this order that is above the newest id: its client had it from
    /// another node, which is ahead. It is unknown as long as this node has not come that far.
    #[must_use]
    pub fn ahead(&self, cursor: &str) -> Option<EventId> {
        self.store.ahead(cursor)
    }
}
