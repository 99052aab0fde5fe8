//! Every kept event of the node in one order, for readers whose topics are not known by name.
//!
//! An entry is a note, not a holder: eviction leaves it behind, and whoever meets it sees by the topic's oldest event that it is stale. So
//! eviction costs this list nothing; what is stale is thrown out when it is more than what is kept.

use std::collections::VecDeque;

use crate::core::event::EventId;

/// Stale notes that are always tolerated.
const STALE_MIN: usize = 1_024;

/// Notes of (event, topic slot) with rising ids; an event with several topics has several.
#[derive(Debug, Default)]
pub(super) struct Order(VecDeque<(EventId, u32)>);

impl Order {
    /// The newest event noted.
    pub(super) fn last_id(&self) -> Option<EventId> {
        self.0.back().map(|(id, _)| *id)
    }

    /// Notes an event; `kept` is the number of notes that are not stale, and `is_kept` tells which.
    pub(super) fn push(
        &mut self,
        id: EventId,
        topic: u32,
        kept: usize,
        is_kept: impl Fn(EventId, u32) -> bool,
    ) {
        self.0.push_back((id, topic));
        if self.0.len() > 2 * kept + STALE_MIN {
            self.0.retain(|(id, topic)| is_kept(*id, *topic));
            if self.0.len() * 4 < self.0.capacity() {
                self.0.shrink_to(self.0.len() * 2);
            }
        }
    }

    /// Position of the first note above `id`.
    pub(super) fn position_after(&self, id: EventId) -> usize {
        if self.last_id().is_none_or(|last| last <= id) {
            return self.0.len();
        }
        self.0.partition_point(|(of, _)| *of <= id)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, position: usize) -> Option<(EventId, u32)> {
        self.0.get(position).copied()
    }

    /// Forgets everything: no event is kept.
    pub(super) fn clear(&mut self) {
        self.0 = VecDeque::new();
    }
}
