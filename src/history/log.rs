//! The latest events of one topic, oldest first.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::event::EventId;
use crate::sse::Frame;

use super::EVENT_OVERHEAD_BYTES;

/// One kept event.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: EventId,
    pub(super) frame: Frame,
    /// The publisher's own id, kept to clear the index on eviction.
    own_id: Option<Box<str>>,
}

/// A ring of events with rising ids.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    frame_bytes: usize,
    /// Publishers' own ids, newest event wins. Boxed: most topics have none.
    own_ids: Option<Box<HashMap<Box<str>, EventId>>>,
}

impl Log {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    pub(super) fn first_id(&self) -> Option<EventId> {
        self.entries.front().map(|entry| entry.id)
    }

    pub(super) fn last_id(&self) -> Option<EventId> {
        self.entries.back().map(|entry| entry.id)
    }

    /// The event whose publisher gave it this id.
    pub(super) fn find_own_id(&self, own_id: &str) -> Option<EventId> {
        self.own_ids.as_ref()?.get(own_id).copied()
    }

    /// Position of the first event above `id`.
    pub(super) fn position_after(&self, id: EventId) -> usize {
        // Nearly every reader is near the tail: a resuming stream missed little, a blocked one less.
        if self.last_id().is_none_or(|last| last <= id) {
            return self.entries.len();
        }
        self.entries.partition_point(|entry| entry.id <= id)
    }

    pub(super) fn get(&self, position: usize) -> Option<&Entry> {
        self.entries.get(position)
    }

    /// Appends an event; returns the bytes it costs the node.
    pub(super) fn push(&mut self, id: EventId, frame: Frame, own_id: Option<&str>) -> usize {
        debug_assert!(self.last_id().is_none_or(|last| last < id), "ids rise");
        let cost = cost(&frame, own_id);
        self.frame_bytes += frame.len();
        let own_id: Option<Box<str>> = own_id.map(Into::into);
        if let Some(own_id) = &own_id {
            self.own_ids
                .get_or_insert_default()
                .insert(own_id.clone(), id);
        }
        if self.entries.capacity() == 0 {
            // The first growth of a deque is to four entries; a topic with one event should pay for one.
            self.entries.reserve_exact(1);
        }
        self.entries.push_back(Entry { id, frame, own_id });
        cost
    }

    /// Takes the oldest event out; returns its id and the bytes that it had cost.
    pub(super) fn pop(&mut self) -> Option<(EventId, usize)> {
        let entry = self.entries.pop_front()?;
        self.frame_bytes -= entry.frame.len();
        if let (Some(own_id), Some(index)) = (&entry.own_id, &mut self.own_ids) {
            // A newer event may have taken the id over.
            if index.get(own_id) == Some(&entry.id) {
                index.remove(own_id);
            }
            if index.is_empty() {
                self.own_ids = None;
            }
        }
        if self.entries.capacity() > 64 && self.entries.len() * 4 < self.entries.capacity() {
            self.entries.shrink_to(self.entries.len() * 2);
        }
        Some((entry.id, cost(&entry.frame, entry.own_id.as_deref())))
    }
}

fn cost(frame: &Frame, own_id: Option<&str>) -> usize {
    // The own id is held twice: in the entry and as the key of the index.
    frame.len() + EVENT_OVERHEAD_BYTES + own_id.map_or(0, |id| 2 * id.len() + 64)
}
