//! The publishers' own ids of all kept events, for readers that subscribe by pattern.
//!
//! One entry for each different id, with all events that have it. The text is not stored again: it
//! is read from one of the events.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use crate::core::event::EventId;
use crate::core::table::PartTable;

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
    table: PartTable<(u64, Same<Place>)>,
    hasher: DefaultHashBuilder,
}

impl OwnIds {
    /// The events with this id; `has_it` reports whether the event at a place has it.
    pub(super) fn find(
        &self,
        own_id: &str,
        has_it: impl Fn(Place) -> bool,
    ) -> Option<&Same<Place>> {
        let hash = self.hasher.hash_one(own_id);
        let entry = self.table.find(hash, |(other, same)| {
            *other == hash && same.first().is_some_and(&has_it)
        });
        entry.map(|(_, same)| same)
    }

    /// Adds an event.
    pub(super) fn insert(&mut self, own_id: &str, place: Place, has_it: impl Fn(Place) -> bool) {
        let hash = self.hasher.hash_one(own_id);
        let entry = self.table.find_mut(hash, |(other, same)| {
            *other == hash && same.first().is_some_and(&has_it)
        });
        match entry {
            Some((_, same)) => same.insert(place),
            None => self
                .table
                .insert_unique(hash, (hash, Same::One(place)), |(hash, _)| *hash),
        }
    }

    /// Removes an event, which may have been removed already.
    pub(super) fn remove(&mut self, own_id: &str, place: Place) {
        let hash = self.hasher.hash_one(own_id);
        let has_place = |(other, same): &(u64, Same<Place>)| *other == hash && same.contains(place);
        let Some((_, same)) = self.table.find_mut(hash, has_place) else {
            return;
        };
        if same.remove(place) {
            self.table.remove(hash, has_place, |(hash, _)| *hash);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes that its table has allocated.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        self.table.allocated_bytes()
    }
}
