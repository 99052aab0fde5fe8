//! The latest events of one topic, oldest first.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;

use crate::core::event::EventId;
use crate::core::limits::{
    EVENT_OVERHEAD_BYTES, HELD_TOPIC_BYTES, MORE_OVERHEAD_BYTES, own_id_bytes,
};
use crate::core::sse::Frame;
use crate::core::table::{Deque, PartTable};

use super::SelectorIds;
use super::same::Same;

/// One kept event.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: EventId,
    pub(super) frame: Frame,
    /// Boxed: most events have none.
    more: Option<Box<More>>,
}

/// Fields that only some events have.
#[derive(Clone, Debug, Default)]
pub(super) struct More {
    /// The publisher's own id.
    pub(super) own_id: Option<Box<str>>,
    /// All topics of a private event that has several: a stream that was granted one of them may
    /// hear it on any. They are pinned as long as one of them keeps the event.
    pub(super) topics: Option<Arc<SelectorIds>>,
}

impl Entry {
    pub(super) fn own_id(&self) -> Option<&str> {
        self.more.as_ref()?.own_id.as_deref()
    }

    /// Only for streams that were granted one of its topics.
    pub(super) fn is_private(&self) -> bool {
        self.frame.is_private()
    }

    /// All its topics, if it is private and has several.
    pub(super) fn private_topics(&self) -> Option<&Arc<SelectorIds>> {
        self.more.as_ref()?.topics.as_ref()
    }

    pub(super) fn into_private_topics(self) -> Option<Arc<SelectorIds>> {
        self.more?.topics
    }

    fn cost(&self) -> usize {
        // The own id is stored twice: in the entry and as the key of the index.
        let more = |more: &More| {
            let own_id = more.own_id.as_ref().map_or(0, |id| own_id_bytes(id.len()));
            // Topics that only this event pins have names of up to a kibibyte. They are counted
            // where a topic is pinned by one of its own.
            let topics = more.topics.as_ref().map_or(0, |topics| topics.len());
            MORE_OVERHEAD_BYTES + own_id + topics * HELD_TOPIC_BYTES
        };
        self.frame.len() + EVENT_OVERHEAD_BYTES + self.more.as_deref().map_or(0, more)
    }
}

/// A ring of events with rising ids.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: Deque<Entry>,
    frame_bytes: usize,
    /// Publishers' own ids. Boxed: most topics have none.
    own_ids: Option<Box<OwnIdsOfLog>>,
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

    /// The events whose publisher gave them this id.
    pub(super) fn with_own_id(&self, own_id: &str) -> Option<&Same<EventId>> {
        self.own_ids.as_ref()?.find(own_id)
    }

    /// Position of the first event above `id`.
    pub(super) fn position_after(&self, id: EventId) -> usize {
        // Nearly every reader is near the tail: a resuming stream missed little, a blocked one
        // less.
        if self.last_id().is_none_or(|last| last <= id) {
            return self.entries.len();
        }
        self.entries.partition_point(|entry| entry.id <= id)
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Entry> {
        let positions = (0..self.entries.len()).rev();
        positions.filter_map(|at| self.entries.get(at))
    }

    pub(super) fn get(&self, position: usize) -> Option<&Entry> {
        self.entries.get(position)
    }

    /// The event with this id.
    pub(super) fn find(&self, id: EventId) -> Option<&Entry> {
        let entry = self.get(self.position_after(id.before()))?;
        (entry.id == id).then_some(entry)
    }

    /// Appends an event; returns the bytes it costs the node.
    pub(super) fn push(&mut self, id: EventId, frame: Frame, more: Option<More>) -> usize {
        debug_assert!(self.last_id().is_none_or(|last| last < id), "ids rise");
        self.frame_bytes += frame.len();
        if let Some(own_id) = more.as_ref().and_then(|more| more.own_id.as_ref()) {
            self.own_ids.get_or_insert_default().add(own_id, id);
        }
        let entry = Entry {
            id,
            frame,
            more: more.map(Box::new),
        };
        let cost = entry.cost();
        self.entries.push_back(entry);
        cost
    }

    /// Removes the oldest event; returns it and its cost in bytes.
    pub(super) fn pop(&mut self) -> Option<(Entry, usize)> {
        let entry = self.entries.pop_front()?;
        Some(self.without(entry))
    }

    /// Removes the newest event; returns it and its cost in bytes.
    pub(super) fn pop_newest(&mut self) -> Option<(Entry, usize)> {
        let entry = self.entries.pop_back()?;
        Some(self.without(entry))
    }

    fn without(&mut self, entry: Entry) -> (Entry, usize) {
        self.frame_bytes -= entry.frame.len();
        if let (Some(own_id), Some(index)) = (entry.own_id(), &mut self.own_ids) {
            index.remove(own_id, entry.id);
            if index.table.len() == 0 {
                self.own_ids = None;
            }
        }
        let cost = entry.cost();
        (entry, cost)
    }
}

/// The own ids of one topic's events.
#[derive(Debug, Default)]
struct OwnIdsOfLog {
    table: PartTable<(Box<str>, Same<EventId>)>,
    hasher: DefaultHashBuilder,
}

impl OwnIdsOfLog {
    fn find(&self, own_id: &str) -> Option<&Same<EventId>> {
        let hash = self.hasher.hash_one(own_id);
        let (_, same) = self.table.find(hash, |(other, _)| **other == *own_id)?;
        Some(same)
    }

    fn add(&mut self, own_id: &str, id: EventId) {
        let hash = self.hasher.hash_one(own_id);
        match self.table.find_mut(hash, |(other, _)| **other == *own_id) {
            Some((_, same)) => same.insert(id),
            None => {
                let hasher = &self.hasher;
                self.table
                    .insert_unique(hash, (own_id.into(), Same::One(id)), |(other, _)| {
                        hasher.hash_one(&**other)
                    });
            }
        }
    }

    fn remove(&mut self, own_id: &str, id: EventId) {
        let hash = self.hasher.hash_one(own_id);
        let is_it = |(other, _): &(Box<str>, Same<EventId>)| **other == *own_id;
        let Some((_, same)) = self.table.find_mut(hash, is_it) else {
            return;
        };
        if same.remove(id) {
            let hasher = &self.hasher;
            self.table
                .remove(hash, is_it, |(other, _)| hasher.hash_one(&**other));
        }
    }
}
