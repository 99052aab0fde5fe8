//! The latest changes of subscriptions to patterns.
//!
//! A topic with many patterns keeps the sum of their listeners. When it is next used, it applies
//! the changes since its last use, and so need not add up all patterns again.

use std::collections::VecDeque;

use super::listeners::Listeners;
use super::pattern_ref::PatternRef;

/// Changes that are kept: 64 KiB. A topic that missed more adds its patterns up anew. Few in tests,
/// so that both happen.
const CHANGES_MAX: usize = if cfg!(test) { 4 } else { 1_024 };

/// The listeners of a pattern before a change and after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) pattern: PatternRef,
    pub(super) before: Listeners,
    pub(super) after: Listeners,
}

/// The latest changes, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Changes {
    latest: VecDeque<Change>,
    /// Number of changes so far.
    end: u64,
}

impl Changes {
    /// Number of changes so far, those included that are not kept.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn push(&mut self, change: Change) {
        self.end += 1;
        if self.latest.len() >= CHANGES_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(change);
    }

    /// Counts a change that no topic will ask for, and drops all that are kept.
    pub(super) fn skip(&mut self) {
        self.end += 1;
        self.clear();
    }

    /// Drops all that are kept.
    pub(super) fn clear(&mut self) {
        if self.latest.capacity() > 0 {
            self.latest = VecDeque::new();
        }
    }

    /// The changes after the first `seen` ones; `None` if some of them are not kept.
    pub(super) fn since(&self, seen: u64) -> Option<impl ExactSizeIterator<Item = &Change>> {
        let missed = usize::try_from(self.end.checked_sub(seen)?).ok()?;
        let first = self.latest.len().checked_sub(missed)?;
        Some(self.latest.range(first..))
    }

    /// Bytes that it has allocated.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        self.latest.capacity() * size_of::<Change>()
    }
}
