//! Tables that grow and shrink in small steps.
//!
//! A `Vec` or a hash table that doubles moves all its entries in one call. At a million entries
//! that call takes long enough to stop the node, because it runs under the store's lock or in a
//! shard's turn. The tables here hold their entries in chunks of a fixed size.
//!
//! **Invariant:** one call moves at most [`MOVED_MAX`] entries, whatever the size of the table. A
//! directory of chunks may still be copied: it has one small record for 64 entries or more. The
//! test `no_insertion_moves_more_than_its_bound` counts both.
//!
//! **Invariant:** an empty table owns no memory, and so does one that has become empty. Memory
//! follows the entries down: no call waits for a long shrink.

mod arena;
mod chunked;
mod deque;
mod heap;
mod parts;
#[cfg(test)]
mod tests;

pub(crate) use arena::Arena;
pub(crate) use chunked::Chunked;
pub(crate) use deque::Deque;
pub(crate) use heap::Heap;
pub(crate) use parts::PartTable;

/// Most entries that one call moves.
#[cfg(test)]
const MOVED_MAX: usize = 2_048;

/// Counts moved entries in tests; costs nothing elsewhere.
#[derive(Debug, Default)]
struct Moved(#[cfg(test)] usize);

impl Moved {
    fn add(&mut self, _entries: usize) {
        #[cfg(test)]
        {
            self.0 += _entries;
        }
    }
}
