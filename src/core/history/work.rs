//! How much may be done while the store's lock is held once.
//!
//! Every bound on a selector, a topic and a stream is finite. Their product is finite too, but may
//! take seconds. Code that matches patterns or examines events charges its work here and stops when
//! none is left. What was found so far is kept, and the next holder of the lock continues.

/// Bounds on one hold of the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldLimits {
    /// Steps of matching: some 200 µs, and as much again for the match that goes over it.
    pub steps: usize,
    /// Events examined, whether one of them is wanted or not: some 100 µs.
    pub events: usize,
    /// References counted or taken back, and slots visited: some 400 µs where none of it is in a
    /// cache.
    pub references: usize,
    /// Topics that are looked over to find what was evicted before a pattern was born. Where more
    /// exist, all evictions of the node count: a stream may be told a gap that does not concern it,
    /// but none is hidden.
    pub birth_topics: usize,
    /// Patterns of one topic that each event lists one by one; more are a match set.
    pub listed_patterns: usize,
    /// Changes of subscriptions to patterns that are kept: 64 KiB. A topic that missed more adds
    /// its patterns up anew.
    pub kept_changes: usize,
    /// Topics with many patterns that may keep their evictions to themselves. So a topic that
    /// evicts an event for each new one does not tell its patterns each time; readers by pattern
    /// ask these topics.
    pub untold_topics: usize,
}

impl HoldLimits {
    /// Of a node.
    pub(super) const DEFAULT: Self = Self {
        steps: 200_000,
        events: 2_048,
        references: 2_048,
        birth_topics: 4_096,
        listed_patterns: 8,
        kept_changes: 1_024,
        untold_topics: 8,
    };
}

impl Default for HoldLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
impl HoldLimits {
    /// So small that histories of a few events and patterns reach them.
    pub(crate) const SMALL: Self = Self {
        steps: 40,
        events: 3,
        references: 2_048,
        birth_topics: 4,
        listed_patterns: 1,
        kept_changes: 4,
        untold_topics: 2,
    };
}

/// What is left to be done.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    steps: usize,
    events: usize,
    references: usize,
}

impl Default for Work {
    /// As much as one hold of the lock should take.
    fn default() -> Self {
        Self::new(HoldLimits::default())
    }
}

impl Work {
    /// The work of one hold.
    #[must_use]
    pub fn new(limits: HoldLimits) -> Self {
        Self {
            steps: limits.steps,
            events: limits.events,
            references: limits.references,
        }
    }

    /// Without a bound: for what has to be whole, after others have had their turn.
    #[must_use]
    pub fn unbounded() -> Self {
        Self {
            steps: usize::MAX,
            events: usize::MAX,
            references: usize::MAX,
        }
    }

    /// The same with so many references; at least one is always allowed.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn with_references(self, references: usize) -> Self {
        Self {
            references: references.max(1),
            ..self
        }
    }

    /// Steps that were spent since.
    #[cfg(test)]
    pub(super) fn steps_since(&self, before: Self) -> usize {
        before.steps - self.steps
    }

    /// Whether enough has been matched.
    pub(super) fn is_spent(&self) -> bool {
        self.steps == 0
    }

    /// Counts a match that took so many steps.
    pub(super) fn spend(&mut self, steps: usize) {
        self.steps = self.steps.saturating_sub(steps.max(1));
    }

    /// Events that may still be examined.
    pub(super) fn events_left(&self) -> usize {
        self.events
    }

    /// Charges one examined event; false when none was left.
    pub(super) fn charge_event(&mut self) -> bool {
        let more = self.events > 0;
        self.events = self.events.saturating_sub(1);
        more
    }

    /// Charges references; false when none was left before.
    pub(super) fn charge_references(&mut self, count: usize) -> bool {
        let more = self.references > 0;
        self.references = self.references.saturating_sub(count);
        more
    }
}
