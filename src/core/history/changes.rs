//! The latest changes of subscriptions to patterns.
//!
//! A topic with many patterns stores the sum of their listeners. When it is next used, it applies
//! the changes since its last use instead of adding up all patterns again.

use std::collections::VecDeque;

use super::listeners::Listeners;
use super::pattern_ref::PatternRef;

/// The listeners of a pattern before a change and after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) pattern: PatternRef,
    pub(super) before: Listeners,
    pub(super) after: Listeners,
}

/// The latest changes, the oldest first.
#[derive(Debug)]
pub(super) struct Changes {
    latest: VecDeque<Change>,
    /// Most changes that are kept.
    max: usize,
    /// Number of changes so far.
    end: u64,
}

impl Changes {
    pub(super) fn new(max: usize) -> Self {
        Self {
            latest: VecDeque::new(),
            max,
            end: 0,
        }
    }

    /// Sets how many changes are kept at most.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
        let excess = self.latest.len().saturating_sub(max);
        self.latest.drain(..excess);
    }

    /// Number of changes so far, including those that are not kept.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn push(&mut self, change: Change) {
        self.end += 1;
        if self.latest.len() >= self.max {
            self.latest.pop_front();
        }
        self.latest.push_back(change);
    }

    /// Counts a change that no topic will ask for, and drops all kept changes.
    pub(super) fn skip(&mut self) {
        self.end += 1;
        self.clear();
    }

    /// Drops all kept changes.
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

    /// Bytes allocated.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        self.latest.capacity() * size_of::<Change>()
    }
}
