//! How much may be done while the store's lock is held once.
//!
//! Every bound on a selector, a topic and a stream is finite. Their product is finite too, but may take
//! seconds. Code that matches patterns or examines events charges its work here and stops when none is
//! left. What was found so far is kept, and the next holder of the lock continues.

/// Steps of matching: some 200 µs, and as much again for the match that goes over it.
const STEPS_MAX: usize = if cfg!(test) { 40 } else { 200_000 };

/// Events examined, whether one of them is wanted or not: some 100 µs. Few in tests, whose histories are small.
const EVENTS_MAX: usize = if cfg!(test) { 3 } else { 2_048 };

/// References counted or taken back, and slots visited: some 400 µs where none of it is in a cache.
const REFERENCES_MAX: usize = 2_048;

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
        Self {
            steps: STEPS_MAX,
            events: EVENTS_MAX,
            references: REFERENCES_MAX,
        }
    }
}

impl Work {
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
