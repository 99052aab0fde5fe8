//! Which topic holds the node's oldest event, found without touching a topic that an event does not concern.
//!
//! One entry a topic with history, keyed by an id that is never above the topic's oldest event. Eviction within a topic leaves its
//! entry alone; whoever looks for the oldest mends the entries that it meets. So publishing costs this queue nothing, and each
//! mended entry has advanced by at least one evicted event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::core::event::EventId;

/// A lazy priority queue of (at most the oldest event's id, topic slot).
#[derive(Debug, Default)]
pub(super) struct Expiry {
    queue: BinaryHeap<Reverse<(EventId, u32)>>,
    /// Topic slots with an entry. A slot keeps it when it is given to another topic.
    has_entry: Vec<bool>,
}

impl Expiry {
    /// Adds a topic's entry, unless it has one.
    pub(super) fn add(&mut self, oldest: EventId, topic: u32) {
        let slot = topic as usize;
        if slot >= self.has_entry.len() {
            self.has_entry.resize(slot + 1, false);
        }
        if !std::mem::replace(&mut self.has_entry[slot], true) {
            self.queue.push(Reverse((oldest, topic)));
        }
    }

    /// The topic with the oldest event. `first_of` tells a topic's oldest id now, or `None` when it has no event (its entry goes).
    pub(super) fn oldest(
        &mut self,
        mut first_of: impl FnMut(u32) -> Option<EventId>,
    ) -> Option<u32> {
        loop {
            let mut top = self.queue.peek_mut()?;
            let Reverse((known, topic)) = *top;
            match first_of(topic) {
                None => {
                    PeekMut::pop(top);
                    self.has_entry[topic as usize] = false;
                }
                Some(first) if first == known => return Some(topic),
                // Writing through `PeekMut` sifts the entry down to its new place.
                Some(first) => *top = Reverse((first, topic)),
            }
        }
    }
}
