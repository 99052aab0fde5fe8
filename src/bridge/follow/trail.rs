//! The entries that were read lately, to find where two logs part.

use std::collections::VecDeque;

use crate::core::event::EventId;

use super::Entry;

/// Entries that are remembered: 256 KiB. A log that has lost more is told as lost altogether.
pub(super) const TRAIL_MAX: usize = 16 * 1024;

/// An entry that was read. The digest is unknown if a process of an older version read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    id: EventId,
    print: Option<u64>,
}

/// The entries that were read lately, by rising ids.
#[derive(Debug, Default)]
pub(super) struct Trail(VecDeque<Print>);

impl Trail {
    /// One entry, which another process has read.
    pub(super) fn at(id: EventId, print: Option<u64>) -> Self {
        Self(VecDeque::from([Print { id, print }]))
    }

    /// The digest of an entry.
    pub(super) fn print(&self, id: EventId) -> Option<u64> {
        let one = self.0.get(self.index_of(id)).filter(|one| one.id == id);
        one?.print
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push<T>(&mut self, entry: &Entry<T>) {
        if self.0.len() == TRAIL_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Print {
            id: entry.id,
            print: Some(entry.print),
        });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The id of an entry, counted from the oldest one.
    pub(super) fn id(&self, index: usize) -> Option<EventId> {
        self.0.get(index).map(|one| one.id)
    }

    /// Whether this is the entry with this number.
    pub(super) fn is<T>(&self, index: usize, entry: Option<&Entry<T>>) -> bool {
        let (Some(one), Some(entry)) = (self.0.get(index), entry) else {
            return false;
        };
        one.id == entry.id && one.print.is_none_or(|print| print == entry.print)
    }

    /// Whether this is the newest entry.
    pub(super) fn ends_with<T>(&self, entry: Option<&Entry<T>>) -> bool {
        !self.is_empty() && self.is(self.len() - 1, entry)
    }

    /// The number of the oldest entry that is not below `id`.
    pub(super) fn index_of(&self, id: EventId) -> usize {
        self.0.partition_point(|one| one.id < id)
    }

    /// Forgets the entries above `id`.
    pub(super) fn cut(&mut self, id: EventId) {
        let kept = self.0.partition_point(|one| one.id <= id);
        self.0.truncate(kept);
    }
}
