//! How much may be done while the store's lock is held once.
//!
//! Every bound on a selector, a topic and a stream is finite, and so is their product, but the product may be seconds. Whoever matches or looks
//! events over counts it here, and stops when it is enough: what was found is kept, and the next one who holds the lock goes on.

/// Steps of matching: some 200 µs, and as much again for the match that goes over it.
const STEPS_MAX: usize = if cfg!(test) { 40 } else { 200_000 };

/// Events looked at, whether one of them is wanted or not: some 100 µs. Few in tests, whose histories are small.
const LOOKS_MAX: usize = if cfg!(test) { 3 } else { 2_048 };

/// What is left to be done.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    steps: usize,
    looks: usize,
}

impl Default for Work {
    /// As much as one hold of the lock should take.
    fn default() -> Self {
        Self {
            steps: STEPS_MAX,
            looks: LOOKS_MAX,
        }
    }
}

impl Work {
    /// Without a bound: for what has to be whole, after others have had their turn.
    #[must_use]
    pub fn unbounded() -> Self {
        Self {
            steps: usize::MAX,
            looks: usize::MAX,
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

    /// Events that may still be looked at.
    pub(super) fn looks_left(&self) -> usize {
        self.looks
    }

    /// Counts a look at an event; false when it was one too many.
    pub(super) fn look(&mut self) -> bool {
        let more = self.looks > 0;
        self.looks = self.looks.saturating_sub(1);
        more
    }
}
