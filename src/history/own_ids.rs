//! The publishers' own ids of all kept events, for readers whose topics are not known by name.
//!
//! One entry for each different id, the newest event with it. The text is not held again: it is read from the event.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::event::EventId;

/// An event, and the topic slot that keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: EventId,
    pub(super) topic: u32,
}

/// Own ids by their text.
#[derive(Debug, Default)]
pub(super) struct OwnIds {
    table: HashTable<(u64, Place)>,
    hasher: DefaultHashBuilder,
}

impl OwnIds {
    /// The newest event with this id; `is` tells whether the event at a place has it.
    pub(super) fn find(&self, own_id: &str, is: impl Fn(Place) -> bool) -> Option<Place> {
        let hash = self.hasher.hash_one(own_id);
        let found = self
            .table
            .find(hash, |(of, place)| *of == hash && is(*place));
        found.map(|(_, place)| *place)
    }

    /// Adds an event; one with the same id gives way.
    pub(super) fn insert(&mut self, own_id: &str, place: Place, is: impl Fn(Place) -> bool) {
        let hash = self.hasher.hash_one(own_id);
        let same = |(of, other): &(u64, Place)| *of == hash && is(*other);
        match self.table.find_mut(hash, same) {
            Some((_, other)) => *other = place,
            None => {
                self.table
                    .insert_unique(hash, (hash, place), |(hash, _)| *hash);
            }
        }
    }

    /// Removes an event, unless a newer one has taken its id over.
    pub(super) fn remove(&mut self, own_id: &str, place: Place) {
        let hash = self.hasher.hash_one(own_id);
        if let Ok(entry) = self.table.find_entry(hash, |(_, other)| *other == place) {
            entry.remove();
        }
        if self.table.capacity() > 1_024 && self.table.len() * 8 < self.table.capacity() {
            self.table
                .shrink_to(self.table.len() * 2, |(hash, _)| *hash);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
