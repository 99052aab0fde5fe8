//! The expected size of the next answer of a kind.
//!
//! Room for an answer is asked for before the answer is made, so a refusal costs nothing. The
//! estimate is the size of the largest recent answer; it falls slowly while answers are smaller.

use std::sync::atomic::{AtomicUsize, Ordering};

/// An answer lowers the estimate by at most one part in this many.
const FALL: usize = 8;

/// The expected bytes of an answer of one kind.
#[derive(Debug)]
pub struct Estimate(AtomicUsize);

impl Estimate {
    /// The estimate before the first answer.
    #[must_use]
    pub const fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    /// Bytes to ask for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Records the size of an answer, or of one that was refused when its size was known.
    pub fn learn(&self, bytes: usize) {
        let before = self.bytes();
        let bytes = bytes.max(before - before / FALL);
        self.0.store(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_at_once_and_falls_slowly() {
        let estimate = Estimate::new(0);
        estimate.learn(800);
        assert_eq!(estimate.bytes(), 800);
        estimate.learn(0);
        assert_eq!(estimate.bytes(), 700);
        estimate.learn(900);
        assert_eq!(estimate.bytes(), 900);
        (0..100).for_each(|_| estimate.learn(10));
        assert_eq!(estimate.bytes(), 10);
    }
}
