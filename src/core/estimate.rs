//! The size that the next answer of a kind is expected to have.
//!
//! Room for an answer is asked for before the answer is made, so a refusal costs nothing. The
//! estimate is the size of the largest recent answer; it falls slowly where answers are small.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Each answer lowers the estimate by this part of it at most.
const FALL: usize = 8;

/// Bytes that an answer of one kind is expected to have.
#[derive(Debug)]
pub struct Estimate(AtomicUsize);

impl Estimate {
    /// Before the first answer.
    #[must_use]
    pub const fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    /// Bytes to ask for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// An answer had so many bytes, or was refused when it had.
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
