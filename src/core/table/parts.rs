//! A hash table in parts: linear hashing (Litwin, 1980).
//!
//! The table has `2^level + split` parts. Each insertion splits at most one part into two, and each
//! removal joins at most two parts. A part holds some hundred entries, whatever the size of the
//! whole. The upper half of an entry's hash chooses its part; within the part hashbrown uses the
//! rest.

use hashbrown::HashTable;

use super::{Chunked, Moved};

/// Average entries per part: a part holds between half and twice as many, and hashbrown's tables
/// are then well filled.
const PART: usize = 208;

/// A hash table that never moves more than a part or two at a time. The caller computes the hashes.
#[derive(Debug)]
pub(crate) struct PartTable<T> {
    parts: Chunked<HashTable<T>>,
    len: usize,
    pub(super) moved: Moved,
}

impl<T> Default for PartTable<T> {
    fn default() -> Self {
        Self {
            parts: Chunked::default(),
            len: 0,
            moved: Moved::default(),
        }
    }
}

impl<T> PartTable<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.parts.get(self.part_of(hash))?.find(hash, is_it)
    }

    pub(crate) fn find_mut(&mut self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let part = self.part_of(hash);
        self.parts.get_mut(part)?.find_mut(hash, is_it)
    }

    /// The entry at an index in a part, in no order. `None` if there is no such part; `Some(None)`
    /// if the part has no more entries.
    pub(crate) fn in_part(&self, part: usize, at: usize) -> Option<Option<&T>> {
        Some(self.parts.get(part)?.iter().nth(at))
    }

    /// All entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let parts = (0..).map_while(|part| self.parts.get(part));
        parts.flat_map(|part| part.iter())
    }

    /// Inserts a new entry; `hasher` computes the hash of any entry.
    pub(crate) fn insert_unique(&mut self, hash: u64, value: T, hasher: impl Fn(&T) -> u64) {
        if self.len == self.parts.len() * PART {
            self.split(&hasher);
        }
        let part = self.part_of(hash);
        if let Some(part) = self.parts.get_mut(part) {
            if part.len() == part.capacity() {
                self.moved.add(part.len());
            }
            part.insert_unique(hash, value, hasher);
            self.len += 1;
        }
    }

    /// Removes an entry; `hasher` computes the hash of any entry that stays.
    pub(crate) fn remove(
        &mut self,
        hash: u64,
        is_it: impl FnMut(&T) -> bool,
        hasher: impl Fn(&T) -> u64,
    ) -> Option<T> {
        let at = self.part_of(hash);
        let part = self.parts.get_mut(at)?;
        let value = part.find_entry(hash, is_it).ok()?.remove().0;
        self.len -= 1;
        if part.is_empty() {
            *part = HashTable::new();
        } else if part.capacity() > 16 && part.len() * 4 < part.capacity() {
            self.moved.add(part.len());
            // Half is kept, so that insertions and removals in turn do not move the rest each time.
            part.shrink_to(part.len() * 2, &hasher);
        }
        // A part is joined well below the size at which it would be split again.
        if self.len == 0 {
            self.parts = Chunked::default();
        } else if self.len < (self.parts.len() - 1) * (PART / 2) {
            self.join(&hasher);
        }
        Some(value)
    }

    /// The part of a hash: with one bit more if the part has been split on this level.
    fn part_of(&self, hash: u64) -> usize {
        let parts = self.parts.len();
        if parts < 2 {
            return 0;
        }
        let upper = (hash >> 32) as usize;
        let level = parts.ilog2();
        let part = upper & ((2 << level) - 1);
        if part < parts {
            part
        } else {
            part & ((1 << level) - 1)
        }
    }

    /// The part from which the last one was split.
    fn sibling(parts: usize) -> usize {
        let last = parts - 1;
        last & !(1 << last.ilog2())
    }

    /// Adds a part, and moves its share of one other part into it.
    fn split(&mut self, hasher: &impl Fn(&T) -> u64) {
        self.parts.push(HashTable::new());
        let parts = self.parts.len();
        if parts == 1 {
            return;
        }
        let old = Self::sibling(parts);
        let Some(part) = self.parts.get_mut(old) else {
            return;
        };
        let entries = std::mem::take(part);
        self.moved.add(entries.len());
        let mut halves = [Vec::new(), Vec::new()];
        for entry in entries {
            let hash = hasher(&entry);
            halves[usize::from(self.part_of(hash) != old)].push((hash, entry));
        }
        for (at, half) in [old, parts - 1].into_iter().zip(halves) {
            let Some(part) = self.parts.get_mut(at) else {
                continue;
            };
            part.reserve(half.len(), hasher);
            for (hash, entry) in half {
                part.insert_unique(hash, entry, hasher);
            }
        }
    }

    /// Removes the last part, and moves its entries back into the part from which it was split.
    fn join(&mut self, hasher: &impl Fn(&T) -> u64) {
        let parts = self.parts.len();
        let Some(entries) = self.parts.pop() else {
            return;
        };
        let Some(part) = self.parts.get_mut(Self::sibling(parts)) else {
            return;
        };
        self.moved.add(entries.len() + part.len());
        part.reserve(entries.len(), hasher);
        for entry in entries {
            part.insert_unique(hasher(&entry), entry, hasher);
        }
    }

    /// Bytes that it has allocated, without those of its entries.
    #[cfg(test)]
    pub(crate) fn allocated_bytes(&self) -> usize {
        let parts = (0..self.parts.len()).filter_map(|at| self.parts.get(at));
        parts.map(HashTable::allocation_size).sum::<usize>() + self.parts.allocated_bytes()
    }
}
