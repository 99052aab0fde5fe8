//! The publishers' own ids of all kept events, for readers whose topics are not known by name.
//!
//! One entry for each different id, with all events that have it. The text is not held again: it is read from one of the events.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::core::event::EventId;

use super::same::Same;

/// An event, and the topic slot that keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) id: EventId,
    pub(super) topic: u32,
}

/// Own ids by their text.
#[derive(Debug, Default)]
pub(super) struct OwnIds {
    table: HashTable<(u64, Same<Place>)>,
    hasher: DefaultHashBuilder,
}

impl OwnIds {
    /// The events with this id; `is` tells whether the event at a place has it.
    pub(super) fn find(&self, own_id: &str, is: impl Fn(Place) -> bool) -> Option<&Same<Place>> {
        let hash = self.hasher.hash_one(own_id);
        let found = self.table.find(hash, |(of, same)| {
            *of == hash && same.first().is_some_and(&is)
        });
        found.map(|(_, same)| same)
    }

    /// Adds an event.
    pub(super) fn insert(&mut self, own_id: &str, place: Place, is: impl Fn(Place) -> bool) {
        let hash = self.hasher.hash_one(own_id);
        let found = |(of, same): &(u64, Same<Place>)| *of == hash && same.first().is_some_and(&is);
        match self.table.find_mut(hash, found) {
            Some((_, same)) => same.insert(place),
            None => {
                self.table
                    .insert_unique(hash, (hash, Same::One(place)), |(hash, _)| *hash);
            }
        }
    }

    /// Removes an event, which may have been forgotten already.
    pub(super) fn remove(&mut self, own_id: &str, place: Place) {
        let hash = self.hasher.hash_one(own_id);
        let found = |(of, same): &(u64, Same<Place>)| *of == hash && same.contains(place);
        if let Ok(mut entry) = self.table.find_entry(hash, found)
            && entry.get_mut().1.remove(place)
        {
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
