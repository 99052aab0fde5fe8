//! Rights to private events: one record for all streams with the same right.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;

use super::SelectorId;
use crate::core::table::PartTable;

/// Topics and patterns whose private events a stream may hear, sorted; valid until it is given back
/// to the store.
pub type Grant = Arc<[SelectorId]>;

/// The grants of streams, and the number of streams that share each.
#[derive(Debug, Default)]
pub(super) struct GrantTable {
    grants: PartTable<(Grant, u32)>,
    hasher: DefaultHashBuilder,
}

impl GrantTable {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.grants.len()
    }

    /// The record of these ids if there is one, for one stream more.
    pub(super) fn share(&mut self, ids: &[SelectorId]) -> Option<Grant> {
        let hash = self.hasher.hash_one(ids);
        let (grant, count) = self.grants.find_mut(hash, |(grant, _)| **grant == *ids)?;
        *count += 1;
        Some(Arc::clone(grant))
    }

    /// The record of these ids; counts nothing.
    pub(super) fn find(&self, ids: &[SelectorId]) -> Option<Grant> {
        let hash = self.hasher.hash_one(ids);
        let found = self.grants.find(hash, |(grant, _)| **grant == *ids);
        found.map(|(grant, _)| Arc::clone(grant))
    }

    /// The record at a place in a part of the table, and the streams that share it. `None` when
    /// there is no such part; `Some(None)` when the part has no more records.
    pub(super) fn in_part(&self, part: usize, at: usize) -> Option<Option<(&Grant, u32)>> {
        let entry = self.grants.in_part(part, at)?;
        Some(entry.map(|(grant, count)| (grant, *count)))
    }

    /// All records, with the streams that share each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Grant, u32)> {
        self.grants.iter().map(|(grant, streams)| (grant, *streams))
    }

    /// A record of a snapshot.
    pub(super) fn restore(&mut self, ids: &[SelectorId], streams: u32) {
        self.add(ids);
        let hash = self.hasher.hash_one(ids);
        if let Some((_, count)) = self.grants.find_mut(hash, |(grant, _)| **grant == *ids) {
            *count = streams;
        }
    }

    /// A new record of ids that have none, for one stream.
    pub(super) fn add(&mut self, ids: &[SelectorId]) -> Grant {
        let grant = Grant::from(ids);
        let (hasher, entry) = (&self.hasher, (Arc::clone(&grant), 1));
        self.grants
            .insert_unique(hasher.hash_one(ids), entry, |(other, _)| {
                hasher.hash_one(&**other)
            });
        grant
    }

    /// Takes a stream's share back; returns whether it was the last, so that the record is removed.
    pub(super) fn unshare(&mut self, grant: &Grant) -> bool {
        let hash = self.hasher.hash_one(&**grant);
        let is_it = |(other, _): &(Grant, u32)| Arc::ptr_eq(other, grant);
        let Some((_, count)) = self.grants.find_mut(hash, is_it) else {
            return false;
        };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        let hasher = &self.hasher;
        self.grants
            .remove(hash, is_it, |(other, _)| hasher.hash_one(&**other));
        true
    }

    /// Bytes that its table has allocated.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        self.grants.allocated_bytes()
    }
}
