//! What streams may hear of private events: one record for all streams that may hear the same.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::SelectorId;

/// Topics and patterns whose private events a stream may hear, sorted; valid until it is given back to the store.
pub type Grant = Arc<[SelectorId]>;

/// Whether two sorted lists have one in common; costs what the shorter one has.
pub(crate) fn meet(one: &[SelectorId], other: &[SelectorId]) -> bool {
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    short.iter().any(|id| long.binary_search(id).is_ok())
}

/// The grants that are held, and by how many streams.
#[derive(Debug, Default)]
pub(super) struct GrantTable {
    grants: HashTable<(Grant, u32)>,
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

    /// A new record of ids that have none, for one stream.
    pub(super) fn add(&mut self, ids: &[SelectorId]) -> Grant {
        let grant = Grant::from(ids);
        let hasher = &self.hasher;
        let entry = (Arc::clone(&grant), 1);
        self.grants
            .insert_unique(hasher.hash_one(ids), entry, |(other, _)| {
                hasher.hash_one(&**other)
            });
        grant
    }

    /// Takes a stream's share back; returns whether it was the last, so that the record is gone.
    pub(super) fn unshare(&mut self, grant: &Grant) -> bool {
        let hash = self.hasher.hash_one(&**grant);
        let found = self
            .grants
            .find_entry(hash, |(other, _)| Arc::ptr_eq(other, grant));
        let Ok(mut entry) = found else { return false };
        let count = &mut entry.get_mut().1;
        *count -= 1;
        if *count > 0 {
            return false;
        }
        entry.remove();
        let (grants, hasher) = (&mut self.grants, &self.hasher);
        if grants.capacity() > 1_024 && grants.len() * 8 < grants.capacity() {
            grants.shrink_to(grants.len() * 2, |(other, _)| hasher.hash_one(&**other));
        }
        true
    }
}
